//! The emergency script beside what we did: it needs nobody, and waits for nobody before addresses are free.

use std::process::Command;
use std::time::Duration;

use super::tests::{block, cgroup, lively_tree, now, on_bench, on_tree, ruleset, stands_still, until};
use super::*;
use bartizan_guard::watchdog::EMERGENCY_SCRIPT;
use bartizan_model::{ActionKind, Direction};
use bartizan_sys::pidfd::key_of;

#[test]
fn the_emergency_script_needs_nobody() {
    on_bench(|bench| {
        let responder = bench.responder();
        let out = bench.out();
        let child = lively_tree(&out);
        let before = cgroup(child.id());
        responder.execute(block("198.51.100.8", Direction::In, Duration::from_secs(60)), now()).unwrap();
        let frozen = responder.execute(on_tree(ActionKind::FreezeTree, &child), now()).unwrap();
        assert!(stands_still(&out));
        let notes = bench.runtime().join("freeze");
        let watchdog =
            std::fs::read_dir(&notes).unwrap().flatten().find(|entry| entry.file_name().to_string_lossy().ends_with(".watchdog"));
        let watcher: u32 =
            watchdog.map_or(0, |file| std::fs::read_to_string(file.path()).unwrap().split(' ').next().unwrap().parse().unwrap());
        let said = Command::new("sh").args(["-c", EMERGENCY_SCRIPT, "bartizan-emergency"]).arg(bench.runtime()).output().unwrap();
        let words = format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
        assert!(said.status.success() && words.contains("done: nothing is blocked or frozen"), "{words}");
        assert_eq!(ruleset(), "", "{words}");
        assert!(!stands_still(&out), "{words}");
        assert_eq!(cgroup(child.id()), before, "{words}");
        assert!(until(|| watcher == 0 || key_of(watcher).is_none()), "{words}");
        assert!(std::fs::read_dir(&notes).unwrap().next().is_none(), "{words}");
        if let Some(dir) = responder.context.freezer.group_dir(&group_name(frozen.id, responder.ledger.instance())) {
            assert!(!dir.exists(), "{words}");
        }
        responder.reconcile(now()).unwrap();
        drop(child);
    });
}

#[test]
fn the_emergency_script_unblocks_before_it_waits_for_a_runtime_that_hangs() {
    on_bench(|bench| {
        let responder = bench.responder();
        responder.execute(block("198.51.100.8", Direction::In, Duration::from_secs(60)), now()).unwrap();
        // A runtime that takes every question and answers none.
        let (runtime, data) = (bench.runtime(), bench.dir.path().join("data"));
        let socket = runtime.join("hangs.sock");
        let _hangs = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        std::fs::create_dir_all(data.join("expiry")).unwrap();
        std::fs::write(data.join("expiry/A9"), format!("container\n{}\nabc\npause\n", socket.display())).unwrap();
        let mut script = Command::new("sh").args(["-c", EMERGENCY_SCRIPT, "bartizan-emergency"]).arg(&runtime).arg(&data).spawn().unwrap();
        assert!(until(|| ruleset().is_empty()), "{}", ruleset());
        assert!(script.try_wait().unwrap().is_none(), "it still waits for the runtime");
        assert!(!script.wait().unwrap().success(), "and says that it could not undo that");
        assert!(data.join("expiry/A9").exists());
    });
}
