//! The response: decides what is done about a case, does it, and undoes it. One thread owns court, mode and questions and is
//! spoken to by messages; a change of the host and the health probes around it are waited for by whoever asked for them.

mod carry_out;
mod case_queue;
mod decider;
mod questions;
mod under_way;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use carry_out::failed;
pub(crate) use case_queue::CaseQueue;
pub(crate) use decider::Decider;
pub(crate) use questions::Questions;

use carry_out::{carried_out, told};
use decider::Granted;

use crate::mailbox::{Mailbox, NoAnswer, Published};
use crate::notify::Notify;
use crate::past;
use crate::record::Record;
use crate::shared::Shared;
use bartizan_config::Policy;
use bartizan_model::{Action, ActionId, ActionPlan, Approval, ApprovalId, ApprovalState, Approver, AuditBody, Mode, Timestamp};
use bartizan_protocol::{ErrorCode, Refusal, Reply};

/// So long a person's decision waits for the court to come to it.
const PATIENCE: Duration = Duration::from_secs(30);
/// So long an emergency stop does.
const HURRY: Duration = Duration::from_secs(2);
/// A court that has not gone round for so long is busy, and what is shown of it has an age.
const AGED: Duration = Duration::from_secs(5);

/// How the court stands, as it showed last.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) mode: Mode,
    /// Questions asked in this life, and those not asked because too many waited for the same incident.
    pub(crate) asked: (u64, u64),
    questions: questions::All,
    at: Instant,
}

/// The response, as all others know it.
pub(crate) struct Response {
    court: Mailbox<Decider>,
    pub(crate) cases: CaseQueue,
    notify: Arc<Notify>,
    standing: Published<Standing>,
}

impl Response {
    pub(crate) fn new(mode: Mode) -> Self {
        let notify = Arc::<Notify>::default();
        let standing = Published::new(Standing { mode, asked: (0, 0), questions: questions::All::new(), at: Instant::now() });
        Self { court: Mailbox::new(Arc::clone(&notify)), cases: CaseQueue::new(Arc::clone(&notify)), notify, standing }
    }

    /// One round of the court: every message and every case that waits, or comes within `patience`.
    pub(crate) fn round(&self, decider: &mut Decider, patience: Duration, judge_all: impl FnOnce(&mut dyn FnMut())) {
        self.court.work_off(decider);
        let mut cases = self.cases.take();
        if cases.is_empty() {
            self.notify.sleep(patience);
            self.court.work_off(decider);
            cases = self.cases.take();
        }
        let now = chrono::Utc::now();
        if !cases.is_empty() {
            judge_all(&mut || {
                for id in std::mem::take(&mut cases) {
                    decider.judge(id, now);
                    // A person waits for one case at the most.
                    self.court.work_off(decider);
                }
            });
        }
        decider.publish();
    }

    /// Wakes the court, though nothing came.
    pub(crate) fn nudge(&self) {
        self.notify.wake();
    }

    fn show(&self, standing: Standing) {
        self.standing.show(standing);
    }

    /// How it stands; waits for nobody.
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
        let policy = policy.clone();
        self.court.tell(move |decider| decider.set_policy(&policy));
    }

    /// The sentinel learns how actions stand.
    pub(crate) fn watch(&self, actions: &[Action], now: Timestamp) {
        let actions = actions.to_vec();
        if !actions.is_empty() {
            self.court.tell(move |decider| actions.iter().for_each(|action| decider.watch(action, now)));
        }
    }

    /// A change that the court allowed by itself is over.
    fn finished_alone(&self, number: u64, action: Option<Action>, now: Timestamp) {
        self.court.tell(move |decider| {
            decider.finish(number, None);
            action.iter().for_each(|action| decider.watch(action, now));
        });
    }

    /// A person says no.
    pub(crate) fn reject(&self, id: ApprovalId, reason: &str, actor: &str) -> Result<(), Refusal> {
        let (reason, actor) = (reason.to_owned(), actor.to_owned());
        self.ask(move |decider| decider.reject(id, &reason, &actor, chrono::Utc::now()))?
    }

    /// A person says yes: it is done before this returns.
    pub(crate) fn approve(&self, shared: &Shared, id: ApprovalId, lasts: Option<Duration>, actor: &str) -> Result<Action, Refusal> {
        let name = actor.to_owned();
        let granted = self.ask(move |decider| decider.grant_approval(id, lasts, &name, chrono::Utc::now()))??;
        self.execute(shared, granted, actor)
    }

    /// A person asks for an action directly: it is done before this returns.
    pub(crate) fn act(&self, shared: &Shared, plan: ActionPlan, reason: &str, actor: &str) -> Result<Action, Refusal> {
        let (reason, name) = (reason.to_owned(), actor.to_owned());
        let granted = self.ask(move |decider| decider.grant(plan, None, None, &reason, &name, chrono::Utc::now()))??;
        self.execute(shared, granted, actor)
    }

    /// On the thread of whoever asked: nobody else waits for it.
    fn execute(&self, shared: &Shared, granted: Granted, actor: &str) -> Result<Action, Refusal> {
        let Granted { warrant, number, incident } = granted;
        let mut over = Over { response: self, number, answered_by: None };
        let action = shared.responder.execute(warrant, chrono::Utc::now()).map_err(|error| told(shared, error))?;
        over.answered_by = Some(actor.to_owned());
        carried_out(shared, &action, incident);
        Ok(action)
    }

    fn ask<T: Send + 'static>(&self, work: impl FnOnce(&mut Decider) -> T + Send + 'static) -> Result<T, Refusal> {
        self.court.ask(PATIENCE, work).map_err(|no_answer| busy(&no_answer))
    }
}

/// However it ends, even by a panic, the change is no longer under way and its question can be answered.
struct Over<'a> {
    response: &'a Response,
    number: u64,
    answered_by: Option<String>,
}

impl Drop for Over<'_> {
    fn drop(&mut self) {
        let (number, answered_by) = (self.number, self.answered_by.take());
        // Whoever asked hears of it when everybody can see it, or soon.
        let _ = self.response.court.insist(Duration::from_secs(1), move |decider| decider.finish(number, answered_by));
    }
}

fn busy(no_answer: &NoAnswer) -> Refusal {
    let message = format!("nothing was done: the court {no_answer}");
    Refusal { code: ErrorCode::Failed, message, mend: "ask again; `bartizan status` tells what keeps it".to_owned() }
}

fn usage(message: String, mend: &str) -> Refusal {
    Refusal { code: ErrorCode::Usage, message, mend: mend.to_owned() }
}

/// Changes how much the agent may do alone; remembered over restarts.
pub(crate) fn set_mode(shared: &Shared, mode: Mode, actor: &str) -> Result<(), Refusal> {
    let change = move |decider: &mut Decider| {
        let before = decider.mode();
        decider.set_mode(mode);
        before
    };
    let before = shared.response.ask(change)?;
    mode_changed(shared, before, mode, actor);
    Ok(())
}

/// Puts a change of the mode on record.
pub(crate) fn mode_changed(shared: &Shared, before: Mode, mode: Mode, actor: &str) {
    if before != mode {
        audit(shared, chrono::Utc::now(), actor, "mode.changed", &mode.to_string(), &format!("was {before}"));
        shared.recorder.keep(Record::Note("mode", mode.to_string()));
        // There too: the archive may not be readable at the next start.
        if let Err(error) = past::remember_mode(&shared.ledger, mode) {
            tracing::warn!(%error, "the mode is not in the ledger");
        }
    }
}

/// Undoes everything; the mode becomes PARANOID. Leave that was given before and not used yet is void.
pub(crate) fn emergency_stop(shared: &Arc<Shared>, by: &Approver) -> Result<Reply, Refusal> {
    // First nothing new may begin, whatever the court is at; then the old is undone.
    shared.responder.halt();
    let its = Arc::clone(shared);
    let paranoid = move |decider: &mut Decider| {
        let before = decider.mode();
        its.responder.go_on_from(decider.set_mode(Mode::Paranoid));
        before
    };
    let before = shared.response.court.insist(HURRY, paranoid).unwrap_or_else(|| shared.response.standing().mode);
    mode_changed(shared, before, Mode::Paranoid, &by.to_string());
    undo_everything(shared, by)
}

/// The undoing of an emergency stop.
pub(crate) fn undo_everything(shared: &Shared, by: &Approver) -> Result<Reply, Refusal> {
    let report = shared.responder.emergency_stop(by, chrono::Utc::now());
    report.rolled_back.iter().chain(&report.pending).for_each(|action| shared.action_changed(action));
    let done = format!("{} actions undone, {} leftovers removed; mode is PARANOID", report.rolled_back.len(), report.removed.len());
    if report.failures.is_empty() {
        return Ok(Reply::Done(done));
    }
    let message = format!("{done}; {} could not be undone: {}", report.failures.len(), report.failures.join("; "));
    Err(Refusal { code: ErrorCode::Failed, message, mend: "run the emergency script: bartizan emergency-script | sh".to_owned() })
}

/// Undoes these actions, or all.
pub(crate) fn rollback(shared: &Shared, ids: Vec<ActionId>, actor: &str) -> Result<Reply, Refusal> {
    let ids = if ids.is_empty() { shared.active_actions().iter().map(|action| action.id).collect() } else { ids };
    let mut undone = Vec::new();
    let mut trouble = None;
    for id in ids {
        match shared.responder.rollback(id, actor, chrono::Utc::now()) {
            Ok(action) => {
                shared.action_changed(&action);
                undone.push(action);
            }
            // The rest is undone all the same; the first failure is told at the end.
            Err(error) => {
                let told = told(shared, error);
                trouble = trouble.or(Some(told));
            }
        }
    }
    match trouble {
        Some(trouble) => Err(trouble),
        None => Ok(Reply::Actions(undone)),
    }
}

/// A person stands behind a disruptive action.
pub(crate) fn confirm(shared: &Shared, id: ActionId, actor: &str) -> Result<Reply, Refusal> {
    match shared.responder.confirm(id, actor, chrono::Utc::now()) {
        Ok(action) => {
            shared.action_changed(&action);
            Ok(Reply::Actions(vec![action]))
        }
        Err(error) => Err(told(shared, error)),
    }
}

/// Puts a line into the audit log; when that fails, the agent shows it as degraded.
pub(crate) fn audit(shared: &Shared, at: Timestamp, actor: &str, what: &str, subject: &str, detail: &str) {
    let body = AuditBody { at, actor: actor.to_owned(), what: what.to_owned(), subject: subject.to_owned(), detail: detail.to_owned() };
    let trouble = shared.ledger.audit(body).err();
    shared.degrade("audit log", trouble.map(|error| error.to_string()));
}
