//! The cache against made-up families, and against the running kernel.

use super::*;
use bartizan_config::policy::Policy;
use bartizan_model::HostText;

fn cache() -> ProcessCache {
    ProcessCache::new(&Policy::built_in().unwrap().roles)
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
    let cache = cache();
    cache.exec(&who(100_000, 0), image("/opt/server"));
    cache.fork(&who(100_001, 100_000));
    let sh = cache.exec(&who(100_001, 100_000), image("/bin/sh"));
    assert_eq!(exes(&sh), [HostText::from("/opt/server")]);
    let nc = cache.exec(&who(100_001, 100_000), image("/bin/nc"));
    assert_eq!(exes(&nc), [HostText::from("/bin/sh"), "/opt/server".into()]);
    assert_eq!((nc.parent, nc.ppid), (Some(cache.key(100_000, 100_000)), 100_000));
}

#[test]
fn a_root_is_known_at_any_depth() {
    let cache = cache();
    cache.exec(&who(100_000, 0), image("/usr/sbin/nginx"));
    for pid in 100_001..100_041 {
        cache.fork(&who(pid, pid - 1));
        cache.exec(&who(pid, pid - 1), image("/bin/sh"));
    }
    let deep = cache.by_pid(100_040).unwrap();
    assert_eq!((deep.lineage.ancestors.len(), deep.lineage.elided), (Lineage::SHOWN, 40 - Lineage::SHOWN as u32));
    assert_eq!(roles(&deep), [(ServiceRole::WebServer, 100_000)]);
    assert_eq!(cache.tree(cache.key(100_000, 100_000)).len(), 41);
}

#[test]
fn a_listener_is_a_root_for_all_below_also_those_already_there() {
    let cache = cache();
    let server = cache.exec(&who(100_000, 0), image("/opt/server"));
    cache.fork(&who(100_001, 100_000));
    cache.mark_listener(server.key, IpAddr::from([0, 0, 0, 0]), 8080);
    assert_eq!(roles(&cache.by_pid(100_000).unwrap()), [(ServiceRole::WebServer, 100_000)]);
    assert_eq!(roles(&cache.by_pid(100_001).unwrap()), [(ServiceRole::WebServer, 100_000)]);
    cache.fork(&who(100_002, 100_001));
    assert_eq!(roles(&cache.exec(&who(100_002, 100_001), image("/bin/sh"))), [(ServiceRole::WebServer, 100_000)]);
    // The server becomes a shell itself: what it was stands behind what it is.
    assert_eq!(roles(&cache.exec(&who(100_000, 0), image("/bin/sh"))), [(ServiceRole::WebServer, 100_000)]);
}

#[test]
fn below_sshd_is_a_login_session() {
    let cache = cache();
    cache.exec(&who(100_000, 0), image("/usr/sbin/sshd"));
    cache.fork(&who(100_001, 100_000));
    cache.exec(&who(100_001, 100_000), image("/bin/bash"));
    cache.fork(&who(100_002, 100_001));
    let command = cache.exec(&who(100_002, 100_001), image("/usr/bin/id"));
    assert_eq!(roles(&command), [(ServiceRole::LoginSession, 100_001), (ServiceRole::SshServer, 100_000)]);
    cache.mark_listener(cache.key(100_000, 100_000), IpAddr::from([0, 0, 0, 0]), 22);
    assert_eq!(roles(&cache.by_pid(100_000).unwrap()), [(ServiceRole::SshServer, 100_000)]);
}

#[test]
fn an_orphan_stays_in_its_tree() {
    let cache = cache();
    let root = cache.exec(&who(100_000, 0), image("/opt/a")).key;
    let middle = cache.fork(&who(100_001, 100_000)).key;
    let leaf = cache.fork(&who(100_002, 100_001)).key;
    cache.exit(100_001, 100_001, clock::boot_ns());
    assert_eq!(cache.tree(root), [root, leaf]);
    assert!(!cache.is_alive(middle) && cache.get(middle).is_some() && cache.is_alive(leaf));
    assert_eq!(cache.get(leaf).unwrap().parent, Some(middle));
    assert!(cache.children(root).is_empty());
}

#[test]
fn the_present_world_is_read_whole() {
    let cache = cache();
    let added = cache.reconcile();
    let me = cache.by_pid(std::process::id()).unwrap();
    assert!(added > 1 && me.parent.is_some() && !me.lineage.ancestors.is_empty());
    assert_eq!(roles(&me).first(), Some(&(ServiceRole::Agent, std::process::id())));
    let first = cache.by_pid(1).unwrap();
    assert!(cache.tree(first.key).contains(&me.key));
    assert!(cache.is_alive(me.key));
    // A second look finds little to mend.
    assert!(cache.reconcile() < added);
}
