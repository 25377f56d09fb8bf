//! Before a tree is killed or held, what it ran and what it held is kept: real processes, a deleted executable, a socket.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use super::tests::{Tree, lively_tree, now, on_bench, on_tree, stands_still, until, with_evidence};
use bartizan_isolation::own_netns::killed_in_a_child;
use bartizan_model::{Action, ActionId, ActionKind, ActionState};
use bartizan_sys::process_stat::Stat;

/// A shell under a name of its own, deleted once it runs, that holds a connection and has a child.
fn hidden_tree(dir: &Path, port: u16) -> (Tree, Vec<u8>) {
    let exe = dir.join("kworker");
    std::fs::copy("/bin/bash", &exe).unwrap();
    // Unlike any other file on this host, so that what is found can only be this one.
    let mut own = std::fs::OpenOptions::new().append(true).open(&exe).unwrap();
    std::io::Write::write_all(&mut own, b"\0only here\0").unwrap();
    drop(own);
    let content = std::fs::read(&exe).unwrap();
    let (mark, script) = (dir.join("mark"), format!("exec 7<>/dev/tcp/127.0.0.1/{port}; sleep 60 & echo up > \"$0\"; wait"));
    let mut command = Command::new(&exe);
    command.arg("-c").arg(script).arg(&mark).env("TOLD", "by us").stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
    let tree = Tree(command.spawn().unwrap());
    assert!(until(|| mark.metadata().is_ok_and(|meta| meta.len() > 0)));
    std::fs::remove_file(&exe).unwrap();
    (tree, content)
}

fn read(action: &Action, pid: u32, name: &str) -> Vec<u8> {
    std::fs::read(PathBuf::from(&action.evidence.as_ref().unwrap().directory).join(pid.to_string()).join(name)).unwrap()
}

#[test]
fn the_deleted_executable_that_ran_is_kept_before_the_kill() {
    on_bench(|bench| {
        let (responder, listener) = (bench.responder(), TcpListener::bind("127.0.0.1:0").unwrap());
        let port = listener.local_addr().unwrap().port();
        let (tree, content) = hidden_tree(bench.dir.path(), port);
        let (pid, order) = (tree.id(), on_tree(ActionKind::KillTree, &tree));
        assert!(responder.preview(order.plan()).unwrap().steps.iter().any(|step| step.contains("keep executables")));
        let began = Instant::now();
        let killed = responder.execute(order, now()).unwrap();
        eprintln!("killed with evidence in {:?}: {}", began.elapsed(), killed.note);
        assert!(Stat::read(pid).is_none_or(|stat| stat.is_dead()));
        let evidence = killed.evidence.clone().unwrap();
        assert_eq!((evidence.missing.as_slice(), evidence.files), (&[][..], 16));
        assert!(evidence.directory.starts_with(&format!("{}/evidence/A1-", responder.ledger.directory().display())));
        assert!(read(&killed, pid, "exe") == content, "the kept executable is not the one that ran");
        let text = |name| String::from_utf8(read(&killed, pid, name)).unwrap();
        assert!(text("fds").contains("kworker (deleted)") && text("fds").contains("7 -> socket:["), "{}", text("fds"));
        assert!(text("sockets").contains(&format!("with 127.0.0.1 port {port} Connected")), "{}", text("sockets"));
        assert!(text("environ").split('\0').any(|word| word == "TOLD=by us"));
        assert!(text("maps").contains("kworker") && text("cmdline").contains("/dev/tcp") && text("cgroup").contains("bartizan"));
        assert_eq!(responder.ledger.action(killed.id).unwrap(), Some(killed.clone()), "the row names the directory");
        assert!(serde_json::to_string(&killed).unwrap().contains(&evidence.directory));
        let lines = responder.ledger.audit_tail(20).unwrap();
        let line = |what: &str| lines.iter().find(|entry| entry.body.what == what).unwrap();
        let (kept, applied) = (line("evidence.kept"), line("action.applied"));
        let hash = blake3::hash(&content).to_hex().to_string();
        assert!(kept.body.detail.contains(&format!("{pid}/exe={hash}")), "{}", kept.body.detail);
        assert_eq!(kept.body.detail.matches('=').count(), 17, "16 files and the manifest");
        assert!(kept.seq < applied.seq, "on record before the kill is");
    });
}

#[test]
fn a_freeze_keeps_evidence_and_says_so_as_long_as_it_lasts() {
    on_bench(|bench| {
        let (responder, out) = (bench.responder(), bench.out());
        let tree = lively_tree(&out);
        let frozen = responder.execute(on_tree(ActionKind::FreezeTree, &tree), now()).unwrap();
        assert!(frozen.evidence.is_none(), "nobody waits for it");
        let frozen = with_evidence(&responder, frozen.id);
        let evidence = frozen.evidence.clone().unwrap();
        assert!(evidence.missing.is_empty() && evidence.files >= 16, "{evidence:?}");
        let status = String::from_utf8(read(&frozen, tree.id(), "status")).unwrap();
        assert!(status.contains(&format!("Pid:\t{}", tree.id())), "{status}");
        let seen = responder.reconcile(now()).unwrap();
        assert!(seen[0].note.contains(&evidence.directory) && seen[0].evidence == frozen.evidence, "{seen:?}");
        let undone = responder.rollback(frozen.id, "root", now()).unwrap();
        assert_eq!(undone.evidence, frozen.evidence, "evidence stays when the freeze is undone");
        assert!(!stands_still(&out));
    });
}

#[test]
fn evidence_that_cannot_be_kept_stops_neither_and_is_told() {
    on_bench(|bench| {
        let (responder, out) = (bench.responder(), bench.out());
        std::fs::write(responder.ledger.directory().join("evidence"), "in the way").unwrap();
        let tree = lively_tree(&out);
        let frozen = responder.execute(on_tree(ActionKind::FreezeTree, &tree), now()).unwrap();
        assert!(frozen.state == ActionState::Live && stands_still(&out));
        let frozen = with_evidence(&responder, frozen.id);
        assert!(frozen.note.contains("no evidence was kept: ") && frozen.evidence.unwrap().missing[0].contains("could not be made"));
        let killed = responder.execute(on_tree(ActionKind::KillTree, &tree), now()).unwrap();
        assert_eq!(killed.state, ActionState::Expired, "{}", killed.note);
        assert!(killed.note.contains("no evidence was kept: "), "{}", killed.note);
    });
}

#[test]
fn evidence_outlives_us_when_we_die_after_the_kill() {
    on_bench(|bench| {
        let out = bench.out();
        let tree = lively_tree(&out);
        assert!(killed_in_a_child(|| {
            let responder = bench.responder();
            *responder.die_at.lock().unwrap() = Some("after apply");
            let _ = responder.execute(on_tree(ActionKind::KillTree, &tree), now());
        }));
        let responder = bench.responder();
        responder.recover(now()).unwrap();
        let settled = responder.ledger.action(ActionId(1)).unwrap().unwrap();
        assert_eq!(settled.state, ActionState::Expired, "{}", settled.note);
        assert!(!read(&settled, tree.id(), "exe").is_empty());
    });
}
