//! Undo one action: exactly the state before, read back from the kernel. Works with a full disk.

use super::Responder;
use super::actions::{self, ActError};
use crate::model::{Action, ActionId, ActionState, Timestamp};
use crate::store::ledger::Held;

/// Where the snapshot keeps that somebody began to undo the action: who, and why.
const UNDOING: &str = "undoing";

impl Responder {
    /// After a crash: goes on undoing what somebody had begun to undo. Gives the actions whose row changed.
    pub(super) fn finish_undoing(&self, now: Timestamp) -> Vec<Action> {
        let begun = |held: &Held| {
            let word = |name: &str| held.snapshot.get(UNDOING)?.get(name)?.as_str().map(str::to_owned);
            Some((Action::clone(&held.action), word("by")?, word("why")?))
        };
        let unfinished: Vec<_> = self.ledger.held().iter().filter_map(begun).collect();
        // What fails is in its row, and is tried again at the next start.
        unfinished.into_iter().filter_map(|(action, by, why)| self.undo(action, &by, &why, now).ok()).collect()
    }

    /// Undoes an action. Undoing it again changes nothing and gives the same answer.
    ///
    /// # Errors
    /// When there is no such action, it is over by itself, it cannot be undone by nature, or the kernel refuses; in
    /// the last case it stays active and is shown as drifted.
    pub fn rollback(&self, id: ActionId, by: &str, now: Timestamp) -> Result<Action, ActError> {
        let _turn = self.my_turn();
        let action = self.ledger.action(id)?.ok_or(ActError::NotFound(id))?;
        match action.state {
            ActionState::RolledBack => Ok(action),
            _ if !action.kind.is_reversible() => Err(ActError::Irreversible(id)),
            state if !state.is_active() => Err(ActError::NotActive { id, state }),
            _ => self.undo(action, by, &format!("undone by {by}"), now),
        }
    }

    /// The undoing itself, for an active action, by whoever has the turn; `why` begins its note. No disk can stop it: what
    /// cannot be written now is written later.
    pub(super) fn undo(&self, mut action: Action, by: &str, why: &str, now: Timestamp) -> Result<Action, ActError> {
        let mut snapshot = self.snapshot(action.id)?;
        // On record before the host is touched: should we end in the middle, the next life goes on undoing and does not
        // take what is gone for drift. A snapshot that cannot be written now is no reason to leave the host as it is.
        if let Some(fields) = snapshot.as_object_mut() {
            fields.insert(UNDOING.to_owned(), serde_json::json!({ "by": by, "why": why }));
        }
        let _ = self.ledger.settle(&action, Some(&snapshot), None);
        self.tell(now, by, "action.rollback", action.id, "begun");
        self.checkpoint("before undoing");
        match actions::of(action.kind).revert(&self.hand, &action, &snapshot) {
            Ok(done) => {
                self.checkpoint("after undoing");
                (action.state, action.ended_at, action.verified_at) = (ActionState::RolledBack, Some(now), Some(now));
                action.note = match done.is_empty() {
                    true => format!("{why}: nothing of it was left"),
                    false => format!("{why}: {}", done.join("; ")),
                };
                // Undone is undone, on record or not yet.
                let _ = self.put(&action, now, by, "action.rolled_back");
                self.signs.forget(action.id);
                Ok(action)
            }
            Err(error) => {
                (action.state, action.note) = (ActionState::Drifted, format!("could not be undone: {error}"));
                let _ = self.put(&action, now, by, "action.rollback_failed");
                Err(error)
            }
        }
    }
}
