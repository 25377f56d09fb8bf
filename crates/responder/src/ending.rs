//! An action's end. From the moment it is decided the action is meant to be gone, whatever fails later: nothing applies it
//! again, and undoing it is tried until the host shows it gone.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::Value;

use super::Responder;
use super::actions::{self, ActError};
use bartizan_guard::watchdog;
use bartizan_model::{Action, ActionId, Desired, EndCause, Ending, Timestamp, Unpoisoned as _};

/// After a try that took so long the next one waits this many times longer: whoever acts needs the turn too.
const REST: u64 = 4;
/// The longest such wait, in nanoseconds.
const MAX_REST: u64 = 60_000_000_000;

/// When what failed to be undone is tried again, by the boot's clock.
#[derive(Debug, Default)]
pub(super) struct Retries(Mutex<BTreeMap<ActionId, u64>>);

impl Retries {
    fn set(&self, id: ActionId, at: Option<u64>) {
        let mut book = self.0.lock().unpoisoned();
        match at {
            Some(at) => drop(book.insert(id, at)),
            None => drop(book.remove(&id)),
        }
    }

    fn is_due(&self, id: ActionId, now: u64) -> bool {
        self.0.lock().unpoisoned().get(&id).is_none_or(|at| *at <= now)
    }
}

impl Responder {
    /// Decides that an action is gone for good: noted where no full disk can refuse it, then put on record, all before the
    /// host is touched. What cannot be put on record now is known to memory and follows later. The first cause stays.
    pub(super) fn want_gone(&self, action: &mut Action, cause: EndCause, by: &str, why: &str, now: Timestamp) {
        self.decide_gone(action, cause, by, why, now);
        let _ = self.ledger.settle(action, None, None);
    }

    /// The same without the record, for whoever writes several at once.
    pub(super) fn decide_gone(&self, action: &mut Action, cause: EndCause, by: &str, why: &str, now: Timestamp) {
        self.context.marks.remove(&self.name_of(action));
        self.signs.forget(action.id);
        if action.desired == Desired::Live {
            let ending = Ending { cause, by: by.to_owned(), why: why.to_owned(), since: now, failed_tries: 0, last_error: None };
            action.desired = Desired::Gone(ending);
        }
    }

    /// One try to undo what is meant to be gone. Its row is not written; gives what was done, or why it is still there.
    pub(super) fn try_to_undo(&self, action: &mut Action, snapshot: &Value, now: Timestamp) -> Result<Vec<String>, ActError> {
        let begun = self.clock.now();
        let reverted = actions::of(action.kind).revert(&self.context, action, snapshot);
        let done = reverted.or_else(|error| match error {
            ActError::Misfit(_) => self.undo_without_snapshot(action, error),
            error => Err(error),
        });
        let ended = self.clock.now();
        match &done {
            Ok(done) => {
                self.retries.set(action.id, None);
                close(action, done, now);
                // With the last of those that end outside of us, it goes.
                let _ = self.look_after_second_end();
            }
            Err(error) => {
                let rest = ended.saturating_sub(begun).saturating_mul(REST).min(MAX_REST);
                self.retries.set(action.id, Some(ended.saturating_add(rest)));
                // Whoever thaws when we cannot need not wait for its time any more. Of accounts, files and containers others
                // may be in the middle of a change: there the outside end keeps its time.
                watchdog::due_now(&self.context.freezer.note(&self.name_of(action)));
                failed(action, error);
            }
        }
        done
    }

    /// The reconciler's try for an action whose undo is pending, when it is due.
    pub(super) fn undo_again(&self, action: &mut Action, snapshot: &Value, now: Timestamp) {
        if self.retries.is_due(action.id, self.clock.now()) {
            // Why it failed is in the action.
            let _ = self.try_to_undo(action, snapshot, now);
        }
    }

    /// What undoes it cannot be read: the notes that others would undo it by still tell. Elements in the packet filter that
    /// nobody owns any more go by themselves.
    fn undo_without_snapshot(&self, action: &Action, error: ActError) -> Result<Vec<String>, ActError> {
        let name = self.name_of(action);
        let lasting = watchdog::note_path(self.ledger.directory(), &name);
        if let Some(frozen) = self.context.freezer.recall(&name) {
            let thawed = self.context.freezer.thaw(&frozen)?;
            watchdog::call_off_noted(&self.context.freezer.note(&name));
            return Ok(vec![thawed.words()]);
        }
        if lasting.exists() {
            if !watchdog::undo_now(&lasting) {
                return Err(error);
            }
            watchdog::call_off_noted(&lasting);
            return Ok(vec!["undone by its expiry record".to_owned()]);
        }
        Ok(Vec::new())
    }

    pub(super) fn name_of(&self, action: &Action) -> String {
        super::group_name(action.id, &self.context.instance)
    }
}

/// The host shows it gone.
fn close(action: &mut Action, done: &[String], now: Timestamp) {
    let Some(ending) = action.desired.ending() else { return };
    let mut note = ending.why.clone();
    if matches!(ending.cause, EndCause::Undone | EndCause::EmergencyStop) {
        let what = if done.is_empty() { "nothing of it was left".to_owned() } else { done.join("; ") };
        note = format!("{note}: {what}");
    }
    if let Some(error) = &ending.last_error {
        let tries = ending.failed_tries;
        let noun = if tries == 1 { "try" } else { "tries" };
        note = format!("{note} (after {tries} failed {noun}: {error})");
    }
    (action.state, action.ended_at, action.verified_at) = (ending.cause.outcome(), Some(now), Some(now));
    action.note = note;
}

/// Something of it may still be there.
fn failed(action: &mut Action, error: &ActError) {
    if let Desired::Gone(ending) = &mut action.desired {
        ending.failed_tries = ending.failed_tries.saturating_add(1);
        ending.last_error = Some(error.to_string());
        action.note = format!("undo pending, {}: {error}", ending.cause.noun());
    }
    action.state = bartizan_model::ActionState::Unknown;
}

/// The word for the record.
pub(super) fn word(action: &Action) -> String {
    if action.undo_pending().is_some() {
        "action.undo_pending".to_owned()
    } else {
        format!("action.{}", action.state.noun().replace(' ', "_"))
    }
}
