//! Any sequence of actions, endings, crashes and rollbacks ends in the state in which it began.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use support::guarded::Guarded;
use support::hand::{self, Hand};
use support::network::Network;
use support::state::{Scene, State};
use support::trees::Tree;
use support::{can_run, effects, wait_until};

/// Sequences tried; `BARTIZAN_TEST_CASES` for more.
const CASES: u32 = 12;

/// A part of a sequence.
#[derive(Debug, Clone)]
enum Part {
    /// So many seeded random things: actions of every kind, rollbacks, confirmations, reconciliations, emergency stops.
    Steps { seed: u64, count: u64 },
    /// The same without an end, killed after so many microseconds.
    Crash { seed: u64, after: u64 },
    /// Killed while it recovers.
    CrashInRecovery { after: u64 },
    /// Time passes: what was made for a second ends by itself.
    Wait,
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        4 => (any::<u64>(), 1..6u64).prop_map(|(seed, count)| Part::Steps { seed, count }),
        3 => (any::<u64>(), 0..60_000u64).prop_map(|(seed, after)| Part::Crash { seed, after }),
        1 => (0..20_000u64).prop_map(|after| Part::CrashInRecovery { after }),
        1 => Just(Part::Wait),
    ]
}

#[test]
#[ignore = "the child that the other test starts and kills"]
fn the_hand() {
    hand::live();
}

#[test]
fn any_sequence_ends_where_it_began() {
    if !can_run(&["ip", "nft", "nsenter", "unshare", "ps"]) {
        return;
    }
    let cases = std::env::var("BARTIZAN_TEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(CASES);
    let (host, _group) = (Guarded::new(Network::new()), hand::EmptyGroup::make());
    // A failure is shrunk and printed; nothing is written into the repository.
    let config = Config { cases, max_shrink_iters: 40, failure_persistence: None, ..Config::default() };
    let sequences = prop::collection::vec(part(), 1..8);
    TestRunner::new(config).run(&sequences, |sequence| one(&host, &sequence).map_err(TestCaseError::fail)).unwrap();
}

fn one(host: &Guarded, sequence: &[Part]) -> Result<(), String> {
    let home = tempfile::Builder::new().prefix("bartizan-sequence-").tempdir().unwrap();
    let mut trees: Vec<Tree> = (0..3).map(|_| Tree::grow()).collect();
    let notes = || vec![home.path().join("run/freeze"), home.path().join("data/expiry")];
    let state = |trees: &[Tree]| {
        let pids = trees.iter().flat_map(Tree::members).collect();
        State::read(&Scene { host, pids, notes: notes(), instance: "", docker: None })
    };
    let before = state(&trees);
    let pids: Vec<u32> = trees.iter().map(Tree::pid).collect();
    let mut told = Vec::new();
    for part in sequence {
        let mut hand = Hand::start(host, home.path(), &pids);
        hand.wait("recovering");
        if let Part::CrashInRecovery { after } = part {
            std::thread::sleep(Duration::from_micros(*after));
            told.extend(hand.kill());
            continue;
        }
        hand.wait("recovered");
        match part {
            Part::Steps { seed, count } => {
                hand.tell(&format!("steps {seed} {count}"));
                hand.wait("done");
                told.extend(hand.part());
            }
            Part::Crash { seed, after } => {
                hand.tell(&format!("go {seed}"));
                std::thread::sleep(Duration::from_micros(*after));
                told.extend(hand.kill());
            }
            Part::Wait | Part::CrashInRecovery { .. } => {
                std::thread::sleep(Duration::from_millis(1_500));
                told.extend(hand.part());
            }
        }
    }
    let mut hand = Hand::start(host, home.path(), &pids);
    hand.wait("recovered");
    hand.tell("end");
    let rows = hand::rows(&hand.wait("ended"));
    told.extend(hand.part());
    told.retain(|line| !line.starts_with("recovered") && !line.starts_with("ended"));
    let open: Vec<_> = rows.iter().filter(|row| row.state.is_active()).collect();
    if !open.is_empty() {
        return Err(format!("still active: {open:#?}\n{told:#?}"));
    }
    let faults: Vec<_> = told.iter().filter(|line| line.starts_with("fault") || line.starts_with("alarm")).collect();
    if !faults.is_empty() {
        return Err(format!("{faults:#?}\n{told:#?}"));
    }
    wait_until("watchdogs to end", Duration::from_secs(10), || effects::watchers(home.path()).is_empty());
    // What was killed stays so: of the others, everybody is there, in the state and the group in which it was.
    let alive: Vec<u32> = trees.iter_mut().filter_map(|tree| tree.is_alive().then(|| tree.pid())).collect();
    let pids: Vec<u32> = trees.iter().filter(|tree| alive.contains(&tree.pid())).flat_map(Tree::members).collect();
    let ended: Vec<u32> = trees.iter().filter(|tree| !alive.contains(&tree.pid())).map(Tree::pid).collect();
    let killed = told.iter().any(|line| line.starts_with("step kill"));
    if !ended.is_empty() && !killed {
        return Err(format!("trees {ended:?} ended and nobody killed them\n{told:#?}"));
    }
    let after = State::read(&Scene { host, pids: pids.clone(), notes: notes(), instance: "", docker: None });
    let relevant = |what: &str| what.strip_prefix("process ").is_some_and(|pid| !pids.iter().any(|alive| alive.to_string() == pid));
    let differences = before.without(relevant).differences(&after);
    if differences.is_empty() { Ok(()) } else { Err(format!("{differences}\n{told:#?}")) }
}
