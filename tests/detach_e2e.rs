//! Leaving the console, by key or because the line is cut, loses no event and leaves the terminal whole.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use support::agent::Home;
use support::ends::Program;
use support::network::Network;
use support::terminal::Terminal;
use support::{can_run, unique, wait_for, wait_until};

const EXECS: usize = 2_000;
const TOOLS: &[&str] = &["ip", "nsenter", "tmux"];

/// Runs `/bin/true TOKEN-N` for every N, one after the other.
fn storm(token: &str) -> Program {
    let script = format!("i=0; while [ $i -lt {EXECS} ]; do /bin/true {token}-$i; i=$((i+1)); done");
    Program::start(Command::new("sh").args(["-c", &script]))
}

/// Which numbers of the storm are in the store.
fn stored(home: &Home, token: &str) -> BTreeSet<usize> {
    let limit = ["events", "--kind", "process.exec", "--limit", "100000"];
    let events = home.json(&limit);
    let numbers =
        events.iter().filter_map(|event| event["process"]["argv"][1].as_str()?.strip_prefix(token)?.strip_prefix('-')?.parse().ok());
    numbers.collect()
}

/// CPU time of a process in hundredths of a second (proc(5), stat fields 14 and 15).
fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum()
}

fn leaves_without_loss(leave: impl FnOnce(&Terminal), prompt_returns: bool) {
    if !can_run(TOOLS) {
        return;
    }
    let network = Network::new();
    let home = Home::new(Some(&network));
    let terminal = Terminal::new(80, 24);
    terminal.type_line(&home.shell_line(&[]));
    terminal.wait_for("PARANOID");
    wait_until("the agent to answer", Duration::from_secs(20), || home.answers());
    if home.json(&["status"])[0]["rung"] != "ebpf" {
        eprintln!("skipped: only the eBPF sensor sees every short-lived program; this host has {}", home.json(&["status"])[0]["rung"]);
        home.end_agent();
        return;
    }
    let (agent, token) = (home.pid(), unique("storm"));

    let mut storm = storm(&token);
    std::thread::sleep(Duration::from_millis(300));
    assert!(storm.try_wait().unwrap().is_none(), "the storm was over before the console was left");
    leave(&terminal);
    assert!(storm.wait().unwrap().success());

    if prompt_returns {
        terminal.wait("the prompt", |screen| {
            screen.lines().rev().find(|line| !line.trim().is_empty()).is_some_and(|line| line.contains("prompt>"))
        });
        terminal.type_line("stty -a | grep -o -w -e echo -e icanon | tr '\\n' '+'; echo whole");
        terminal.wait_for("icanon+echo+whole");
    }
    assert_eq!(home.pid(), agent, "another process took over");
    let all = |seen: &BTreeSet<usize>| seen.len() == EXECS;
    let (mut seen, mut tries) = (stored(&home, &token), 0);
    while !all(&seen) && tries < 20 {
        std::thread::sleep(Duration::from_millis(250));
        (seen, tries) = (stored(&home, &token), tries + 1);
    }
    let lost: Vec<usize> = (0..EXECS).filter(|number| !seen.contains(number)).take(10).collect();
    assert!(all(&seen), "{} of {EXECS} in the store; lost for example {lost:?}", seen.len());

    // Nothing still reads the terminal that is gone: a reader in circles takes a whole core.
    let before = cpu_ticks(agent);
    std::thread::sleep(Duration::from_secs(2));
    let spent = cpu_ticks(agent) - before;
    assert!(spent < 100, "{spent} hundredths of a second of CPU in two idle seconds");

    // Whoever comes back finds the same console; a few seconds are no absence to report.
    let second = Terminal::new(80, 24);
    second.type_line(&home.shell_line(&["attach"]));
    wait_for("the console again", Duration::from_secs(10), || second.screen().contains("PARANOID").then_some(()), || second.screen());
    home.end_agent();
}

#[test]
fn detach_by_key_loses_nothing() {
    leaves_without_loss(|terminal| terminal.press(&["d"]), true);
}

#[test]
fn a_cut_line_loses_nothing() {
    leaves_without_loss(Terminal::hang_up, false);
}

#[test]
fn a_terminal_without_a_shell_ends_no_guard() {
    if !can_run(TOOLS) {
        return;
    }
    let network = Network::new();
    let home = Home::new(Some(&network));
    let terminal = Terminal::running(80, 24, &home.shell_line(&[]));
    terminal.wait_for("PARANOID");
    let agent = home.pid();
    terminal.hang_up();
    std::thread::sleep(Duration::from_secs(1));
    assert!(home.answers(), "the guard ended with its terminal");
    assert_eq!(home.pid(), agent);
    home.end_agent();
}
