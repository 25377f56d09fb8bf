//! `bartizan redteam live`: every step of a real chain is seen, with an agent running and without one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

use serde_json::Value;
use support::agent::{Home, told};
use support::can_run;

fn drill(home: &Home) -> Value {
    let drills = || {
        std::fs::read_dir("/tmp")
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("bartizan-drill-"))
    };
    let before = drills().count();
    let output = home.run(&["redteam", "live", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    assert_eq!(drills().count(), before, "the drill left its directory");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn is_good(report: &Value) {
    let steps = report["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 4, "{report:#}");
    for step in steps {
        assert_eq!(step["outcome"], "seen", "{step:#}");
        assert!(step["after_ms"].as_u64().unwrap() < 2_000, "{step:#}");
    }
    let incident = &report["incident"];
    assert!(incident["confidence"].as_f64().unwrap() >= 0.75, "{incident:#}");
    // One story, not four.
    assert_eq!(incident["joined"][0], incident["joined"][1], "{incident:#}");
    assert!(incident["verdicts"].as_array().unwrap().iter().any(|line| line.as_str().unwrap().starts_with("would ")), "{incident:#}");
    assert_eq!(report["ground"]["processes_left"], Value::Array(Vec::new()));
}

#[test]
fn a_running_agent_sees_every_step() {
    if !can_run(&[]) {
        return;
    }
    let home = Home::new(None);
    let agent = home.start();
    is_good(&drill(&home));
    assert!(home.json(&["actions"]).is_empty(), "PARANOID did something alone");
    assert!(agent.stop().success());
}

#[test]
fn it_needs_no_agent() {
    if !can_run(&[]) {
        return;
    }
    is_good(&drill(&Home::new(None)));
}
