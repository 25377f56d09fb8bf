//! What people decide: approve, reject, act, confirm, roll back, set the mode. The court gives leave by message; the change
//! itself is made on the thread of whoever asked, and nobody else waits for it.

use std::time::Duration;

use super::Response;
use super::decider::{Decider, Granted};
use crate::mailbox::NoAnswer;
use crate::past;
use crate::record::Record;
use bartizan_model::{Action, ActionId, ActionPlan, ApprovalId, Mode};
use bartizan_protocol::{ErrorCode, Refusal};

/// So long a person's decision waits for the court to come to it.
const PATIENCE: Duration = Duration::from_secs(30);

impl Response {
    fn ask<T: Send + 'static>(&self, work: impl FnOnce(&mut Decider) -> T + Send + 'static) -> Result<T, Refusal> {
        self.court.ask(PATIENCE, work).map_err(|no_answer| busy(&no_answer))
    }

    /// A person says no.
    pub(crate) fn reject(&self, id: ApprovalId, reason: &str, actor: &str) -> Result<(), Refusal> {
        let (reason, actor) = (reason.to_owned(), actor.to_owned());
        self.ask(move |decider| decider.reject(id, &reason, &actor, chrono::Utc::now()))?
    }

    /// A person says yes: it is done before this returns.
    pub(crate) fn approve(&self, id: ApprovalId, lasts: Option<Duration>, actor: &str) -> Result<Action, Refusal> {
        let name = actor.to_owned();
        let granted = self.ask(move |decider| decider.grant_approval(id, lasts, &name, chrono::Utc::now()))??;
        self.execute(granted, actor)
    }

    /// A person asks for an action directly: it is done before this returns.
    pub(crate) fn act(&self, plan: ActionPlan, reason: &str, actor: &str) -> Result<Action, Refusal> {
        let (reason, name) = (reason.to_owned(), actor.to_owned());
        // What a person does to a process or address of an incident is part of its story, and is found and undone there.
        let incident = self.console.incident_of(plan.target());
        let granted = self.ask(move |decider| decider.grant(plan, incident, None, &reason, &name, chrono::Utc::now()))??;
        self.execute(granted, actor)
    }

    fn execute(&self, granted: Granted, actor: &str) -> Result<Action, Refusal> {
        let Granted { warrant, number, incident } = granted;
        let mut over = self.over_at_the_end(number);
        let action = self.responder.execute(warrant, chrono::Utc::now()).map_err(|error| self.refused(error))?;
        over.answered_by = Some(actor.to_owned());
        self.carried_out(&action);
        if let Some(id) = incident {
            self.ingest.acted_on(id);
        }
        Ok(action)
    }

    /// A change that is under way until what is given is dropped.
    pub(super) fn over_at_the_end(&self, number: u64) -> Over<'_> {
        Over { response: self, number, answered_by: None }
    }

    /// Undoes these actions, or all.
    pub(crate) fn rollback(&self, ids: Vec<ActionId>, actor: &str) -> Result<Vec<Action>, Refusal> {
        let ids = if ids.is_empty() { self.active_actions().iter().map(|action| action.id).collect() } else { ids };
        let mut undone = Vec::new();
        let mut trouble = None;
        for id in ids {
            match self.responder.rollback(id, actor, chrono::Utc::now()) {
                Ok(action) => {
                    self.show_action(&action);
                    undone.push(action);
                }
                // The rest is undone all the same; the first failure is told at the end.
                Err(error) => {
                    let refused = self.refused(error);
                    trouble = trouble.or(Some(refused));
                }
            }
        }
        trouble.map_or(Ok(undone), Err)
    }

    /// A person stands behind a disruptive action.
    pub(crate) fn confirm(&self, id: ActionId, actor: &str) -> Result<Action, Refusal> {
        let action = self.responder.confirm(id, actor, chrono::Utc::now()).map_err(|error| self.refused(error))?;
        self.show_action(&action);
        Ok(action)
    }

    /// Changes how much the agent may do alone; remembered over restarts.
    pub(crate) fn set_mode(&self, mode: Mode, actor: &str) -> Result<(), Refusal> {
        let actor = actor.to_owned();
        self.ask(move |decider| decider.set_mode(mode, &actor)).map(drop)
    }

    /// Puts a change of the mode on record. Only the court's thread does so, and whoever comes after its end.
    pub(super) fn mode_changed(&self, before: Mode, mode: Mode, actor: &str) {
        if before != mode {
            self.audit(chrono::Utc::now(), actor, "mode.changed", &mode.to_string(), &format!("was {before}"));
            self.recorder.keep(Record::Note("mode", mode.to_string()));
            // There too: the archive may not be readable at the next start.
            self.remember_mode(mode);
        }
    }

    pub(super) fn remember_mode(&self, mode: Mode) {
        if let Err(error) = past::remember_mode(&self.ledger, mode) {
            tracing::warn!(%error, "the mode is not in the ledger");
        }
    }
}

/// However it ends, even by a panic, the change is no longer under way and its question can be answered.
pub(super) struct Over<'a> {
    response: &'a Response,
    number: u64,
    pub(super) answered_by: Option<String>,
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

pub(super) fn usage(message: String, mend: &str) -> Refusal {
    Refusal { code: ErrorCode::Usage, message, mend: mend.to_owned() }
}
