//! The responder in a process that does what it is told, one thing at a time, says how every action stands afterwards, and
//! may be killed in between. Where [`super::hand`] plays dice by itself, here the test decides.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use bartizan_config::Policy;
use bartizan_court::{ApprovalRequest, Court};
use bartizan_model::{
    Action, ActionId, ActionKind, ActionPlan, Approver, Direction, HostText, Lifeline, Process, ProcessKey, Target, WarrantId,
};
use bartizan_responder::{Responder, Ties, second_look};
use bartizan_store::ledger::Ledger;
use bartizan_sys::pidfd::key_of;

use super::ends::Program;
use super::guarded::Guarded;

/// The environment variable by which the child knows where it lives.
const HOME: &str = "BARTIZAN_TEST_DRIVEN";
/// No answer takes longer: an account's lock is waited for 5 seconds, twice.
const PATIENCE: Duration = Duration::from_secs(40);

/// What it can be told. A trees' number is its place in the list of pids.
#[derive(Debug, Clone)]
pub enum Order {
    Block { last: u8, seconds: u64 },
    Freeze { pid: u32, seconds: u64 },
    Disable { name: String, uid: u32, seconds: u64 },
    Undo(u64),
    Confirm(u64),
    Reconcile,
    EmergencyStop,
}

impl Order {
    fn line(&self) -> String {
        match self {
            Self::Block { last, seconds } => format!("block {last} {seconds}"),
            Self::Freeze { pid, seconds } => format!("freeze {pid} {seconds}"),
            Self::Disable { name, uid, seconds } => format!("disable {uid} {seconds} {name}"),
            Self::Undo(id) => format!("undo {id}"),
            Self::Confirm(id) => format!("confirm {id}"),
            Self::Reconcile => "reconcile".to_owned(),
            Self::EmergencyStop => "stop".to_owned(),
        }
    }
}

/// The child's whole life; call it from an ignored test named `driven`. Nothing happens without the environment.
pub fn live() {
    let Ok(home) = std::env::var(HOME) else { return };
    let home = PathBuf::from(home);
    let ledger = Arc::new(Ledger::open(&home.join("data"), chrono::Utc::now()).unwrap());
    let policy = Policy::parse("[vitals]\nwithin = \"300ms\"\nresolve = \"\"\n", "test").unwrap();
    let mut court = Court::new(&policy, ledger.next_warrant_id().unwrap_or(WarrantId(1)));
    let ties = Ties {
        lifeline: Box::new(Lifeline::default),
        again: second_look(),
        tree: Box::new(|root: ProcessKey| vec![root]),
        alarm: Box::new(|_| {}),
        policy,
    };
    let responder = Responder::new(Arc::clone(&ledger), &home.join("run"), ties).unwrap();
    let recovered = responder.recover(chrono::Utc::now());
    say(&ledger, &format!("{recovered:?}").chars().take(300).collect::<String>());
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let told = obey(&line, &responder, &ledger, &mut court);
        responder.tidy().ok();
        say(&ledger, &told);
    }
}

fn say(ledger: &Ledger, told: &str) {
    let rows = serde_json::to_string(&ledger.actions(10_000).unwrap()).unwrap();
    let mut out = std::io::stdout().lock();
    writeln!(out, "@{}\t{rows}", told.replace(['\n', '\t'], " ")).and_then(|()| out.flush()).unwrap();
}

fn obey(line: &str, responder: &Responder, ledger: &Ledger, court: &mut Court) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let number = |at: usize| words[at].parse::<u64>().unwrap();
    let now = chrono::Utc::now();
    match words[0] {
        "block" => {
            let addr = format!("203.0.113.{}", words[1]).parse().unwrap();
            act(ActionKind::BlockAddress, Target::Address { addr, direction: Direction::In }, number(2), responder, ledger, court)
        }
        "freeze" => {
            let Some(root) = key_of(number(1) as u32) else { return "it has ended".to_owned() };
            act(ActionKind::FreezeTree, Target::ProcessTree { root, exe: HostText::from("/bin/sh") }, number(2), responder, ledger, court)
        }
        "disable" => {
            let target = Target::User { name: HostText::from(words[3]), uid: number(1) as u32 };
            act(ActionKind::DisableUser, target, number(2), responder, ledger, court)
        }
        "undo" => format!("{:?}", responder.rollback(ActionId(number(1)), "root", now).map(|action| action.state)),
        "confirm" => format!("{:?}", responder.confirm(ActionId(number(1)), "root", now).map(|action| action.state)),
        "reconcile" => format!("{:?}", responder.reconcile(now).map(|changed| changed.len())),
        "stop" => format!("{:?}", responder.emergency_stop(&Approver::Person("root".to_owned()), now).failures),
        other => panic!("{other}?"),
    }
}

fn act(kind: ActionKind, target: Target, seconds: u64, responder: &Responder, ledger: &Ledger, court: &mut Court) -> String {
    let now = chrono::Utc::now();
    let plan = ActionPlan::new(kind, target, Duration::from_secs(seconds)).unwrap();
    let tree: Vec<Arc<Process>> = plan.target().root().map(|root| Arc::new(Process::unknown(root, now))).into_iter().collect();
    let (active, lifeline) = (ledger.active().unwrap(), Lifeline::default());
    let (reason, person) = ("a test".to_owned(), "root via uid 0".to_owned());
    let request = ApprovalRequest { plan, incident: None, reason, person, lifeline: &lifeline, tree: &tree, active: &active, now };
    match court.grant(request) {
        Ok(warrant) => format!("{:?}", responder.execute(warrant, now).map(|action| action.state)),
        Err(refusal) => format!("{refusal:?}"),
    }
}

/// A running child.
pub struct Driven {
    child: Program,
    stdin: ChildStdin,
    said: Receiver<String>,
}

impl Driven {
    /// Starts one on this host and gives what it found; `None` when it cannot start (the ledger's disk takes nothing).
    pub fn start(host: &Guarded, home: &Path) -> Option<(Self, Vec<Action>)> {
        let me = std::env::current_exe().unwrap();
        let mut command = host.command(me.to_str().unwrap(), &["--exact", "driven", "--ignored", "--nocapture", "--test-threads=1"]);
        command.env(HOME, home).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = Program::start(&mut command);
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, said) = channel();
        std::thread::spawn(move || {
            let lines = std::io::BufRead::lines(std::io::BufReader::new(stdout)).map_while(Result::ok);
            // The test harness talks on the same line before the first word.
            lines.filter_map(|line| line.split_once('@').map(|(_, rest)| rest.to_owned())).for_each(|line| drop(sender.send(line)));
        });
        let mut driven = Self { child, stdin, said };
        match driven.hear() {
            Some((_, rows)) => Some((driven, rows)),
            None => {
                driven.kill();
                None
            }
        }
    }

    /// Does it; gives what it answered and how every action stands.
    pub fn tell(&mut self, order: &Order) -> (String, Vec<Action>) {
        writeln!(self.stdin, "{}", order.line()).unwrap();
        self.hear().unwrap_or_else(|| panic!("no answer to {order:?}"))
    }

    fn hear(&mut self) -> Option<(String, Vec<Action>)> {
        let line = self.said.recv_timeout(PATIENCE).ok()?;
        let (told, rows) = line.split_once('\t').unwrap();
        Some((told.to_owned(), serde_json::from_str(rows).unwrap()))
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
