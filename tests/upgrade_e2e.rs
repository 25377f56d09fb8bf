//! Becoming a newer binary under a storm of programs: the process stays, no event is missed, no loss is told.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::Duration;

use support::agent::Home;
use support::ends::Program;
use support::network::Network;
use support::{can_run, unique, wait_until};

const EXECS: usize = 8_000;

fn stored(home: &Home, token: &str) -> BTreeSet<usize> {
    let events = home.json(&["events", "--kind", "process.exec", "--where", token, "--limit", "100000"]);
    let numbers =
        events.iter().filter_map(|event| event["process"]["argv"][1].as_str()?.strip_prefix(token)?.strip_prefix('-')?.parse().ok());
    numbers.collect()
}

/// Each binary makes a socket of its own: which one is there now, if any.
fn socket_of(home: &Home) -> Option<(u64, i64, i64)> {
    let socket = std::fs::metadata(home.path("agent.sock")).ok()?;
    Some((socket.ino(), socket.ctime(), socket.ctime_nsec()))
}

#[test]
fn an_upgrade_under_a_storm_loses_nothing() {
    if !can_run(&["ip", "nsenter"]) {
        return;
    }
    let network = Network::new();
    let home = Home::new(Some(&network));
    let _agent = home.start();
    if home.json(&["status"])[0]["rung"] != "ebpf" {
        return eprintln!("skipped: only the eBPF sensor keeps its rings open for the next binary");
    }
    let (pid, token) = (home.pid(), unique("storm"));
    let script = format!("i=0; while [ $i -lt {EXECS} ]; do /bin/true {token}-$i; i=$((i+1)); done");
    let mut storm = Program::start(Command::new("sh").args(["-c", &script]));
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(400));
        let before = socket_of(&home);
        let output = home.run(&["upgrade"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stdout).contains("is kept for it"));
        wait_until("the new binary to answer", Duration::from_secs(30), || socket_of(&home) != before && home.answers());
        assert_eq!(home.pid(), pid);
    }
    assert!(storm.try_wait().unwrap().is_none(), "the storm was over before the last upgrade");
    assert!(storm.wait().unwrap().success());
    let mut seen = BTreeSet::new();
    wait_until("every program of the storm in the store", Duration::from_secs(40), || {
        seen = stored(&home, &token);
        seen.len() == EXECS || {
            let missing = (0..EXECS).filter(|n| !seen.contains(n) && (*n == 0 || seen.contains(&(n - 1))));
            let last = |n: usize| (n..EXECS).find(|n| seen.contains(n)).unwrap_or(EXECS) - 1;
            let stretches: Vec<_> = missing.map(|n| (n, last(n))).collect();
            eprintln!("{} of {EXECS}; missing {stretches:?}", seen.len());
            false
        }
    });
    // A parent that lived before the upgrades is known after them.
    let last = home.json(&["events", "--kind", "process.exec", "--where", &format!("{token}-{}", EXECS - 1)]);
    let lineage = last[0]["process"]["lineage"].as_array().unwrap();
    assert!(lineage[0]["exe"].as_str().unwrap().ends_with("sh"), "{lineage:?}");
    let lost = home.json(&["events", "--kind", "sensor.loss"]);
    assert!(lost.is_empty(), "{lost:?}");
}

#[test]
fn an_agent_with_a_console_in_front_of_it_does_not_vanish_below_it() {
    if !can_run(&["ip", "nsenter", "tmux"]) {
        return;
    }
    let network = Network::new();
    let home = Home::new(Some(&network));
    let terminal = support::terminal::Terminal::new(80, 24);
    terminal.type_line(&home.shell_line(&[]));
    terminal.wait_for("PARANOID");
    wait_until("the agent to answer", Duration::from_secs(20), || home.answers());
    let output = home.run(&["upgrade"]);
    assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
    home.end_agent();
}

#[test]
fn what_is_no_bartizan_does_not_take_over() {
    if !can_run(&["ip", "nsenter"]) {
        return;
    }
    let network = Network::new();
    let home = Home::new(Some(&network));
    // A program of one's own, so that the one under test is not touched.
    let program = home.path("bartizan");
    std::fs::copy(support::BINARY, &program).unwrap();
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", network.file())).arg(&program).arg("--headless").args(home.flags());
    let mut agent = Program::start(command.stderr(std::process::Stdio::null()));
    wait_until("the agent to answer", Duration::from_secs(20), || home.answers());
    let pid = home.pid();
    let script = home.path("script");
    std::fs::write(&script, "#!/bin/sh\necho bartizan 9.9.9\n").unwrap();
    for impostor in ["/bin/true", "/bin/echo", script.to_str().unwrap(), "/etc/passwd"] {
        let next = home.path("next");
        std::fs::copy(impostor, &next).unwrap();
        std::fs::set_permissions(&next, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::rename(&next, &program).unwrap();
        let output = home.run(&["upgrade"]);
        assert_eq!(output.status.code(), Some(1), "{impostor}: {}", String::from_utf8_lossy(&output.stdout));
        assert_eq!(home.pid(), pid, "{impostor}");
    }
    home.end_agent();
    agent.wait().unwrap();
}
