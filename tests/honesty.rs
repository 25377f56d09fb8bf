//! What the agent admits: every lost event is told once, every stretch without an agent is a gap, and what it gives up to
//! stay within its budget is said. Needs root; without it each test says aloud that it was skipped.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use support::agent::{Home, signal};
use support::{can_run, wait_for};

/// Programs started one after another, as fast as a shell can.
fn storm(programs: u32) {
    let line = format!("i=0; while [ $i -lt {programs} ]; do /bin/true; i=$((i+1)); done");
    assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success());
}

fn status(home: &Home) -> Value {
    home.json(&["status"]).remove(0)
}

fn gaps(home: &Home) -> Vec<(String, DateTime<Utc>, DateTime<Utc>)> {
    let status = status(home);
    let moment = |gap: &Value, name: &str| gap[name].as_str().unwrap().parse().unwrap();
    let gaps = status["gaps"].as_array().unwrap();
    gaps.iter().map(|gap| (gap["why"].as_str().unwrap().to_owned(), moment(gap, "from"), moment(gap, "to"))).collect()
}

/// Of each hop on an event's road: what its counter says is lost, and what the events about it add up to.
fn losses(home: &Home) -> Vec<(String, u64, u64)> {
    let events = home.json(&["events", "--kind", "sensor.loss", "--limit", "100000"]);
    let told = |hop: &str| {
        events.iter().map(|event| &event["loss"]).filter(|loss| loss["hop"] == *hop).map(|loss| loss["count"].as_u64().unwrap()).sum()
    };
    let hops = status(home)["hops"].as_array().unwrap().clone();
    let hops = hops.iter().map(|hop| (hop["hop"].as_str().unwrap().to_owned(), hop["dropped"].as_u64().unwrap()));
    let on_the_road = |hop: &str| ["kernel-ring", "lane-", "store"].iter().any(|begin| hop.starts_with(begin));
    hops.filter(|(hop, _)| on_the_road(hop)).map(|(hop, dropped)| (hop.clone(), dropped, told(&hop))).collect()
}

#[test]
fn what_a_stalled_agent_loses_is_told_exactly_and_is_a_gap() {
    if !can_run(&["sh"]) {
        return;
    }
    let home = Home::new(None);
    let agent = home.start();
    if status(&home)["rung"] != "ebpf" {
        return eprintln!("skipped: only the kernel's ring keeps an exact count; this host has {}", status(&home)["rung"]);
    }
    let lost = |home: &Home| losses(home).iter().map(|(_, counted, _)| counted).sum::<u64>();
    for _ in 0..3 {
        if lost(&home) > 0 {
            break;
        }
        signal(agent.pid(), nix::sys::signal::Signal::SIGSTOP);
        storm(8_000); // more than the rings hold
        signal(agent.pid(), nix::sys::signal::Signal::SIGCONT);
        std::thread::sleep(Duration::from_secs(3));
    }
    assert!(lost(&home) > 0, "the rings held every storm; nothing could be tested");
    // Other programs run on this host too: the two answers must meet, not the first two.
    let exact = || losses(&home).iter().all(|(_, counted, told)| counted == told).then_some(());
    wait_for("counts and events to agree", Duration::from_secs(30), exact, || format!("{:?}", losses(&home)));
    let gaps = gaps(&home);
    let (hop, ..) = losses(&home).into_iter().find(|(_, counted, _)| *counted > 0).unwrap();
    assert!(gaps.iter().any(|(why, from, to)| *why == format!("lost at {hop}") && from < to), "{gaps:?}");
    let watching_since: DateTime<Utc> = status(&home)["watching_since"].as_str().unwrap().parse().unwrap();
    assert!(gaps.iter().all(|(_, _, to)| *to <= watching_since));
    agent.stop();
}

#[test]
fn the_time_without_an_agent_is_a_gap_also_after_a_crash() {
    if !can_run(&[]) {
        return;
    }
    let home = Home::new(None);
    let agent = home.start();
    let first = gaps(&home);
    assert_eq!(first.iter().map(|(why, ..)| why.as_str()).collect::<Vec<_>>(), ["no agent had run before"]);
    let stopped = Utc::now();
    agent.stop();
    std::thread::sleep(Duration::from_millis(1_500));
    let agent = home.start();
    let unwatched = |n: usize| gaps(&home).into_iter().filter(|(why, ..)| why == "no agent ran").nth(n);
    let (_, from, to) = wait_for("the first gap", Duration::from_secs(5), || unwatched(0), || format!("{:?}", gaps(&home)));
    assert!(from >= stopped - TimeDelta::seconds(1) && to - from >= TimeDelta::milliseconds(1_500), "{stopped}: {from} to {to}");
    // Something to see, so that the last event is younger than the last word.
    storm(20);
    std::thread::sleep(Duration::from_millis(2_500));
    let killed = Utc::now();
    agent.kill();
    std::thread::sleep(Duration::from_secs(1));
    let agent = home.start();
    let (_, from, to) = wait_for("the second gap", Duration::from_secs(5), || unwatched(1), || format!("{:?}", gaps(&home)));
    assert!(from <= killed && killed - from < TimeDelta::seconds(35) && to > killed, "{killed}: {from} to {to}");
    assert_eq!(gaps(&home)[0], first[0], "what was known before is still known");
    assert!(!home.json(&["events", "--kind", "sensor.loss"]).is_empty(), "a gap is an event too");
    agent.stop();
}

#[test]
fn an_agent_over_its_budget_gives_up_work_and_says_so() {
    if !can_run(&["sh"]) {
        return;
    }
    let home = Home::new(None);
    home.configure("max_cpu_percent = 1");
    let agent = home.start();
    let until = Instant::now() + Duration::from_secs(60);
    while status(&home)["budget"]["level"] == 0 {
        assert!(Instant::now() < until, "{:#}", status(&home)["budget"]);
        storm(500);
    }
    let now = status(&home);
    assert!(!now["budget"]["given_up"].as_array().unwrap().is_empty());
    assert!(now["degraded"].as_array().unwrap().iter().any(|line| line.as_str().unwrap().starts_with("budget: gave up")), "{now:#}");
    let events = home.json(&["events", "--kind", "agent.budget"]);
    assert_eq!(events[0]["budget"]["level"], 1, "{events:?}");
    assert!(events[0]["budget"]["why"].as_str().unwrap().contains("max_cpu_percent"));
    agent.stop();
}
