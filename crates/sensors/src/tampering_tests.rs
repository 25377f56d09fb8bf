//! The watch over the guard itself, with real files, a stranger's shell, and a process of our own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::test_bench::{Shell, at, beside, root, tree};
use super::{Attribution, Tampering};
use bartizan_model::{AlarmKind, Event, EventKind, Process, Root, ServiceRole, Variable};
use bartizan_sys::proc_files::exe_file;

fn said(event: &Event) -> Option<(AlarmKind, String)> {
    match &event.kind {
        EventKind::Alarm { alarm } => Some((alarm.what, alarm.detail.escaped().to_string())),
        _ => None,
    }
}

fn tampering(tree: &tempfile::TempDir, who: Attribution) -> Tampering {
    let root = tree.path();
    Tampering::new(&root.join("data"), &root.join("etc/bartizan/agent.toml"), Some(root.join("bin/bartizan")), root, who)
}

#[test]
fn who_touches_records_settings_unit_and_program_is_told() {
    if !root() {
        return;
    }
    let tree = tree(&["data/evidence/A1", "data/expiry", "etc/bartizan", "etc/systemd/system", "bin", "elsewhere"]);
    for file in [
        "data/ledger.db", "data/ledger.db-wal", "data/evidence/A1/exe", "etc/bartizan/policy.toml", "etc/systemd/system/bartizan.service",
        "bin/bartizan",
    ] {
        std::fs::write(at(&tree, file), "x").unwrap();
    }
    let (mut shell, mut prober) = (Shell::start(tree.path()), Shell::start(tree.path()));
    let deeds = [
        ("echo x >> data/ledger.db", AlarmKind::DataTouched, "wrote to", "data/ledger.db"),
        ("rm() { :; }; : > data/new", AlarmKind::DataTouched, "wrote to", "data/new"),
        ("echo y > data/evidence/A1/exe", AlarmKind::DataTouched, "wrote to", "data/evidence/A1/exe"),
        ("echo 'mode = 1' >> etc/bartizan/policy.toml", AlarmKind::InstallationTouched, "wrote to", "etc/bartizan/policy.toml"),
        (": > etc/systemd/system/bartizan.service", AlarmKind::InstallationTouched, "wrote to", "etc/systemd/system/bartizan.service"),
        ("echo x > bin/bartizan", AlarmKind::InstallationTouched, "wrote to", "bin/bartizan"),
    ];
    beside(
        tampering(&tree, shell.table()),
        || prober.run("echo probe >> data/probe"),
        |seen| {
            for (deed, kind, verb, path) in deeds {
                shell.run(deed);
                let wanted = (kind, format!("{verb} {}", at(&tree, path).display()));
                let event = seen.wait(deed, |event| said(event) == Some(wanted.clone()));
                assert_eq!((event.process.map(|process| process.pid), event.complete), (Some(shell.pid()), true), "{deed}");
            }
            // A drop-in in a directory that did not exist, removal by another program, a place that is none of ours.
            shell.run("mkdir etc/systemd/system/bartizan.service.d");
            seen.wait("the drop-in directory", |event| said(event).is_some_and(|(_, text)| text.ends_with("bartizan.service.d")));
            std::thread::sleep(Duration::from_millis(200));
            shell.run("echo x > etc/systemd/system/bartizan.service.d/off.conf; command rm -f data/ledger.db");
            for part in ["off.conf", "removed"] {
                seen.wait(part, |event| said(event).is_some_and(|(_, text)| text.contains(part)));
            }
            seen.clear();
            shell.run(": >> data/ledger.db-wal; echo x > elsewhere/file; echo x > etc/systemd/system/other.service; read x < etc/bartizan/policy.toml");
            // Our own pid writes too.
            std::fs::write(at(&tree, "data/own"), "x").unwrap();
            std::thread::sleep(Duration::from_millis(300));
            assert_eq!(seen.all().iter().filter_map(said).collect::<Vec<_>>(), []);
        },
    );
}

#[test]
fn what_our_own_children_do_is_no_tampering_and_a_thousand_files_are_few_alarms() {
    if !root() {
        return;
    }
    let tree = tree(&["data/expiry", "etc/bartizan"]);
    let (mut own, mut stranger) = (Shell::start(tree.path()), Shell::start(tree.path()));
    let mut process: Process = (*own.process()).clone();
    process.lineage.roots = Arc::from([Root { role: ServiceRole::Agent, key: process.key, exe: process.exe.clone() }]);
    let (process, other) = (Arc::new(process), stranger.process());
    let who = Attribution::by(move |pid| [&process, &other].into_iter().find(|known| known.pid == pid).map(Arc::clone));
    let mut prober = Shell::start(Path::new(tree.path()));
    beside(
        tampering(&tree, who),
        || prober.run("echo probe >> data/probe"),
        |seen| {
            own.run("echo account > data/expiry/x; echo y > data/note");
            std::thread::sleep(Duration::from_millis(300));
            assert_eq!(seen.all().iter().filter_map(said).collect::<Vec<_>>(), []);
            stranger.run("i=0; while [ $i -lt 1000 ]; do : > data/f$i; i=$((i+1)); done");
            std::thread::sleep(Duration::from_millis(1500));
            let told = seen.all().iter().filter_map(said).count();
            assert!((1..=32).contains(&told) && *seen.lost.lock().unwrap() > 0, "{told} told, {} counted", seen.lost.lock().unwrap());
        },
    );
}

#[test]
fn our_own_commands_by_root_change_our_data_and_nothing_else() {
    if !root() {
        return;
    }
    let tree = tree(&["data", "etc/bartizan"]);
    let mut shells: Vec<Shell> = (0..4).map(|_| Shell::start(tree.path())).collect();
    let mut processes: Vec<Process> = shells.iter().map(|shell| (*shell.process()).clone()).collect();
    let ours = exe_file(std::process::id()).unwrap();
    for process in &mut processes {
        process.exe_file = ours;
    }
    // A copy is another file; a library of the intruder's is in it; it is not root's.
    processes[1].exe_file.inode += 1;
    processes[2].environment = vec![Variable { name: "LD_PRELOAD".into(), value: "/tmp/x.so".into() }];
    processes[3].euid = 1000;
    let processes: Vec<Arc<Process>> = processes.into_iter().map(Arc::new).collect();
    let who = Attribution::by(move |pid| processes.iter().find(|known| known.pid == pid).map(Arc::clone));
    let mut prober = Shell::start(Path::new(tree.path()));
    beside(
        tampering(&tree, who),
        || prober.run("echo probe >> data/probe"),
        |seen| {
            shells[0].run("echo x > data/integrity.db; echo x > data/journal");
            std::thread::sleep(Duration::from_millis(300));
            assert_eq!(seen.all().iter().filter_map(said).collect::<Vec<_>>(), []);
            shells[0].run("echo x > etc/bartizan/policy.toml");
            seen.wait("settings", |event| said(event).is_some_and(|(kind, _)| kind == AlarmKind::InstallationTouched));
            for (number, shell) in shells.iter_mut().enumerate().skip(1) {
                shell.run(&format!("echo x > data/by{number}"));
                seen.wait("a stranger", |event| said(event).is_some_and(|(_, text)| text.ends_with(&format!("data/by{number}"))));
            }
        },
    );
}
