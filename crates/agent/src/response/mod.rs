//! The response: decides what is done about a case, does it, and undoes it. One thread owns court, mode and questions and is
//! spoken to by messages; a change of the host and the health probes around it are waited for by whoever asked for them.

mod accepted_logins;
mod carry_out;
mod case_queue;
mod court;
mod decider;
mod emergency;
mod former_holds;
mod known_sources;
mod lifeline;
mod people;
mod questions;
mod reconcile;
mod seen_logins;
mod table_watch;
mod under_way;
mod watchdog;

use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub(crate) use accepted_logins::{AcceptedLogins, KEY as ACCEPTED_LOGINS};
pub(crate) use carry_out::failed;
pub(crate) use case_queue::PendingCase;
pub(crate) use decider::Decider;
pub(crate) use lifeline::Owner;
pub(crate) use questions::Questions;
pub(crate) use seen_logins::{KEY as SEEN_LOGINS, SeenLogins};

use case_queue::CaseQueue;
use former_holds::FormerHolds;
use known_sources::KnownSources;
use people::usage;

use crate::accounting::Accounting;
use crate::alerts::Alerts;
use crate::console::Console;
use crate::ingest::Ingest;
use crate::mailbox::{Mailbox, Published};
use crate::notify::Notify;
use crate::record::Recorder;
use crate::troubles::Troubles;
use bartizan_config::{Policy, Settings};
use bartizan_model::{
    Action, ActionPlan, Approval, ApprovalState, AuditBody, HostText, Lifeline, LifelineReason, Mode, Preview, Process, ProcessKey,
    Timestamp,
};
use bartizan_responder::{ActError, Responder};
use bartizan_sensors::{ProcessCache, Stop};
use bartizan_store::ledger::Ledger;

/// A court that has not gone round for so long is busy, and what is shown of it has an age.
const AGED: Duration = Duration::from_secs(5);
/// Actions read from the ledger at once.
const ACTIONS: usize = 10_000;

/// How the court stands, as it showed last.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) mode: Mode,
    /// Questions asked in this life, and those not asked because too many waited for the same incident.
    pub(crate) asked: (u64, u64),
    questions: questions::All,
    at: Instant,
}

/// What the response needs of others.
pub(crate) struct Ties {
    pub(crate) settings: Arc<Settings>,
    pub(crate) stop: Stop,
    pub(crate) troubles: Arc<Troubles>,
    pub(crate) processes: Arc<ProcessCache>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) alerts: Arc<Alerts>,
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) console: Arc<Console>,
    pub(crate) accounting: Arc<Accounting>,
}

/// The response, as all others know it.
pub(crate) struct Response {
    court: Mailbox<Decider>,
    cases: CaseQueue,
    notify: Arc<Notify>,
    standing: Published<Standing>,
    responder: Responder,
    owner: Arc<Owner>,
    settings: Arc<Settings>,
    stop: Stop,
    troubles: Arc<Troubles>,
    processes: Arc<ProcessCache>,
    ledger: Arc<Ledger>,
    /// How addresses were held before.
    former_holds: Mutex<FormerHolds>,
    jailed: Mutex<known_sources::Jailed>,
    /// Who else holds addresses.
    foreign: known_sources::Foreign,
    recorder: Arc<Recorder>,
    alerts: Arc<Alerts>,
    ingest: Arc<Ingest>,
    console: Arc<Console>,
    accounting: Arc<Accounting>,
}

impl Response {
    /// In this mode, with who acts and whom never to cut off.
    pub(crate) fn new(mode: Mode, responder: Responder, owner: Arc<Owner>, ties: Ties) -> Self {
        let Ties { settings, stop, troubles, processes, ledger, recorder, alerts, ingest, console, accounting } = ties;
        let notify = Arc::<Notify>::default();
        let wake = Arc::clone(&notify);
        let standing = Published::new(Standing { mode, asked: (0, 0), questions: questions::All::new(), at: Instant::now() });
        let (court, cases) = (Mailbox::new(move || wake.wake()), CaseQueue::new(Arc::clone(&notify)));
        Self {
            court,
            cases,
            notify,
            standing,
            responder,
            owner,
            settings,
            stop,
            troubles,
            processes,
            ledger,
            former_holds: Mutex::default(),
            jailed: Mutex::default(),
            foreign: known_sources::Foreign::default(),
            recorder,
            alerts,
            ingest,
            console,
            accounting,
        }
    }

    /// Something was seen about which may soon be decided.
    pub(crate) fn alert(&self) {
        self.owner.alert();
    }

    /// Brings a case before the court, now; `merged` are incidents that went into it.
    pub(crate) fn add_case(&self, case: PendingCase, merged: &[bartizan_model::IncidentId]) {
        self.cases.add(case, merged);
    }

    /// Brings a case up to date that still waits for the court.
    pub(crate) fn renew_case(&self, case: PendingCase) {
        self.cases.renew(case);
    }

    /// Wakes whoever sleeps, though nothing came.
    pub(crate) fn nudge(&self) {
        self.notify.wake();
        self.owner.nudge();
    }

    /// How the court stands; waits for nobody.
    pub(crate) fn standing(&self) -> Arc<Standing> {
        self.standing.read()
    }

    /// Questions, newest last.
    pub(crate) fn approvals(&self, all: bool) -> Vec<Approval> {
        let standing = self.standing();
        standing.questions.values().filter(|a| all || a.state == ApprovalState::Pending).map(|a| Approval::clone(a)).collect()
    }

    /// A court that is busy for long: what is shown of it is old.
    pub(crate) fn age(&self) -> Option<String> {
        let age = self.standing().at.elapsed();
        (age > AGED).then(|| format!("it is busy for {} seconds: mode and questions are shown as they were then", age.as_secs()))
    }

    /// Takes a changed policy over.
    pub(crate) fn set_policy(&self, policy: &Policy) {
        self.responder.set_policy(policy);
        let policy = policy.clone();
        self.court.tell(move |decider| decider.set_policy(&policy));
    }

    /// Actions that may still have an effect; none, and a trouble, when the ledger cannot be read.
    pub(crate) fn active_actions(&self) -> Vec<Action> {
        self.troubles.or_report("ledger", self.responder.active())
    }

    /// All actions, newest first.
    pub(crate) fn all_actions(&self) -> Vec<Action> {
        self.troubles.or_report("ledger", self.responder.actions(ACTIONS))
    }

    /// What a plan would do. Changes nothing.
    pub(crate) fn preview(&self, plan: &ActionPlan) -> Result<Preview, ActError> {
        self.responder.preview(plan)
    }

    /// What the target of a plan is to the owner, if it is on the lifeline.
    pub(crate) fn holds(&self, plan: &ActionPlan) -> Option<LifelineReason> {
        self.owner.lifeline().holds(plan.target())
    }

    /// What the owner needs to stay connected, at this moment.
    pub(crate) fn lifeline(&self) -> Lifeline {
        self.owner.lifeline()
    }

    /// A person looks, or asks, through the process with this pid; it and where they come from join the lifeline.
    pub(crate) fn arrived(&self, pid: Option<u32>, ssh_connection: Option<&str>) {
        self.owner.arrived(pid, ssh_connection);
    }

    /// A daemon let this account in from there, by what it wrote into its log: the address is not held without a person for thirty days.
    /// Not for lines that somebody else may have written, nor for anonymous logins.
    pub(crate) fn login_accepted(&self, account: &HostText, addr: IpAddr, at: Timestamp) {
        self.owner.accepted(account, addr, at);
    }

    /// A jail that was taken over from fail2ban names this address now, and wants it held for so long.
    pub(crate) fn jailed(&self, addr: IpAddr, jail: &str, lasts: std::time::Duration, now: Timestamp) {
        known_sources::note_jailed(&self.jailed, addr, bartizan_court::JailTerms { jail: jail.to_owned(), lasts }, now);
    }

    /// For each of these addresses who holds it besides the agent, if anybody: fail2ban, by its sets and chains. Safe to show.
    pub(crate) fn held_elsewhere(&self, addrs: &[IpAddr], now: Timestamp) -> Vec<Option<String>> {
        let known = KnownSources::at(self, now);
        addrs.iter().map(|addr| bartizan_court::Sources::held_elsewhere(&known, *addr)).collect()
    }

    /// Hands the logins that are not kept yet to the recorder: before it is kept how far the logs were read that tell of them.
    pub(crate) fn keep_logins(&self) {
        if let Some(changed) = self.owner.unsaved_logins() {
            self.recorder.keep(crate::record::Record::Note(accepted_logins::KEY, changed));
        }
    }

    /// They look no more.
    pub(crate) fn left(&self, pid: Option<u32>) {
        self.owner.left(pid);
    }

    /// When what is being done to the host last got a step further; `None` while nothing is.
    pub(crate) fn moved(&self) -> Option<Instant> {
        self.responder.moved()
    }

    fn processes_below(&self, root: ProcessKey) -> Vec<Arc<Process>> {
        self.processes.tree(root).into_iter().filter_map(|key| self.processes.get(key)).collect()
    }

    /// Puts a line into the audit log; when that fails, it is shown.
    pub(crate) fn audit(&self, at: Timestamp, actor: &str, what: &str, subject: &str, detail: &str) {
        let body = AuditBody { at, actor: actor.to_owned(), what: what.to_owned(), subject: subject.to_owned(), detail: detail.to_owned() };
        self.troubles.report("audit log", self.ledger.audit(body).err().map(|error| error.to_string()));
    }

    /// The lifeline's thread: derives it until the agent ends.
    pub(crate) fn keep_lifeline(&self) {
        let note = |key, changed| self.recorder.keep(crate::record::Record::Note(key, changed));
        self.owner.keep(|| self.stop.is_set(), |unknown| self.troubles.report("lifeline", unknown), note);
    }

    /// Asks for the names of time servers, when it is time to.
    pub(crate) fn ask_names(&self) {
        self.owner.ask_names();
    }

    /// Where the watchdog and the emergency script find what they need.
    fn runtime(&self) -> &Path {
        &self.settings.runtime
    }
}

#[cfg(test)]
mod tests;
