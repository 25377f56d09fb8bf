//! SIGKILL at a thousand seeded random points of mixed actions: nothing without an owner, nothing done twice, and at the
//! end the host is as it was.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bartizan::model::{Action, ActionState};
use bartizan::store::ledger::Ledger;
use support::agent::signal;
use support::dice::Dice;
use support::effects;
use support::guarded::Guarded;
use support::hand::{self, Hand, must_and_may};
use support::network::Network;
use support::state::{Scene, State, assert_same};
use support::trees::Tree;
use support::{can_run, wait_until};

/// Points at which the hand is killed.
const POINTS: usize = 1_000;
/// Points on one ledger; then everything is rolled back and compared, and a new one begins.
const ON_ONE_LEDGER: usize = 125;
const TREES: usize = 4;

/// One ledger's life and deaths.
struct Round<'a> {
    host: &'a Guarded,
    home: tempfile::TempDir,
    trees: Vec<Tree>,
    /// What was said by all hands, for a failure.
    told: Vec<String>,
}

impl Round<'_> {
    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn runtime(&self) -> PathBuf {
        self.home.path().join("run")
    }

    fn start(&mut self) -> Hand {
        // What was killed grows again, so that there is always somebody to act on.
        for tree in &mut self.trees {
            if !tree.is_alive() {
                *tree = Tree::grow();
            }
        }
        let pids: Vec<u32> = self.trees.iter().map(Tree::pid).collect();
        Hand::start(self.host, self.home.path(), &pids)
    }

    /// The last that was said.
    fn story(&self) -> String {
        self.told.iter().rev().take(40).rev().cloned().collect::<Vec<_>>().join("\n    ")
    }

    /// After recovery: the kernel shows what the rows say and nothing else, and nothing is half done.
    fn check(&self, rows: &[Action], instance: &str, point: usize) {
        let story = || self.story();
        let open: Vec<_> = rows.iter().filter(|row| matches!(row.state, ActionState::Applying | ActionState::Planned)).collect();
        assert!(open.is_empty(), "point {point}: half done after recovery: {open:#?}\n    {}", story());
        let unknown: Vec<_> = rows.iter().filter(|row| row.state == ActionState::Unknown).collect();
        assert!(unknown.is_empty(), "point {point}: {unknown:#?}\n    {}", story());
        let (must, may) = must_and_may(rows);
        let found = effects::found(self.host, &self.runtime(), &self.data(), instance);
        let (must, may) = (effects::wanted(must, instance), effects::wanted(may, instance));
        let missing: Vec<_> = must.difference(&found).collect();
        assert!(missing.is_empty(), "point {point}: rows without effect: {missing:?}\nfound {found:#?}\n    {}", story());
        let orphans: Vec<_> = found.difference(&may).collect();
        assert!(orphans.is_empty(), "point {point}: effects without a row: {orphans:?}\nrows {may:#?}\n    {}", story());
        for (at, row) in rows.iter().enumerate().filter(|(_, row)| row.state == ActionState::Live) {
            let twice = rows
                .iter()
                .skip(at + 1)
                .find(|other| other.state == ActionState::Live && other.kind == row.kind && other.target.is_same(&row.target));
            assert!(twice.is_none(), "point {point}: the same is live twice: {row:#?} and {twice:#?}");
        }
    }
}

impl Drop for Round<'_> {
    fn drop(&mut self) {
        // Only after a failure: a watchdog that outlived its work, and whose directory goes now.
        for pid in effects::watchers(self.home.path()) {
            signal(pid, nix::sys::signal::Signal::SIGKILL);
        }
    }
}

/// Each action was intended once, and took at most once.
fn audited_once(data: &Path) -> usize {
    let ledger = Ledger::open(data, chrono::Utc::now()).unwrap();
    let verdict = ledger.verify().unwrap();
    assert!(verdict.intact, "the audit log is broken: {verdict:?}");
    let mut times: BTreeMap<(String, &str), usize> = BTreeMap::new();
    for entry in ledger.audit_tail(1_000_000).unwrap() {
        let step = match entry.body.what.as_str() {
            "action.intended" => "intended",
            "action.applied" | "action.adopted" => "done",
            "action.rolled_back" => "undone",
            _ => continue,
        };
        *times.entry((entry.body.subject, step)).or_default() += 1;
    }
    let twice: Vec<_> = times.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "more than once: {twice:?}");
    times.keys().filter(|(_, step)| *step == "done").count()
}

fn instance(data: &Path) -> String {
    Ledger::open(data, chrono::Utc::now()).unwrap().instance().to_owned()
}

#[test]
#[ignore = "the child that the other test kills"]
fn the_hand() {
    hand::live();
}

#[test]
fn killed_at_a_thousand_points_nothing_is_orphaned_or_done_twice() {
    if !can_run(&["ip", "nft", "nsenter", "unshare", "ps"]) {
        return;
    }
    let (_, mut dice) = Dice::of_this_run("faults");
    let points = std::env::var("BARTIZAN_TEST_POINTS").ok().and_then(|text| text.parse().ok()).unwrap_or(POINTS);
    let (host, _group) = (Guarded::new(Network::new()), hand::EmptyGroup::make());
    let (mut point, mut done) = (0, 0);
    while point < points {
        let until = points.min(point + ON_ONE_LEDGER);
        done += one_ledger(&host, &mut dice, point, until);
        point = until;
    }
    eprintln!("faults: {points} deaths, {done} actions done, 0 orphans, 0 doubles");
    assert!(done > points / 10, "only {done} actions were done between {points} deaths: nothing was tried");
}

fn one_ledger(host: &Guarded, dice: &mut Dice, from: usize, until: usize) -> usize {
    let home = tempfile::Builder::new().prefix("bartizan-faults-").tempdir().unwrap();
    let mut round = Round { host, home, trees: (0..TREES).map(|_| Tree::grow()).collect(), told: Vec::new() };
    let scene = || Scene { host, pids: Vec::new(), notes: vec![round.runtime().join("freeze"), round.data().join("expiry")], docker: None };
    let before = State::read(&scene());
    let mut name = String::new();
    for point in from..until {
        let mut hand = round.start();
        hand.wait("recovering");
        if dice.percent(15) {
            // It dies while it reconciles; the next one recovers from that.
            std::thread::sleep(Duration::from_micros(dice.below(12_000)));
            round.told.extend(hand.kill().into_iter().filter(|line| !line.starts_with("recovered")));
            round.told.push(format!("-- point {point}: killed in recovery"));
            continue;
        }
        let rows = hand::rows(&hand.wait("recovered"));
        if name.is_empty() {
            name = instance(&round.data());
        }
        round.check(&rows, &name, point);
        let (seed, moment) = (dice.next(), Duration::from_micros(dice.below(30_000)));
        hand.tell(&format!("go {seed}"));
        std::thread::sleep(moment);
        round.told.extend(hand.kill().into_iter().filter(|line| !line.starts_with("recovered")));
        round.told.push(format!("-- point {point}: killed after {moment:?}"));
        let faults: Vec<_> = round.told.iter().filter(|line| line.starts_with("fault") || line.starts_with("alarm")).collect();
        // Nobody but ourselves touches anything here: an alarm says that we took our own doing for somebody else's.
        assert!(faults.is_empty(), "point {point}: {faults:#?}\n    {}", round.story());
    }
    let mut hand = round.start();
    let rows = hand::rows(&hand.wait("recovered"));
    round.check(&rows, &name, until);
    hand.tell("end");
    hand::rows(&hand.wait("ended")).iter().for_each(|row| assert!(!row.state.is_active(), "{row:#?}"));
    hand.part();
    wait_until("watchdogs to end", Duration::from_secs(10), || effects::watchers(round.home.path()).is_empty());
    let after = State::read(&Scene {
        host,
        pids: Vec::new(),
        notes: vec![round.runtime().join("freeze"), round.data().join("expiry")],
        docker: None,
    });
    assert_same(&before, &after, "everything rolled back");
    for tree in &mut round.trees {
        assert!(!tree.is_alive() || tree.members().len() == 3, "a tree lost members");
    }
    audited_once(&round.data())
}
