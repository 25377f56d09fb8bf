//! What is normal, in a running agent: learned, taken over by a sister host, deviated from, decided by a person, and taken back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use support::agent::Home;
use support::wait_for;

const PATIENCE: Duration = Duration::from_secs(20);

/// `env` executes a program in its own place: it is what started it.
fn env_starts(program: &str) {
    Command::new("/usr/bin/env").arg(program).env_remove("LD_LIBRARY_PATH").status().unwrap();
}

fn child_of_env(home: &Home, program: &str) -> Option<Value> {
    let habits = home.json(&["baseline", "show", "--kind", "child", program]);
    habits.into_iter().find(|habit| habit["profile"]["exe"] == "/usr/bin/env" && habit["value"] == program)
}

fn unusual(home: &Home, program: &str) -> Vec<Value> {
    let told = |signal: &Value| signal["detector"] == "unusual_child" && signal["sentence"].as_str().unwrap().contains(program);
    home.json(&["signals"]).into_iter().filter(told).collect()
}

/// What the agent knows of `env` after it started `/usr/bin/true`, as if it had been so for a month.
fn a_month_of_it() -> Value {
    let home = Home::new(None);
    let _agent = home.start();
    let seen = || {
        env_starts("/usr/bin/true");
        child_of_env(&home, "/usr/bin/true")
    };
    let mut habit = wait_for("what env starts to be seen", PATIENCE, seen, String::new);
    let month_ago = (chrono::Utc::now() - chrono::Duration::days(30)).to_rfc3339();
    let (first, state, count, days) = (Value::from(month_ago), Value::from("learned"), Value::from(5_000), Value::from(30));
    for (name, value) in [("first", first), ("state", state), ("count", count), ("days", days)] {
        habit[name] = value;
    }
    json!({"bartizan_baseline": 1, "at": chrono::Utc::now().to_rfc3339(), "habits": [habit]})
}

#[test]
fn a_deviation_is_reported_decided_and_taken_back() {
    let learned = a_month_of_it();
    let home = Home::new(None);
    let file = home.path("sister.json");
    std::fs::write(&file, learned.to_string()).unwrap();
    let agent = home.start();
    let done = home.json(&["baseline", "import", file.to_str().unwrap()]);
    assert!(done[0]["done"].as_str().unwrap().starts_with("imported 1 habits"), "{done:?}");
    assert_eq!(child_of_env(&home, "/usr/bin/true").unwrap()["reason"], "imported");

    env_starts("/usr/bin/false");
    let told = wait_for("the deviation", PATIENCE, || unusual(&home, "/usr/bin/false").pop(), String::new);
    assert_eq!((&told["family"], &told["tier"]), (&"anomaly".into(), &"experimental".into()), "{told}");
    let sentence = told["sentence"].as_str().unwrap();
    assert!(sentence.contains("starts /usr/bin/false for the first time: in 30 days there was one other"), "{sentence}");
    let waiting = child_of_env(&home, "/usr/bin/false").unwrap();
    assert_eq!(waiting["state"], "waiting", "{waiting}");
    assert!(home.json(&["actions"]).is_empty() && home.json(&["approvals"]).is_empty(), "an experimental detector proposes nothing");

    let id = waiting["id"].as_str().unwrap();
    let unknown = home.run(&["baseline", "approve", id, "H999999"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert_eq!(child_of_env(&home, "/usr/bin/false").unwrap()["state"], "waiting", "one that is not there: nothing is changed");
    home.json(&["baseline", "approve", id]);
    drop(agent);
    let _agent = home.start();
    let kept = child_of_env(&home, "/usr/bin/false").unwrap();
    assert_eq!((&kept["state"], &kept["reason"]), (&"learned".into(), &"reviewed".into()), "a decision outlives a restart: {kept}");
    let versions: Vec<u64> = home.json(&["baseline", "versions"]).iter().map(|one| one["number"].as_u64().unwrap()).collect();
    assert_eq!(versions, [1, 2]);
    let changed = home.json(&["baseline", "diff", "1", "2"]);
    let turn = changed.iter().find(|change| change["habit"]["id"] == id).unwrap();
    assert_eq!((&turn["before"], &turn["after"]), (&Value::Null, &"learned".into()), "{turn}");
    home.json(&["baseline", "revert", "1"]);
    assert_eq!(child_of_env(&home, "/usr/bin/false").unwrap()["state"], "waiting");
    let audit: Vec<String> = home.json(&["audit"]).iter().map(|line| line["what"].to_string()).collect();
    assert_eq!(audit.iter().filter(|what| what.contains("baseline.changed")).count(), 3, "{audit:?}");
}

#[test]
fn what_cannot_be_read_is_refused_and_loses_nothing() {
    let home = Home::new(None);
    let _agent = home.start();
    let status = &home.json(&["baseline"])[0];
    assert_eq!(status["rejected"], 0, "{status}");
    for (name, text, told) in [
        ("not.json", "{", "is not a baseline"),
        ("newer.json", r#"{"bartizan_baseline": 2, "at": "2026-01-01T00:00:00Z", "habits": []}"#, "has format 2"),
    ] {
        let file = home.path(name);
        std::fs::write(&file, text).unwrap();
        let run = home.run(&["baseline", "import", file.to_str().unwrap()]);
        assert!(run.status.code() == Some(2) && String::from_utf8_lossy(&run.stderr).contains(told), "{run:?}");
    }
    for words in [&["baseline", "revert", "7"][..], &["baseline", "diff", "1", "2"], &["baseline", "learn", "--from", "90d"]] {
        assert_eq!(home.run(words).status.code(), Some(2), "{words:?}");
    }
    let learned = home.json(&["baseline", "learn", "--from", "1h"]);
    assert!(learned[0]["done"].as_str().unwrap().starts_with("read "), "{learned:?}");
}
