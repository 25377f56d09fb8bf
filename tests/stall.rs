//! A reader that stands still or dies never holds the host up, and what it could not see is counted exactly.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

use std::collections::{BTreeSet, HashSet};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use support::agent::{Home, signal};
use support::programs::Programs;
use support::{can_run, unique, wait_until};

/// Programs executed in one storm.
const EXECS: usize = 5000;
const ROUNDS: usize = 3;

/// Storms one after the other; how long the quickest took. The rest is what others do on this host.
fn storms(programs: &Programs, token: &str) -> Duration {
    let one = |round: usize| {
        let mut command = Command::new(programs.path("storm"));
        let output = command.arg(programs.path("tiny")).args([&format!("{token}-{round}"), &EXECS.to_string()]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Duration::from_micros(String::from_utf8(output.stdout).unwrap().trim().parse().unwrap())
    };
    (0..ROUNDS).map(one).min().unwrap()
}

/// Execs that were lost, over all hops: the losses say of which kinds they are.
fn lost_execs(home: &Home) -> u64 {
    let losses = home.json(&["events", "--kind", "sensor.loss", "--limit", "10000"]);
    losses.iter().filter_map(|event| event["loss"]["kinds"]["process.exec"].as_u64()).sum()
}

fn stored_execs(home: &Home, token: &str) -> usize {
    let events = home.json(&["events", "--kind", "process.exec", "--where", token, "--limit", "100000"]);
    let numbers: BTreeSet<&str> =
        events.iter().filter_map(|event| event["process"]["argv"][1].as_str()).filter(|a| a.starts_with(token)).collect();
    numbers.len()
}

#[test]
fn a_reader_that_stands_still_stalls_nobody_and_its_losses_are_exact() {
    if !can_run(&["cc"]) {
        return;
    }
    let (programs, token) = (Programs::build(&["storm", "tiny"]), unique("stall"));
    let before = storms(&programs, &unique("bare"));
    let home = Home::new(None);
    let agent = home.start_with(&[("BARTIZAN_RUNG", "ebpf")]);
    std::thread::sleep(Duration::from_millis(500));
    signal(agent.pid(), Signal::SIGSTOP);
    let begun = Instant::now();
    let during = storms(&programs, &token);
    std::thread::sleep(Duration::from_secs(3).saturating_sub(begun.elapsed()));
    signal(agent.pid(), Signal::SIGCONT);
    // What was not lost arrives; then nothing more does.
    let made = ROUNDS * EXECS;
    let (mut stored, mut lost) = (0, 0);
    wait_until("every exec to be stored or counted as lost", Duration::from_secs(30), || {
        (stored, lost) = (stored_execs(&home, &token), lost_execs(&home) as usize);
        stored + lost >= made
    });
    eprintln!("{made} made: {stored} delivered, {lost} counted as lost");
    // What others executed meanwhile was lost in the same proportion: a few.
    assert!(stored <= made && stored + lost <= made + made / 50, "{made} made, {stored} delivered, {lost} lost");
    // And from now on nothing is missing.
    let token = unique("after");
    for number in 0..200 {
        assert!(Command::new(programs.path("tiny")).arg(format!("{token}-{number}")).status().unwrap().success());
    }
    wait_until("every exec after the stall", Duration::from_secs(10), || stored_execs(&home, &token) == 200);
    agent.stop();

    // The host's other work comes and goes: the storm without an agent is measured before and after.
    let bare = before.max(storms(&programs, &unique("bare")));
    eprintln!("quickest of {ROUNDS} storms of {EXECS}: {bare:?} without an agent, {during:?} with one that stands still");
    assert!(during < bare.mul_f64(1.5) + Duration::from_millis(20), "{bare:?} without, {during:?} with a reader that stands still");
}

/// `prog_id 7`, `map_id 9`, `link_id 3`: what a process holds of BPF, or what there is at all.
type Objects = HashSet<String>;

fn held_by(pid: u32) -> Objects {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap();
    let texts = entries.filter_map(|entry| std::fs::read_to_string(entry.unwrap().path()).ok());
    let line = |line: &str| {
        let (name, number) = line.split_once(":\t")?;
        ["prog_id", "map_id", "link_id"].contains(&name).then(|| format!("{name} {number}"))
    };
    texts.flat_map(|text| text.lines().filter_map(line).collect::<Vec<_>>()).collect()
}

fn in_the_kernel(programs: &Programs) -> Objects {
    let output = Command::new(programs.path("bpf_ids")).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn nothing_of_a_killed_agent_stays_in_the_kernel() {
    if !can_run(&["cc"]) {
        return;
    }
    let programs = Programs::build(&["bpf_ids", "storm", "tiny"]);
    let before = storms(&programs, &unique("bare"));
    let home = Home::new(None);
    let agent = home.start_with(&[("BARTIZAN_RUNG", "ebpf")]);
    let held = held_by(agent.pid());
    let count = |kind: &str| held.iter().filter(|object| object.starts_with(kind)).count();
    assert!(count("prog_id") >= 4 && count("link_id") >= 4 && count("map_id") >= 1, "{held:?}");
    let there = in_the_kernel(&programs);
    assert!(held.iter().all(|object| there.contains(object)), "{held:?} {there:?}");
    agent.kill();
    let mut left = Vec::new();
    // The kernel frees them after a grace period of its own.
    wait_until("the kernel to free what the agent held", Duration::from_secs(10), || {
        let there = in_the_kernel(&programs);
        left = held.iter().filter(|object| there.contains(*object)).collect();
        left.is_empty()
    });
    let after = storms(&programs, &unique("bare"));
    assert!(after < before.mul_f64(1.5) + Duration::from_millis(20), "{before:?} before, {after:?} after");
}
