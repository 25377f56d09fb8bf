//! Undo one action because somebody asked for it: exactly the state before, read back from the kernel. Works with a full disk.

use super::Responder;
use super::actions::ActError;
use super::ending::word;
use bartizan_model::{Action, ActionId, ActionState, EndCause, Timestamp};

impl Responder {
    /// Undoes an action. Undoing it again changes nothing and gives the same answer.
    ///
    /// # Errors
    /// When there is no such action, it is over by itself, it cannot be undone by nature, or the kernel refuses; in
    /// the last case its undo is pending: it is tried again and again, and never applied again.
    pub fn rollback(&self, id: ActionId, by: &str, now: Timestamp) -> Result<Action, ActError> {
        let operation = self.operations.begin();
        let _turn = self.my_turn();
        operation.step();
        let action = self.ledger.action(id)?.ok_or(ActError::NotFound(id))?;
        match action.state {
            ActionState::RolledBack => Ok(action),
            // A kill that failed half way holds processes that must be let go.
            _ if !action.kind.is_reversible() && action.undo_pending().is_none() => Err(ActError::Irreversible(id)),
            state if !state.is_active() => Err(ActError::NotActive { id, state }),
            _ => self.undo(action, by, &format!("undone by {by}"), now),
        }
    }

    /// The undoing itself, for an active action, by whoever has the turn; `why` begins its note. No disk can stop it: what
    /// cannot be written now is written later.
    pub(super) fn undo(&self, mut action: Action, by: &str, why: &str, now: Timestamp) -> Result<Action, ActError> {
        self.want_gone(&mut action, EndCause::Undone, by, why, now);
        self.undo_wanted(action, by, now)
    }

    /// The same when it is on record already that it is meant to be gone.
    pub(super) fn undo_wanted(&self, mut action: Action, by: &str, now: Timestamp) -> Result<Action, ActError> {
        // A snapshot that cannot be read is no reason to leave the host as it is: what can be found without it is undone.
        let snapshot = self.snapshot(action.id).unwrap_or_default();
        self.tell(now, by, "action.rollback", action.id, "begun");
        self.checkpoint("before undoing");
        let tried = self.try_to_undo(&mut action, &snapshot, now);
        if tried.is_ok() {
            self.checkpoint("after undoing");
        }
        // Undone is undone, on record or not yet.
        let _ = self.put(&action, now, by, &word(&action));
        match tried {
            Ok(_) => Ok(action),
            Err(error) => Err(ActError::UndoPending { id: action.id, why: error.to_string(), action: Box::new(action) }),
        }
    }
}
