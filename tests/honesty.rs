//! What the agent admits: every lost event is told once, every stretch without an agent is a gap, and what it gives up to
//! stay within its budget is said. Needs root; without it each test says aloud that it was skipped.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use support::agent::Home;
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

/// What the counters of a hop say, and what the events about it say, all kinds together and by kind.
fn lost_at(home: &Home, hop: &str) -> (u64, u64, u64) {
    let counted = status(home)["hops"]
        .as_array()
        .unwrap()
        .iter()
        .find(|known| known["hop"] == hop)
        .map_or(0, |known| known["dropped"].as_u64().unwrap());
    let events = home.json(&["events", "--kind", "sensor.loss", "--limit", "100000"]);
    let losses: Vec<&Value> = events.iter().map(|event| &event["loss"]).filter(|loss| loss["hop"] == hop).collect();
    let told = losses.iter().map(|loss| loss["count"].as_u64().unwrap()).sum();
    let kinds =
        losses.iter().flat_map(|loss| loss["kinds"].as_object().into_iter().flatten()).map(|(_, count)| count.as_u64().unwrap()).sum();
    (counted, told, kinds)
}

#[test]
fn what_a_lane_refuses_is_told_once_with_kinds_and_is_a_gap() {
    if !can_run(&["sh"]) {
        return;
    }
    let home = Home::new(None);
    home.configure("lane_bulk = 64");
    let agent = home.start();
    let until = Instant::now() + Duration::from_secs(40);
    while lost_at(&home, "lane-bulk").0 == 0 {
        assert!(Instant::now() < until, "a lane of 64 held every storm; nothing could be tested");
        storm(2_000);
    }
    // Other programs run on this host too: the two answers must meet, not the first two.
    let exact = || Some(lost_at(&home, "lane-bulk")).filter(|(counted, told, kinds)| counted == told && told == kinds);
    let (lost, ..) =
        wait_for("counts and events to agree", Duration::from_secs(30), exact, || format!("{:?}", lost_at(&home, "lane-bulk")));
    assert!(lost > 0);
    let gaps = gaps(&home);
    assert!(gaps.iter().any(|(why, from, to)| why == "lost at lane-bulk" && from < to), "{gaps:?}");
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
