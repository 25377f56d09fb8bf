//! A hundred attempts to make the guard lock its owner out, through every door, with a live SSH session that must survive
//! each of them and a new login that must succeed after each of them.

#![allow(unreachable_pub, missing_docs)] // parts of one test program
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

#[path = "lockout/accounts.rs"]
mod accounts;
#[path = "lockout/addresses.rs"]
mod addresses;
#[path = "lockout/containment.rs"]
mod containment;
#[path = "lockout/incidents.rs"]
mod incidents;
#[path = "lockout/processes.rs"]
mod processes;
#[path = "lockout/races.rs"]
mod races;
#[path = "lockout/rules.rs"]
mod rules;
#[path = "lockout/stage.rs"]
mod stage;

use stage::{Attempt, Stage};
use support::can_run;

/// The least number of attempts that this suite must hold.
const LEAST: usize = 100;

/// Gives the attempts of one chapter.
type Chapter = fn(&Stage) -> Vec<Attempt>;

/// Every chapter: its name, and its attempts. A new one is one line.
const CHAPTERS: [(&str, Chapter); 7] = [
    ("addresses", addresses::attempts),
    ("processes", processes::attempts),
    ("rules", rules::attempts),
    ("incidents", incidents::attempts),
    ("containment", containment::attempts),
    ("accounts", accounts::attempts),
    ("races", races::attempts),
];

#[test]
fn no_attempt_locks_the_owner_out() {
    if !can_run(&["ip", "nft", "nsenter", "unshare", "ssh", "ssh-keygen", "busybox", "tmux", "sudo"]) {
        return;
    }
    if !std::path::Path::new("/usr/sbin/sshd").is_file() {
        return eprintln!("skipped: there is no /usr/sbin/sshd (./test.sh installs it where it may)");
    }
    let wanted = std::env::var("BARTIZAN_TEST_CHAPTER").ok();
    let mut stage = Stage::set();
    let (mut tried, mut failures) = (0, Vec::new());
    for (name, attempts) in CHAPTERS.iter().filter(|(name, _)| wanted.as_ref().is_none_or(|wanted| wanted == name)) {
        let attempts = attempts(&stage);
        let count = attempts.len();
        for attempt in attempts {
            failures.extend(stage.face(attempt).err().map(|why| format!("{name}: {why}")));
        }
        eprintln!("lock-out: {count} attempts on {name}");
        tried += count;
    }
    assert!(failures.is_empty(), "{} of {tried} attempts:\n  {}", failures.len(), failures.join("\n  "));
    assert!(tried >= LEAST || wanted.is_some(), "only {tried} attempts");
    eprintln!("lock-out: {tried} attempts, 0 cuts");
}
