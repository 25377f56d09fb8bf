//! What the court allows by itself: done at once, or beside its thread when that takes its time; and what follows from what came
//! of it.

use std::sync::Arc;
use std::thread::Builder;
use std::time::Duration;

use super::Decider;
use crate::own_thread::lend;
use crate::response::{PendingCase, Response};
use bartizan_alerts::Message;
use bartizan_court::Warrant;
use bartizan_model::{Action, ActionKind, ActionPlan, Approval, ApprovalState, Direction, Incident, Target, Timestamp};
use bartizan_responder::ActError;

/// So long a thread that made a change waits for the court to hear of it; the court hears of it in any case.
const HEARD: Duration = Duration::from_secs(1);

/// What came of it.
enum Outcome {
    /// It was done.
    Done(Action),
    /// It was not, and why; with the action when it was begun and taken back.
    Failed(Option<Action>, String),
    /// An emergency stop came before it: nothing was begun.
    Stopped,
}

impl Decider {
    /// What takes its time, because the host's health probes are compared before and after, is done beside the court's thread:
    /// the next intruder does not wait for it. All else is done at once, and all when the kernel gives no thread.
    pub(in crate::response) fn act_alone(&mut self, warrant: Warrant, case: &PendingCase, now: Timestamp) {
        let plan = warrant.plan().clone();
        let warrant = if plan.kind().is_disruptive() { self.begin_beside(warrant, case, now) } else { Some(warrant) };
        if let Some(warrant) = warrant {
            let outcome = self.response.execute_alone(warrant, &case.incident, now);
            self.follow_up(outcome, &plan, case, now);
        }
    }

    /// Gives the warrant back when there is no room, or no thread.
    fn begin_beside(&mut self, warrant: Warrant, case: &PendingCase, now: Timestamp) -> Option<Warrant> {
        // Nobody answers meanwhile what a person was asked about the same.
        let question = self.questions.waiting(warrant.plan()).map(|approval| approval.id);
        let Some(number) = self.under_way.begin(warrant.plan(), question) else { return Some(warrant) };
        let (response, case, plan) = (Arc::clone(&self.response), case.clone(), warrant.plan().clone());
        let change = move |warrant| {
            let _over = response.over_at_the_end(number);
            let outcome = response.execute_alone(warrant, &case.incident, now);
            let _ = response.court.insist(HEARD, move |decider| decider.follow_up(outcome, &plan, &case, now));
        };
        let (error, warrant) = lend(Builder::new().name("change".to_owned()), warrant, change).err()?;
        tracing::warn!(%error, "the kernel gives no thread: the court makes a change itself, and all others wait for it");
        self.under_way.end(number);
        Some(warrant)
    }

    /// Only what was done answers a question; what an emergency stop forestalled was not done, and is judged anew.
    fn follow_up(&mut self, outcome: Outcome, plan: &ActionPlan, case: &PendingCase, now: Timestamp) {
        match outcome {
            Outcome::Done(action) => {
                if let Some(approval) = self.questions.waiting(plan) {
                    let answered_by = Some(format!("mode {}", action.by));
                    self.keep(Approval { state: ApprovalState::Approved, answered_by, ..approval });
                }
                self.watch(&action, now);
            }
            Outcome::Failed(begun, why) => {
                begun.iter().for_each(|action| self.watch(action, now));
                self.ask_to_block_instead(plan, &why, case, now);
            }
            Outcome::Stopped => {
                self.court.forget(plan);
                self.response.cases.put_back(case.clone());
            }
        }
    }
}

impl Decider {
    /// An attacker who could not be limited (Linux before 5.7 has no such thing, say) is asked about: a block may do.
    fn ask_to_block_instead(&mut self, plan: &ActionPlan, why: &str, case: &PendingCase, now: Timestamp) {
        let Target::Source { addr, .. } = plan.target() else { return };
        let Some(source) = case.proof.sources.iter().find(|source| source.addr == *addr) else { return };
        let target = Target::Address { addr: *addr, direction: Direction::In };
        if let Ok(block) = ActionPlan::new(ActionKind::BlockAddress, target, plan.lasts()) {
            self.ask(
                &case.incident,
                block,
                source.sentence.clone(),
                format!("it could not be limited: {}", bartizan_model::sentence(why)),
                now,
            );
        }
    }
}

impl Response {
    /// Does what the court allowed by itself.
    fn execute_alone(&self, warrant: Warrant, incident: &Incident, now: Timestamp) -> Outcome {
        let error = match self.responder.execute(warrant, now) {
            Ok(action) => {
                self.carried_out(&action);
                self.ingest.acted_on_soon(incident.id);
                self.push(|host| Message::action(host, &action, incident.severity));
                return Outcome::Done(action);
            }
            Err(error) => error,
        };
        let why = error.to_string();
        let outcome = match &error {
            ActError::Stopped => Outcome::Stopped,
            ActError::Failed { action, .. } | ActError::UndoPending { action, .. } => Outcome::Failed(Some(Action::clone(action)), why),
            _ => Outcome::Failed(None, why),
        };
        // On screen and in the audit log; there is nobody to answer.
        drop(self.refused(error));
        outcome
    }
}
