//! The world against made-up families, and against the running kernel.

use super::*;
use bartizan_config::policy::Policy;
use bartizan_model::HostText;

fn world() -> World {
    World::new(&Policy::built_in().unwrap().roles)
}

fn who(pid: u32, ppid: u32) -> Who {
    Who { pid, start: u64::from(pid), ppid, parent_start: Some(u64::from(ppid)), at: clock::boot_ns(), ..Who::default() }
}

fn image(exe: &str) -> Image {
    Image { exe: exe.into(), argv: vec![exe.into()], complete: true, ..Image::default() }
}

fn exes(process: &Process) -> Vec<HostText> {
    process.lineage.ancestors.iter().map(|a| a.exe.clone()).collect()
}

fn roles(process: &Process) -> Vec<(ServiceRole, u32)> {
    process.lineage.roots.iter().map(|r| (r.role, r.key.pid)).collect()
}

#[test]
fn a_fork_is_no_ancestor_of_its_own_exec_but_an_image_is() {
    let world = world();
    world.exec(&who(100_000, 0), image("/opt/server"));
    world.fork(&who(100_001, 100_000));
    let sh = world.exec(&who(100_001, 100_000), image("/bin/sh"));
    assert_eq!(exes(&sh), [HostText::from("/opt/server")]);
    let nc = world.exec(&who(100_001, 100_000), image("/bin/nc"));
    assert_eq!(exes(&nc), [HostText::from("/bin/sh"), "/opt/server".into()]);
    assert_eq!((nc.parent, nc.ppid), (Some(world.key(100_000, 100_000)), 100_000));
}

#[test]
fn a_root_is_known_at_any_depth() {
    let world = world();
    world.exec(&who(100_000, 0), image("/usr/sbin/nginx"));
    for pid in 100_001..100_041 {
        world.fork(&who(pid, pid - 1));
        world.exec(&who(pid, pid - 1), image("/bin/sh"));
    }
    let deep = world.by_pid(100_040).unwrap();
    assert_eq!((deep.lineage.ancestors.len(), deep.lineage.elided), (Lineage::SHOWN, 40 - Lineage::SHOWN as u32));
    assert_eq!(roles(&deep), [(ServiceRole::WebServer, 100_000)]);
    assert_eq!(world.tree(world.key(100_000, 100_000)).len(), 41);
}

#[test]
fn a_listener_is_a_root_for_all_below_also_those_already_there() {
    let world = world();
    let server = world.exec(&who(100_000, 0), image("/opt/server"));
    world.fork(&who(100_001, 100_000));
    world.mark_listener(server.key, 8080);
    assert_eq!(roles(&world.by_pid(100_000).unwrap()), [(ServiceRole::WebServer, 100_000)]);
    assert_eq!(roles(&world.by_pid(100_001).unwrap()), [(ServiceRole::WebServer, 100_000)]);
    world.fork(&who(100_002, 100_001));
    assert_eq!(roles(&world.exec(&who(100_002, 100_001), image("/bin/sh"))), [(ServiceRole::WebServer, 100_000)]);
    // The server becomes a shell itself: what it was stands behind what it is.
    assert_eq!(roles(&world.exec(&who(100_000, 0), image("/bin/sh"))), [(ServiceRole::WebServer, 100_000)]);
}

#[test]
fn below_sshd_is_a_login_session() {
    let world = world();
    world.exec(&who(100_000, 0), image("/usr/sbin/sshd"));
    world.fork(&who(100_001, 100_000));
    world.exec(&who(100_001, 100_000), image("/bin/bash"));
    world.fork(&who(100_002, 100_001));
    let command = world.exec(&who(100_002, 100_001), image("/usr/bin/id"));
    assert_eq!(roles(&command), [(ServiceRole::LoginSession, 100_001), (ServiceRole::SshServer, 100_000)]);
    world.mark_listener(world.key(100_000, 100_000), 22);
    assert_eq!(roles(&world.by_pid(100_000).unwrap()), [(ServiceRole::SshServer, 100_000)]);
}

#[test]
fn an_orphan_stays_in_its_tree() {
    let world = world();
    let root = world.exec(&who(100_000, 0), image("/opt/a")).key;
    let middle = world.fork(&who(100_001, 100_000)).key;
    let leaf = world.fork(&who(100_002, 100_001)).key;
    world.exit(100_001, 100_001, clock::boot_ns());
    assert_eq!(world.tree(root), [root, leaf]);
    assert!(!world.is_alive(middle) && world.get(middle).is_some() && world.is_alive(leaf));
    assert_eq!(world.get(leaf).unwrap().parent, Some(middle));
    assert!(world.children(root).is_empty());
}

#[test]
fn the_present_world_is_read_whole() {
    let world = world();
    let added = world.reconcile();
    let me = world.by_pid(std::process::id()).unwrap();
    assert!(added > 1 && me.parent.is_some() && !me.lineage.ancestors.is_empty());
    assert_eq!(roles(&me).first(), Some(&(ServiceRole::Agent, std::process::id())));
    let first = world.by_pid(1).unwrap();
    assert!(world.tree(first.key).contains(&me.key));
    assert!(world.is_alive(me.key));
    // A second look finds little to mend.
    assert!(world.reconcile() < added);
}
