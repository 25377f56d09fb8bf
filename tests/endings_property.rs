//! Whatever keeps actions from being applied or undone for a while, in whatever order, with the agent killed in between: what
//! failed, was undone, expired or was stopped is never live again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bartizan_model::{Action, ActionId, Desired, Target};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use support::can_run;
use support::driven::{self, Driven, Order};
use support::guarded::Guarded;
use support::network::Network;
use support::obstacles::{AccountsLocked, FullDisk, OwnedTable, ReadOnly};
use support::trees::Tree;

/// Sequences tried; `BARTIZAN_TEST_CASES` for more.
const CASES: u32 = 5;
/// Within this everything is gone once nothing keeps it.
const PATIENCE: Duration = Duration::from_secs(60);
const ADDRESSES: u8 = 2;

/// What comes and goes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Obstacle {
    AccountsLocked,
    EtcReadOnly,
    TableOwned,
    TableOwnedWithTheSame,
    DiskFull,
    /// The cgroup that the tree came from.
    GroupGone,
}

#[derive(Debug, Clone)]
enum Move {
    Block {
        last: u8,
        short: bool,
    },
    Freeze {
        short: bool,
    },
    Disable {
        short: bool,
    },
    /// The nth of those that are active.
    Undo(usize),
    Confirm(usize),
    Reconcile,
    Stop,
    Toggle(Obstacle),
    Crash,
    /// What was made for a second is over then.
    Wait,
}

fn moves() -> impl Strategy<Value = Move> {
    use Obstacle::*;
    let obstacle = prop::sample::select(vec![AccountsLocked, EtcReadOnly, TableOwned, TableOwnedWithTheSame, DiskFull, GroupGone]);
    prop_oneof![
        4 => (1..=ADDRESSES, prop::bool::weighted(0.3)).prop_map(|(last, short)| Move::Block { last, short }),
        2 => prop::bool::weighted(0.3).prop_map(|short| Move::Freeze { short }),
        2 => prop::bool::weighted(0.3).prop_map(|short| Move::Disable { short }),
        4 => (0..4usize).prop_map(Move::Undo),
        1 => (0..4usize).prop_map(Move::Confirm),
        3 => Just(Move::Reconcile),
        1 => Just(Move::Stop),
        6 => obstacle.prop_map(Move::Toggle),
        3 => Just(Move::Crash),
        1 => Just(Move::Wait),
    ]
}

#[test]
#[ignore = "the child that the other test starts and kills"]
fn driven() {
    driven::live();
}

#[test]
fn nothing_that_failed_or_was_ended_is_ever_live_again() {
    if !can_run(&["ip", "nft", "nsenter", "unshare", "useradd"]) {
        return;
    }
    let cases = std::env::var("BARTIZAN_TEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(CASES);
    let host = Guarded::new(Network::new());
    host.shell("useradd -m -s /bin/sh bob && usermod -p '$5$x$y' bob");
    // A failure is shrunk and printed; nothing is written into the repository.
    let config = Config { cases, max_shrink_iters: 20, failure_persistence: None, ..Config::default() };
    let sequences = prop::collection::vec(moves(), 4..16);
    TestRunner::new(config).run(&sequences, |sequence| Play::of(&host, &sequence).map_err(TestCaseError::fail)).unwrap();
}

/// A cgroup of the tree's own, where there is cgroup 2.
struct OwnGroup(Option<PathBuf>);

impl OwnGroup {
    fn of(tree: &Tree) -> Self {
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        let place = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()).find(|fields| fields.get(2) == Some(&"cgroup2"));
        let group = place.map(|place| Path::new(place[1]).join(support::unique("bartizan-endings-")));
        if let Some(group) = &group {
            std::fs::create_dir(group).unwrap();
            tree.members().iter().for_each(|pid| std::fs::write(group.join("cgroup.procs"), pid.to_string()).unwrap());
        }
        Self(group)
    }
}

impl Drop for OwnGroup {
    fn drop(&mut self) {
        let empty = || self.0.as_ref().is_none_or(|group| std::fs::remove_dir(group).is_ok() || !group.exists());
        let begun = Instant::now();
        while !empty() && begun.elapsed() < Duration::from_secs(3) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// One sequence on the way.
struct Play<'a> {
    host: &'a Guarded,
    home: PathBuf,
    tree: Tree,
    group: OwnGroup,
    uid: u32,
    bob: String,
    hand: Option<Driven>,
    rows: Vec<Action>,
    /// Meant to be gone, as far as anybody was told.
    over: BTreeSet<ActionId>,
    /// Targets on which nothing is meant to be, and on which nothing was seen.
    clear: BTreeSet<String>,
    locked: Option<AccountsLocked>,
    read_only: Option<ReadOnly<'a>>,
    owned: Option<OwnedTable>,
    full: Option<FullDisk<'a>>,
    log: Vec<String>,
}

impl<'a> Play<'a> {
    fn of(host: &'a Guarded, sequence: &[Move]) -> Result<(), String> {
        let home = tempfile::Builder::new().prefix("bartizan-endings-").tempdir().unwrap();
        let data = home.path().join("data").display().to_string();
        host.shell(&format!("mkdir -p '{data}' && mount -t tmpfs -o size=3m,mode=0700 small '{data}'"));
        let tree = Tree::grow();
        let group = OwnGroup::of(&tree);
        let mut play = Play {
            host,
            home: home.path().to_owned(),
            group,
            tree,
            uid: host.shell("id -u bob").trim().parse().unwrap(),
            bob: host.shell("grep ^bob: /etc/shadow"),
            hand: None,
            rows: Vec::new(),
            over: BTreeSet::new(),
            clear: BTreeSet::new(),
            locked: None,
            read_only: None,
            owned: None,
            full: None,
            log: Vec::new(),
        };
        let played = play.start().and_then(|()| sequence.iter().try_for_each(|step| play.step(step))).and_then(|()| play.end());
        if let Some(hand) = play.hand.take() {
            hand.kill();
        }
        let log = std::mem::take(&mut play.log);
        drop(play);
        host.try_shell(&format!("umount -l '{data}'; nft delete table inet bartizan"));
        played.map_err(|fault| format!("{fault}\n{}", log.join("\n")))
    }

    fn start(&mut self) -> Result<(), String> {
        let mut found = Driven::start(self.host, &self.home);
        if found.is_none() {
            // An agent that cannot open its ledger does nothing: no obstacle to what is tested here.
            (self.full, self.read_only) = (None, None);
            found = Driven::start(self.host, &self.home);
        }
        let (hand, rows) = found.ok_or("the agent does not start")?;
        self.hand = Some(hand);
        self.judge("started", rows)
    }

    fn active(&self, nth: usize) -> Option<ActionId> {
        let active: Vec<ActionId> = self.rows.iter().filter(|row| row.state.is_active()).map(|row| row.id).collect();
        active.get(nth % active.len().max(1)).copied()
    }

    fn step(&mut self, step: &Move) -> Result<(), String> {
        let seconds = |short: bool| if short { 1 } else { 600 };
        match step {
            Move::Block { last, short } => self.tell(&Order::Block { last: *last, seconds: seconds(*short) }),
            Move::Freeze { short } => self.tell(&Order::Freeze { pid: self.tree.pid(), seconds: seconds(*short) }),
            Move::Disable { short } => self.tell(&Order::Disable { name: "bob".to_owned(), uid: self.uid, seconds: seconds(*short) }),
            Move::Undo(nth) => match self.active(*nth) {
                Some(id) => {
                    self.over.insert(id);
                    self.tell(&Order::Undo(id.0))
                }
                None => Ok(()),
            },
            Move::Confirm(nth) => self.active(*nth).map_or(Ok(()), |id| self.tell(&Order::Confirm(id.0))),
            Move::Reconcile => self.tell(&Order::Reconcile),
            Move::Stop => {
                self.over.extend(self.rows.iter().map(|row| row.id));
                self.tell(&Order::EmergencyStop)
            }
            Move::Toggle(obstacle) => {
                self.toggle(*obstacle);
                self.tell(&Order::Reconcile)
            }
            Move::Crash => {
                if let Some(hand) = self.hand.take() {
                    hand.kill();
                }
                self.start()
            }
            Move::Wait => {
                std::thread::sleep(Duration::from_millis(4_200));
                self.tell(&Order::Reconcile)
            }
        }
    }

    fn toggle(&mut self, obstacle: Obstacle) {
        self.log.push(format!("toggle {obstacle:?}"));
        match obstacle {
            // Open for writing and read-only exclude each other.
            Obstacle::AccountsLocked if self.locked.is_some() || self.read_only.is_some() => self.locked = None,
            Obstacle::AccountsLocked => self.locked = Some(AccountsLocked::on(self.host)),
            Obstacle::EtcReadOnly if self.read_only.is_some() || self.locked.is_some() => self.read_only = None,
            Obstacle::EtcReadOnly => self.read_only = Some(ReadOnly::on(self.host, "/etc")),
            Obstacle::TableOwned | Obstacle::TableOwnedWithTheSame if self.owned.is_some() => self.owned = None,
            Obstacle::TableOwned => self.owned = Some(OwnedTable::on(self.host, "")),
            Obstacle::TableOwnedWithTheSame => {
                let set = "add set inet bartizan block_in4 { type ipv4_addr; flags timeout; }";
                let element = "add element inet bartizan block_in4 { 203.0.113.1 timeout 9m }";
                self.owned = Some(OwnedTable::on(self.host, &format!("{set}; {element}")));
            }
            Obstacle::DiskFull if self.full.is_some() => self.full = None,
            Obstacle::DiskFull => self.full = Some(FullDisk::on(self.host, &self.home.join("data").display().to_string())),
            Obstacle::GroupGone => {
                if let Some(group) = &self.group.0
                    && std::fs::remove_dir(group).is_err()
                    && !group.exists()
                {
                    std::fs::create_dir(group).unwrap();
                }
            }
        }
    }

    fn tell(&mut self, order: &Order) -> Result<(), String> {
        let Some(hand) = &mut self.hand else { return Err("no agent".to_owned()) };
        let (said, rows) = hand.tell(order);
        self.judge(&format!("{order:?}: {said}"), rows)
    }

    /// What was ended stays so in every row, and on the host.
    fn judge(&mut self, what: &str, rows: Vec<Action>) -> Result<(), String> {
        let shown: Vec<String> = rows.iter().map(|row| format!("{} {} {}", row.id, row.standing(), row.note)).collect();
        self.log.push(format!("{what}\n    {}", shown.join("\n    ")));
        for row in &rows {
            let is_gone = row.desired != Desired::Live;
            if self.over.contains(&row.id) && !is_gone {
                return Err(format!("{} is meant to be live again", row.id));
            }
            if is_gone || !row.state.is_active() {
                self.over.insert(row.id);
            }
        }
        self.rows = rows;
        for (key, shown) in self.effects() {
            let of = |row: &&Action| row.state.is_active() && key_of(&row.target) == key;
            let meant = self.rows.iter().filter(of).any(|row| row.desired == Desired::Live);
            if shown && self.clear.contains(&key) && !meant {
                return Err(format!("{key} came alive again"));
            }
            match (meant, shown) {
                (true, _) => drop(self.clear.remove(&key)),
                (false, false) => drop(self.clear.insert(key)),
                (false, true) => {}
            }
        }
        Ok(())
    }

    /// What can be done something to, and whether the host shows it.
    fn effects(&self) -> Vec<(String, bool)> {
        let bob = self.host.shell("grep ^bob: /etc/shadow") != self.bob;
        let frozen = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|text| text.contains("/bartizan/"));
        let mut effects = vec![("bob".to_owned(), bob), ("tree".to_owned(), frozen(self.tree.pid()))];
        // A table of somebody else's is not ours to be judged.
        if self.owned.is_none() {
            let rules = self.host.shell("nft list ruleset");
            effects.extend((1..=ADDRESSES).map(|last| {
                let address = format!("203.0.113.{last}");
                let shown = rules.contains(&address);
                (address, shown)
            }));
        }
        effects
    }

    /// Nothing keeps anything any more, and everything is asked to be undone.
    fn end(&mut self) -> Result<(), String> {
        (self.locked, self.read_only, self.owned, self.full) = (None, None, None, None);
        if let Some(group) = self.group.0.as_ref().filter(|group| !group.exists()) {
            std::fs::create_dir(group).unwrap();
        }
        let begun = Instant::now();
        loop {
            self.tell(&Order::Reconcile)?;
            while let Some(id) = self.rows.iter().find(|row| row.state.is_active() && row.desired == Desired::Live).map(|row| row.id) {
                self.over.insert(id);
                self.tell(&Order::Undo(id.0))?;
            }
            let shown: Vec<_> = self.effects().into_iter().filter(|(_, shown)| *shown).collect();
            if shown.is_empty() && self.rows.iter().all(|row| !row.state.is_active()) {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!("nothing keeps it, and still there: {shown:?}"));
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

fn key_of(target: &Target) -> String {
    match target {
        Target::User { .. } => "bob".to_owned(),
        Target::ProcessTree { .. } => "tree".to_owned(),
        other => other.address().map(|addr| addr.to_string()).unwrap_or_default(),
    }
}
