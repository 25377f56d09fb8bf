//! `bartizan redteam live`: every step of a real chain is seen, with an agent running and without one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

use serde_json::Value;
use support::agent::{Home, told};
use support::can_run;
use support::network::Network;

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

/// The guard of a drill that finds no agent on its socket stands beside one on another: it takes nothing of that one's for an
/// orphan of its own.
#[test]
fn it_leaves_alone_what_another_agent_does() {
    if !can_run(&["ip", "nft", "nsenter"]) {
        return;
    }
    let host = Network::new();
    let (guarded, drilled) = (Home::new(Some(&host)), Home::new(Some(&host)));
    let agent = guarded.start();
    let block = guarded.run(&["block", "203.0.113.5", "--for", "10m"]);
    assert!(block.status.success(), "{}", told(&block));
    drill(&drilled);
    let mut list = std::process::Command::new("nsenter");
    let rules = list.arg(format!("--net={}", host.file())).args(["nft", "list", "ruleset"]).output().unwrap();
    assert!(String::from_utf8_lossy(&rules.stdout).contains("203.0.113.5"), "the drill removed the block: {}", told(&rules));
    let audit = told(&guarded.run(&["audit", "show"]));
    assert!(!audit.contains("drifted"), "the drill touched the table: {audit}");
    let undone = guarded.run(&["rollback", "--all"]);
    assert!(undone.status.success(), "{}", told(&undone));
    assert!(agent.stop().success());
}
