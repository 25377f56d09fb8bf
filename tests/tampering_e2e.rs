//! What is done to a running agent and to its record becomes an incident, and ending it as its owner does is none.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

use std::process::Command;
use std::time::Duration;

use support::agent::{Home, told};
use support::wait_for;

fn said(home: &Home) -> Vec<String> {
    home.json(&["signals", "--limit", "1000"]).iter().map(|signal| signal["sentence"].as_str().unwrap().to_owned()).collect()
}

fn expect(home: &Home, part: &str) {
    let heard = || said(home).iter().any(|sentence| sentence.contains(part)).then_some(());
    wait_for(part, Duration::from_secs(10), heard, || format!("{:#?}", said(home)));
}

#[test]
fn attacks_on_the_agent_are_incidents_and_its_owner_ends_it_in_peace() {
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("skipped: needs root to see who does what");
    }
    let home = Home::new(None);
    let agent = home.start();
    let shell = |script: &str| assert!(Command::new("/bin/sh").args(["-c", script]).status().unwrap().success(), "{script}");

    // Stopped and continued by a stranger.
    if home.json(&["status"])[0]["rung"] == "ebpf" {
        shell(&format!("sleep 0.2; kill -STOP {0}; sleep 0.2; kill -CONT {0}; sleep 0.2", agent.pid()));
        expect(&home, &format!("sent signal 19 to the agent (pid {})", agent.pid()));
    } else {
        eprintln!("skipped: signals are seen by kernel programs only, and they are refused here");
    }

    // Its records and its settings.
    shell(&format!("sleep 0.2; echo x > {}; sleep 0.3", home.path("data/stray").display()));
    expect(&home, &home.path("data/stray").display().to_string());
    shell(&format!("sleep 0.2; echo '# x' >> {}; sleep 0.3", home.path("agent.toml").display()));
    expect(&home, &format!("wrote to {}", home.path("agent.toml").display()));
    let incidents = home.json(&["incidents"]);
    assert!(!incidents.is_empty() && !home.json(&["alerts"]).is_empty(), "{incidents:#?}");

    // Killed.
    let pid = agent.pid();
    agent.kill();
    let agent = home.start();
    expect(&home, &format!("(pid {pid}) was killed or crashed"));

    // Ended by its owner, started again: not a word.
    let before = said(&home);
    assert!(home.run(&["mode", "balanced"]).status.success());
    let stopped = home.run(&["stop"]);
    assert!(stopped.status.success(), "{}", told(&stopped));
    drop(agent);
    assert!(home.run(&["audit", "verify"]).status.success(), "intact, asked without an agent");
    let agent = home.start();
    std::thread::sleep(Duration::from_secs(1));
    let new: Vec<String> = said(&home).into_iter().filter(|sentence| !before.contains(sentence)).collect();
    assert!(!new.iter().any(|sentence| sentence.contains("was killed or crashed") || sentence.contains("sent signal")), "{new:#?}");
    drop(agent);

    // The tail of the audit log cut while nobody watches.
    let database = rusqlite::Connection::open(home.path("data/ledger.db")).unwrap();
    let cut = "DROP TRIGGER audit_keeps; DELETE FROM audit WHERE seq > (SELECT MAX(seq) - 1 FROM audit);";
    database.execute_batch(cut).unwrap();
    drop(database);
    let verdict = home.run(&["audit", "verify"]);
    assert!(verdict.status.code() == Some(5) && told(&verdict).contains("the log had"), "{}", told(&verdict));
    let _agent = home.start();
    expect(&home, "changed the audit log: the log had");
    let verdict = home.run(&["audit", "verify"]);
    assert_eq!(verdict.status.code(), Some(5), "and stays told: {}", told(&verdict));
}
