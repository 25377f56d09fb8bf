//! Whom a freeze may not take, where its processes run again, and freezes that are none of ours: real processes and cgroups.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::tests::{Tree, lively_tree, now, on_bench, on_tree, stands_still, until};
use super::*;
use bartizan_enforce::freeze::{Method, Purpose};
use bartizan_model::{ActionKind, ActionState, LifelineReason};
use bartizan_sys::pidfd::{everything, key_of};
use bartizan_sys::process_stat::Stat;

/// A session of its own without a terminal, as sshd starts a remote command: a shell that waits for a program.
fn remote_command() -> Tree {
    // It leads no group, so that setsid(1) need not fork.
    let mut command = Command::new("setsid");
    command.args(["sh", "-c", "sleep 60 & wait"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let tree = Tree(command.spawn().unwrap());
    assert!(until(|| below(tree.id()).is_some()));
    tree
}

fn below(pid: u32) -> Option<Stat> {
    everything().unwrap().into_iter().find(|stat| stat.ppid == pid)
}

#[test]
fn a_command_of_the_owner_without_a_terminal_is_held_as_a_whole() {
    on_bench(|mut bench| {
        let (owners, strangers) = (remote_command(), remote_command());
        bench.lifeline.processes.push((key_of(owners.id()).unwrap(), LifelineReason::LoginPath));
        let responder = bench.responder();
        for (tree, refused) in [(&owners, true), (&strangers, false)] {
            let child = below(tree.id()).unwrap();
            let target = bartizan_model::Target::ProcessTree { root: child.key(), exe: "/bin/sleep".into() };
            let plan = ActionPlan::new(ActionKind::FreezeTree, target, std::time::Duration::from_secs(60)).unwrap();
            let done = responder.execute(super::tests::order(plan), now());
            assert_eq!(done.is_err(), refused, "{done:?}");
            match done {
                Ok(frozen) => drop(responder.rollback(frozen.id, "root", now()).unwrap()),
                Err(error) => assert!(error.to_string().contains("a command without a terminal on the owner's own path"), "{error}"),
            }
            assert!(until(|| Stat::read(child.pid).is_some_and(|stat| stat.state == b'S')));
        }
    });
}

#[test]
fn it_is_said_where_a_process_runs_whose_own_group_is_gone() {
    on_bench(|bench| {
        let responder = bench.responder();
        let Some(root) = responder.context.freezer.group_dir("x").filter(|_| responder.context.freezer.method() == Method::V2) else {
            return eprintln!("skipped: no cgroup 2 here");
        };
        let root: PathBuf = root.ancestors().nth(2).unwrap().to_owned();
        let own = root.join(format!("bartizan-origin-test-{}", std::process::id()));
        std::fs::create_dir(&own).unwrap();
        let tree = Tree(Command::new("sleep").arg("60").process_group(0).spawn().unwrap());
        std::fs::write(own.join("cgroup.procs"), tree.id().to_string()).unwrap();
        let frozen = responder.execute(on_tree(ActionKind::FreezeTree, &tree), now()).unwrap();
        std::fs::remove_dir(&own).unwrap();
        let undone = responder.rollback(frozen.id, "root", now()).unwrap();
        assert_eq!(undone.state, ActionState::RolledBack);
        assert!(undone.note.ends_with(": 1 process runs again in /: its own group is gone"), "{}", undone.note);
        assert!(until(|| Stat::read(tree.id()).is_some_and(|stat| stat.state == b'S')));
    });
}

#[test]
fn freezes_of_another_ledger_are_named_with_the_way_to_end_them() {
    on_bench(|bench| {
        let responder = bench.responder();
        if responder.context.freezer.method() == Method::Stop {
            return eprintln!("skipped: no freezer here");
        }
        assert_eq!(responder.foreign_freezes(), Vec::<String>::new());
        let tree = Tree(Command::new("sleep").arg("60").process_group(0).spawn().unwrap());
        let root = key_of(tree.id()).unwrap();
        let other = Freezer::open(&bench.dir.path().join("other")).unwrap();
        let frozen = other.freeze("A9-0badf00d", Purpose::Hold, &|| vec![root], &|_| Ok(())).unwrap();
        let said = responder.foreign_freezes();
        assert!(said.len() == 1 && said[0].contains("A9-0badf00d holds 1 process; let them run with: echo "), "{said:?}");
        // What it says is true.
        let command = said[0].rsplit("with: ").next().unwrap();
        assert!(Command::new("sh").args(["-c", command]).status().unwrap().success());
        assert!(until(|| !other.look(&frozen).frozen) && responder.foreign_freezes().is_empty());
        other.thaw(&frozen).unwrap();
    });
}

#[test]
fn a_kill_ends_all_even_when_frozen_and_cannot_be_undone() {
    on_bench(|bench| {
        let responder = bench.responder();
        let out = bench.out();
        let child = lively_tree(&out);
        let frozen = responder.execute(on_tree(ActionKind::FreezeTree, &child), now()).unwrap();
        let killed = responder.execute(on_tree(ActionKind::KillTree, &child), now()).unwrap();
        assert_eq!(killed.state, ActionState::Expired, "{}", killed.note);
        assert!(Stat::read(child.id()).is_none_or(|stat| stat.is_dead()));
        assert!(stands_still(&out));
        assert!(matches!(responder.rollback(killed.id, "root", now()), Err(ActError::Irreversible(_))));
        responder.reconcile(now()).unwrap();
        assert_eq!(responder.ledger.action(frozen.id).unwrap().unwrap().state, ActionState::Expired);
        drop(child);
    });
}
