//! SIGKILL at a thousand seeded random points of mixed actions: nothing without an owner, nothing done twice, and at the
//! end the host is as it was.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bartizan_model::{Action, ActionKind, ActionState, Target};
use bartizan_store::ledger::Ledger;
use support::agent::{self, Home, signal};
use support::dice::Dice;
use support::effects;
use support::ends::Program;
use support::guarded::Guarded;
use support::hand::{self, Hand, must_and_may};
use support::network::Network;
use support::state::{Scene, State, assert_same};
use support::trees::Tree;
use support::{can_run, wait_for, wait_until};

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

    /// After recovery.
    fn check(&self, rows: &[Action], instance: &str, point: usize) {
        compare(self.host, (&self.runtime(), &self.data()), rows, instance, &format!("point {point}"), &self.told);
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

/// Deaths of the whole agent.
const AGENT_POINTS: u64 = 24;

/// What is asked of the whole agent, every kind that needs no container. `{tree}` is filled in.
const VERBS: [&str; 14] = [
    "block 203.0.113.1", "block 203.0.113.2 --for 2s", "block --out 2001:db8::1", "limit 203.0.113.3 --packets 5",
    "block 203.0.113.4 --user alice", "freeze {tree}", "kill {tree}", "disable-user alice", "restore /etc/ssh/sshd_config", "contain",
    "confirm {id}", "rollback {id}", "rollback --all", "emergency-stop",
];

/// The whole agent, its console socket, its standing watchdog and its sensors: killed within 30 ms after something was asked.
#[test]
fn the_whole_agent_killed_finds_itself_again() {
    if !can_run(&["ip", "nft", "nsenter", "unshare", "ps", "useradd"]) {
        return;
    }
    let (_, mut dice) = Dice::of_this_run("faults of the whole agent");
    let host = Guarded::new(Network::new());
    host.shell("useradd -m -s /bin/sh alice && useradd -m -s /bin/sh owner && usermod -p '$5$x$y' owner && { ! getent group sudo >/dev/null || usermod -aG sudo owner; }");
    host.shell("mkdir -p /etc/ssh && echo 'UsePAM no' >/etc/ssh/sshd_config");
    let home = Home::on(&host);
    let agent = home.start();
    let kept = || home.json(&["copies"]).iter().any(|copy| copy["path"] == "/etc/ssh/sshd_config").then_some(());
    wait_for("a copy of sshd_config", Duration::from_secs(30), kept, String::new);
    host.shell("echo '# changed since' >>/etc/ssh/sshd_config");
    assert!(agent.stop().success());
    let (runtime, data) = (home.path("data/run"), home.path("data"));
    let notes = || vec![runtime.join("freeze"), data.join("expiry")];
    let own = |what: &str| what.starts_with("note ") && what.rsplit('/').next().is_some_and(|name| name.starts_with('.'));
    let name = instance(&data);
    let before = State::read(&Scene { host: &host, pids: Vec::new(), notes: notes(), instance: &name, docker: None }).without(own);
    let (mut tree, mut told) = (Tree::grow(), Vec::new());
    for point in 0..AGENT_POINTS {
        if !tree.is_alive() {
            tree = Tree::grow();
        }
        let agent = home.start();
        let rows: Vec<Action> = home.json(&["actions"]).into_iter().map(|row| serde_json::from_value(row).unwrap()).collect();
        compare(&host, (&runtime, &data), &rows, &name, &format!("after death {point}"), &told);
        let newest = rows.iter().find(|row| row.state.is_active()).map_or("A1".to_owned(), |row| row.id.to_string());
        // One before, so that there is something to be in the middle of; then the one that it dies in.
        for verb in [dice.pick(&VERBS[..10]), dice.pick(&VERBS)] {
            let words = verb.replace("{tree}", &tree.pid().to_string()).replace("{id}", &newest);
            let moment = Duration::from_micros(dice.below(200_000));
            told.push(format!("{words}, {moment:?}"));
            let mut command = home.command(&words.split(' ').collect::<Vec<_>>());
            let mut client = Program::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
            std::thread::sleep(moment);
            if verb == VERBS.last().unwrap() || dice.percent(50) {
                client.wait().unwrap();
            }
            // The client is ours: it ends with its agent.
            std::thread::spawn(move || client.wait());
        }
        agent.kill();
        told.push("-- killed".to_owned());
    }
    let agent = home.start();
    let undone = home.run(&["rollback", "--all"]);
    assert!(undone.status.success(), "{}\n{told:#?}", agent::told(&undone));
    let after = State::read(&Scene { host: &host, pids: Vec::new(), notes: notes(), instance: &name, docker: None }).without(own);
    let rows: Vec<Action> = home.json(&["actions"]).into_iter().map(|row| serde_json::from_value(row).unwrap()).collect();
    let before = confirmed_copy(&rows).map_or(before.clone(), |copy| before.holding("/etc/ssh/sshd_config", copy));
    assert_same(&before, &after, &format!("everything rolled back: {told:#?}\n{rows:#?}"));
    let verdict = home.run(&["audit", "verify"]);
    assert!(verdict.status.success(), "{}", agent::told(&verdict));
    assert!(agent.stop().success());
    audited_once(&data);
    let watchdogs = || processes_naming(&data);
    wait_for(
        "the standing watchdog to end",
        Duration::from_secs(30),
        || watchdogs().is_empty().then_some(()),
        || format!("{:?}", watchdogs()),
    );
}

/// The copy that the restored file holds for good: a restoration that was confirmed stays, whatever is rolled back after it.
fn confirmed_copy(rows: &[Action]) -> Option<&str> {
    let newest = rows
        .iter()
        .find(|row| row.confirmation.as_ref().is_some_and(|given| given.confirmed_at.is_some()) && row.kind == ActionKind::RestoreFile);
    match &newest?.target {
        Target::File { copy, .. } => Some(copy),
        other => panic!("a restoration of {other}"),
    }
}

/// Processes whose command line names this directory.
fn processes_naming(place: &Path) -> Vec<String> {
    let output = std::process::Command::new("ps").args(["-eo", "pid=,args="]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter(|line| line.contains(&place.display().to_string())).map(str::to_owned).collect()
}

/// The kernel shows what the rows say and nothing else, and nothing is half done.
fn compare(host: &Guarded, (runtime, data): (&Path, &Path), rows: &[Action], instance: &str, when: &str, told: &[String]) {
    let story = || told.iter().rev().take(40).rev().cloned().collect::<Vec<_>>().join("\n    ");
    let half = |state| matches!(state, ActionState::Applying | ActionState::Planned | ActionState::Unknown);
    let open: Vec<_> = rows.iter().filter(|row| half(row.state)).collect();
    assert!(open.is_empty(), "{when}: half done after recovery: {open:#?}\n    {}", story());
    let (must, may) = must_and_may(rows);
    let found = effects::found(host, runtime, data, instance);
    let (must, may) = (effects::wanted(must, instance), effects::wanted(may, instance));
    let missing: Vec<_> = must.difference(&found).collect();
    assert!(missing.is_empty(), "{when}: rows without effect: {missing:?}\nfound {found:#?}\n    {}", story());
    let orphans: Vec<_> = found.difference(&may).collect();
    assert!(orphans.is_empty(), "{when}: effects without a row: {orphans:?}\nrows {may:#?}\n    {}", story());
    for (at, row) in rows.iter().enumerate().filter(|(_, row)| row.state == ActionState::Live) {
        let same = |other: &&Action| other.state == ActionState::Live && other.kind == row.kind && other.target.is_same(&row.target);
        let twice = rows.iter().skip(at + 1).find(same);
        assert!(twice.is_none(), "{when}: the same is live twice: {row:#?} and {twice:#?}\n    {}", story());
    }
}

fn one_ledger(host: &Guarded, dice: &mut Dice, from: usize, until: usize) -> usize {
    let home = tempfile::Builder::new().prefix("bartizan-faults-").tempdir().unwrap();
    let mut round = Round { host, home, trees: (0..TREES).map(|_| Tree::grow()).collect(), told: Vec::new() };
    let notes = vec![round.runtime().join("freeze"), round.data().join("expiry")];
    let mut name = String::new();
    let before = State::read(&Scene { host, pids: Vec::new(), notes: notes.clone(), instance: &name, docker: None });
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
    let after = State::read(&Scene { host, pids: Vec::new(), notes, instance: &name, docker: None });
    assert_same(&before, &after, "everything rolled back");
    for tree in &mut round.trees {
        assert!(!tree.is_alive() || tree.members().len() == 3, "a tree lost members");
    }
    audited_once(&round.data())
}
