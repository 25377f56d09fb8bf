//! `bartizan replay`: the same attack recorded and judged again by the built binary, without an agent.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use bartizan_model::*;
use serde_json::Value;

fn process(pid: u32, exe: &str, argv: &[&str], parent: Option<&Process>, role: Option<ServiceRole>) -> Arc<Process> {
    let key = ProcessKey { boot: BootId(7), pid, start: u64::from(pid) };
    let mut ancestors: Vec<Ancestor> = parent.iter().map(|p| Ancestor { key: p.key, exe: p.exe.clone() }).collect();
    let mut roots: Vec<Root> = role.iter().map(|role| Root { role: *role, key, exe: exe.into() }).collect();
    if let Some(parent) = parent {
        ancestors.extend(parent.lineage.ancestors.iter().cloned());
        roots.extend(parent.lineage.roots.iter().cloned());
    }
    Arc::new(Process {
        exe: exe.into(),
        argv: argv.iter().map(|a| HostText::from(*a)).collect(),
        lineage: Lineage { ancestors: ancestors.into(), elided: 0, roots: roots.into() },
        ..Process::unknown(key, chrono::DateTime::from_timestamp(1_800_000_000, 1).unwrap())
    })
}

/// A web server that starts a shell, which calls out.
fn attack() -> String {
    let nginx = process(812, "/usr/sbin/nginx", &["nginx"], None, Some(ServiceRole::WebServer));
    let shell = process(900, "/usr/bin/bash", &["bash", "-i"], Some(&nginx), None);
    let net = Flow {
        proto: Protocol::Tcp,
        src: "0.0.0.0".parse().unwrap(),
        sport: 0,
        dst: Some("198.51.100.7".parse().unwrap()),
        dport: Some(4444),
        name: None,
    };
    let kinds =
        [EventKind::Fork, EventKind::Exec, EventKind::Connect { net }, EventKind::Exit { exit: Exit { code: Some(0), signal: None } }];
    let events = kinds.into_iter().enumerate().map(|(number, kind)| Event {
        id: EventId(number as u64 + 1),
        at: chrono::DateTime::from_timestamp(1_800_000_000 + number as i64, 5_000).unwrap(),
        kind,
        process: Some(Arc::clone(&shell)),
        source: Source::Ebpf,
        complete: true,
    });
    events.map(|event| serde_json::to_string(&event).unwrap() + "\n").collect()
}

fn replay(arguments: &[&str], recording: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_bartizan"))
        .arg("replay")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that refuses its arguments reads nothing.
    let _ = child.stdin.take().unwrap().write_all(recording);
    child.wait_with_output().unwrap()
}

fn told(output: &Output) -> Vec<Value> {
    String::from_utf8(output.stdout.clone()).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_recorded_attack_is_told_with_its_lines_and_twice_alike() {
    let recording = format!("{}not an event\n", attack());
    let output = replay(&["--json", "-"], recording.as_bytes());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let told = told(&output);
    let signals: Vec<(u64, &str)> =
        told.iter().filter_map(|one| Some((one["line"].as_u64()?, one["signal"]["detector"].as_str()?))).collect();
    assert_eq!(signals, [(2, "web_server_shell"), (3, "shell_connects")]);
    let incident = told.iter().find(|one| one["incident"].is_object()).unwrap();
    assert_eq!((incident["line"].as_u64(), incident["incident"]["id"].as_str()), (Some(2), Some("I1")));
    let summary = &told.last().unwrap()["summary"];
    let counts = ["lines", "events", "unreadable", "signals", "incidents"].map(|name| summary[name].as_u64().unwrap());
    assert_eq!(counts, [5, 4, 1, 2, 1]);
    assert_eq!(summary["unreadable_lines"][0]["line"], 5);
    assert_eq!(replay(&["--json", "-"], recording.as_bytes()).stdout, output.stdout);
    let people = String::from_utf8(replay(&["-"], recording.as_bytes()).stdout).unwrap();
    assert!(people.contains("2: S2.0 web_server_shell [high, initial access, 0.90]: nginx (pid 812) ran "), "{people}");
    assert!(people.ends_with("5 lines, 4 events, 1 unreadable, 2 signals (0 folded), 1 incidents (0 forgotten)\n"), "{people}");
}

#[test]
fn a_policy_of_ones_own_is_used() {
    let directory = tempfile::tempdir().unwrap();
    let policy = directory.path().join("p.toml");
    std::fs::write(&policy, "[roles]\nshells = [\"fish\"]\n").unwrap();
    let output = replay(&["--json", "--policy", policy.to_str().unwrap(), "-"], attack().as_bytes());
    assert_eq!(told(&output).last().unwrap()["summary"]["signals"], 0, "bash is no shell in this policy");
    std::fs::write(&policy, "[roles]\nshels = []\n").unwrap();
    assert_eq!(replay(&["--policy", policy.to_str().unwrap(), "-"], b"").status.code(), Some(1));
}

#[test]
fn several_recordings_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let (one, two) = (directory.path().join("one"), directory.path().join("two"));
    std::fs::write(&one, "").unwrap();
    std::fs::write(&two, attack()).unwrap();
    let output = replay(&["--json", one.to_str().unwrap(), two.to_str().unwrap()], b"");
    let first = told(&output).remove(0);
    assert_eq!((first["file"].as_str(), first["line"].as_u64()), (two.to_str(), Some(2)));
}

#[test]
fn what_cannot_be_replayed_is_said_with_the_right_exit_code() {
    let cases: [(&[&str], &[u8], i32, &str); 5] = [
        (&["--format", "auditd", "-"], b"", 2, "events"),
        (&[], b"", 2, "FILE"),
        (&["/nonexistent/x"], b"", 1, "/nonexistent/x"),
        (&["/"], b"", 1, "cannot read /"),
        (&["-"], b"type=SYSCALL msg=audit(1364481363.243:24287)\n", 1, "no event in what was read; lines: 1"),
    ];
    for (arguments, recording, code, word) in cases {
        let output = replay(arguments, recording);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(word), "{arguments:?}: {stderr}");
    }
    assert_eq!(replay(&["-"], b"").status.code(), Some(0), "nothing recorded is nothing wrong");
}
