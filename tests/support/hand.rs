//! The responder in a process that may be killed at any moment: a child of the test, made of the test's own program,
//! that does seeded random things to a guarded host until it dies.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bartizan_config::Policy;
use bartizan_court::{ApprovalRequest, Court};
use bartizan_model::{
    Action, ActionKind, ActionPlan, ActionState, Approver, Direction, HostText, Lifeline, LifelineReason, Process, ProcessKey, Target,
    WarrantId, Whose,
};
use bartizan_responder::{ActError, Responder, Ties, second_look};
use bartizan_store::ledger::Ledger;
use bartizan_sys::pidfd::key_of;

use super::dice::Dice;
use super::ends::Program;
use super::guarded::Guarded;
use super::wait_for;

/// Whom nobody may cut off: the operator's address.
pub const OPERATOR: &str = "203.0.113.99";
/// How many different addresses and trees are acted on: few, so that actions meet each other.
const ADDRESSES: u64 = 6;
/// A cgroup whose packets to somewhere are dropped; made by whoever starts the child, empty.
const GROUP: &str = "bartizan-fault-test";
/// The environment variables by which the child knows its part.
const PART: &str = "BARTIZAN_TEST_HAND";
const TREES: &str = "BARTIZAN_TEST_TREES";

/// Chooses a target of one kind, among addresses of its own or these trees; none this time.
type Choose = fn(&mut Dice, &[u32]) -> Option<Target>;

/// What the child can be about: kinds, and how a target of each is chosen. A new kind is one line.
const KINDS: &[(ActionKind, Choose)] = &[
    (ActionKind::BlockAddress, |dice, _| {
        let direction = *dice.pick(&[Direction::In, Direction::Out]);
        Some(Target::Address { addr: address(dice), direction })
    }),
    (ActionKind::BlockAddresses, |dice, _| Some(Target::Addresses { addrs: (0..1 + dice.below(4)).map(|_| address(dice)).collect() })),
    (ActionKind::LimitSource, |dice, _| Some(Target::Source { addr: address(dice), packets_per_second: 1 + dice.below(1000) as u32 })),
    (ActionKind::BlockDestination, |dice, _| {
        let whose =
            if dice.percent(50) { Whose::User { uid: 33 } } else { Whose::Cgroup { path: HostText::from(format!("/{GROUP}").as_str()) } };
        Some(Target::Destination { addr: address(dice), whose })
    }),
    (ActionKind::ContainHost, |dice, _| dice.percent(40).then_some(Target::Host)),
    (ActionKind::FreezeTree, tree),
    (ActionKind::KillTree, |dice, trees| if dice.percent(15) { tree(dice, trees) } else { None }),
];

fn address(dice: &mut Dice) -> std::net::IpAddr {
    let last = 1 + dice.below(ADDRESSES);
    let text = if dice.percent(30) { format!("2001:db8::{last}") } else { format!("203.0.113.{last}") };
    text.parse().unwrap()
}

fn tree(dice: &mut Dice, trees: &[u32]) -> Option<Target> {
    let root = key_of(*dice.pick(trees))?;
    Some(Target::ProcessTree { root, exe: HostText::from("/bin/sh") })
}

/// The empty cgroup, while it is there.
pub struct EmptyGroup(PathBuf);

impl EmptyGroup {
    /// `None` on a host without cgroup 2.
    pub fn make() -> Option<Self> {
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        let place = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()).find(|fields| fields.get(2) == Some(&"cgroup2"))?;
        let directory = Path::new(place[1]).join(GROUP);
        std::fs::create_dir_all(&directory).unwrap();
        Some(Self(directory))
    }
}

impl Drop for EmptyGroup {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// The child's whole life; call it from an ignored test named `the_hand`. Nothing happens without the part's environment.
pub fn live() {
    let Ok(home) = std::env::var(PART) else { return };
    let trees: Vec<u32> = std::env::var(TREES).unwrap().split(',').filter_map(|pid| pid.parse().ok()).collect();
    let home = PathBuf::from(home);
    say("recovering");
    let (responder, ledger, mut court) = responder(&home);
    responder.recover(chrono::Utc::now()).unwrap();
    say(&format!("recovered {}", serde_json::to_string(&ledger.actions(10_000).unwrap()).unwrap()));
    let mut lines = std::io::stdin().lines();
    while let Some(Ok(line)) = lines.next() {
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("go", seed) => {
                let mut dice = Dice::new(seed.parse().unwrap());
                loop {
                    step(&mut dice, &responder, &ledger, &mut court, &trees);
                }
            }
            ("steps", words) => {
                let numbers: Vec<u64> = words.split(' ').map(|word| word.parse().unwrap()).collect();
                let mut dice = Dice::new(numbers[0]);
                (0..numbers[1]).for_each(|_| step(&mut dice, &responder, &ledger, &mut court, &trees));
                say("done");
            }
            ("end", _) => {
                for action in responder.active().unwrap() {
                    // One that ended by itself meanwhile has nothing to undo.
                    match responder.rollback(action.id, "root", chrono::Utc::now()) {
                        Ok(_) | Err(ActError::NotActive { .. } | ActError::Irreversible(_)) => {}
                        Err(error) => panic!("{}: {error}", action.id),
                    }
                }
                responder.reconcile(chrono::Utc::now()).unwrap();
                say(&format!("ended {}", serde_json::to_string(&ledger.actions(10_000).unwrap()).unwrap()));
            }
            (other, _) => panic!("{other}?"),
        }
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "@{line}").and_then(|()| out.flush()).unwrap();
}

fn policy() -> Policy {
    Policy::built_in().unwrap()
}

fn lifeline() -> Lifeline {
    Lifeline { addresses: vec![(OPERATOR.parse().unwrap(), LifelineReason::SshSession)], ..Lifeline::default() }
}

fn responder(home: &Path) -> (Responder, Arc<Ledger>, Court) {
    let ledger = Arc::new(Ledger::open(&home.join("data"), chrono::Utc::now()).unwrap());
    let first = ledger.next_warrant_id().unwrap_or(WarrantId(1));
    let court = Court::new(&policy(), first);
    let ties = Ties {
        lifeline: Box::new(lifeline),
        again: second_look(),
        tree: Box::new(|root: ProcessKey| vec![root]),
        alarm: Box::new(|alarm| say(&format!("alarm {alarm}"))),
        policy: policy(),
    };
    let responder = Responder::new(Arc::clone(&ledger), &home.join("run"), ties).unwrap();
    (responder, ledger, court)
}

/// One seeded random thing.
fn step(dice: &mut Dice, responder: &Responder, ledger: &Ledger, court: &mut Court, trees: &[u32]) {
    let now = chrono::Utc::now();
    match dice.below(100) {
        0..60 => act(dice, responder, ledger, court, trees),
        60..65 => {
            let active = responder.active().unwrap();
            if let Some(waiting) = active.iter().find(|action| action.awaits_confirmation().is_some()) {
                say(&format!("step confirm {}", waiting.id));
                if let Err(error) = responder.confirm(waiting.id, "root", now) {
                    say(&format!("fault confirm {}: {error}", waiting.id));
                }
            }
        }
        65..85 => {
            let active = responder.active().unwrap();
            if active.is_empty() {
                return;
            }
            let id = dice.pick(&active).id;
            say(&format!("step rollback {id}"));
            match responder.rollback(id, "root", now) {
                Ok(_) | Err(ActError::NotActive { .. } | ActError::Irreversible(_)) => {}
                Err(error) => say(&format!("fault rollback {id}: {error}")),
            }
        }
        85..97 => {
            say("step reconcile");
            responder.reconcile(now).unwrap();
        }
        _ => {
            say("step emergency-stop");
            let report = responder.emergency_stop(&Approver::Person("root".to_owned()), now);
            if !report.failures.is_empty() {
                say(&format!("fault emergency-stop: {:?}", report.failures));
            }
        }
    }
}

fn act(dice: &mut Dice, responder: &Responder, ledger: &Ledger, court: &mut Court, trees: &[u32]) {
    let now = chrono::Utc::now();
    let (kind, target) = dice.pick(KINDS);
    let Some(target) = target(dice, trees) else { return };
    // Some end by themselves while the test goes on.
    let lasts = Duration::from_secs(if dice.percent(10) { 1 } else { 600 });
    let plan = ActionPlan::new(*kind, target, lasts).unwrap();
    let tree: Vec<Arc<Process>> = plan.target().root().map(|root| Arc::new(Process::unknown(root, now))).into_iter().collect();
    let (active, lifeline) = (ledger.active().unwrap(), lifeline());
    say(&format!("step {plan} for {}s", lasts.as_secs()));
    let request = ApprovalRequest {
        plan,
        incident: None,
        reason: "a test".into(),
        person: "root via uid 0".into(),
        lifeline: &lifeline,
        tree: &tree,
        active: &active,
        now,
    };
    // The court refuses what is in force already.
    let Ok(warrant) = court.grant(request) else { return };
    match responder.execute(warrant, now) {
        Ok(_) | Err(ActError::Duplicate { .. }) => {}
        // A tree that is held, or has ended, between the asking and the doing.
        Err(ActError::Freeze(_)) => {}
        Err(ActError::Failed { why, .. }) if why.contains("held already") || why.contains("have ended") => {}
        Err(error) => say(&format!("fault {error}")),
    }
}

/// A running child.
pub struct Hand {
    child: Program,
    stdin: ChildStdin,
    said: Arc<Mutex<Vec<String>>>,
}

impl Hand {
    /// Starts one on this host; its data lies in `home`.
    pub fn start(host: &Guarded, home: &Path, trees: &[u32]) -> Self {
        let me = std::env::current_exe().unwrap();
        let words: Vec<String> = trees.iter().map(u32::to_string).collect();
        let mut command: Command =
            host.command(me.to_str().unwrap(), &["--exact", "the_hand", "--ignored", "--nocapture", "--test-threads=1"]);
        command.env(PART, home).env(TREES, words.join(",")).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = Program::start(&mut command);
        let (stdin, said) = (child.stdin.take().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let (stdout, heard) = (child.stdout.take().unwrap(), Arc::clone(&said));
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // The test harness talks on the same line before the first word.
                if let Some(at) = line.find('@') {
                    heard.lock().unwrap().push(line[at + 1..].to_owned());
                }
            }
        });
        Self { child, stdin, said }
    }

    /// What it said so far.
    pub fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }

    /// Waits for a line that begins so, and gives the rest of it.
    pub fn wait(&mut self, word: &str) -> String {
        let found = |said: &[String]| said.iter().find_map(|line| line.strip_prefix(word)).map(|rest| rest.trim().to_owned());
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(rest) = found(&self.said.lock().unwrap()) {
                return rest;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < deadline, "the hand did not say {word} ({ended:?}): {:#?}", self.said());
            std::thread::sleep(Duration::from_micros(300));
        }
    }

    pub fn tell(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
    }

    /// SIGKILL; gives what it had said until then.
    pub fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.said()
    }

    /// Lets it go in peace.
    pub fn part(self) -> Vec<String> {
        drop(self.stdin);
        let (mut child, said) = (self.child, self.said);
        wait_for("the hand to end", Duration::from_secs(20), || child.try_wait().unwrap(), String::new);
        let said = said.lock().unwrap();
        said.clone()
    }
}

/// Rows as the child told them.
pub fn rows(json: &str) -> Vec<Action> {
    serde_json::from_str(json).unwrap()
}

/// What must be there by these rows, and what may be: an action at its end may be gone already or linger a moment.
pub fn must_and_may(rows: &[Action]) -> (Vec<&Action>, Vec<&Action>) {
    let (now, moment) = (chrono::Utc::now(), chrono::Duration::seconds(4));
    let must = rows.iter().filter(|row| row.state == ActionState::Live && row.ends_at() > now + moment).collect();
    let may = rows.iter().filter(|row| row.state.is_active() || row.state == ActionState::Expired && row.ends_at() + moment > now);
    (must, may.collect())
}
