//! What follows an action: on screen, counted, its incident marked; and what an error of the responder is to whoever asked.

use super::Response;
use bartizan_alerts::Message;
use bartizan_model::{Action, Unpoisoned as _};
use bartizan_protocol::{ErrorCode, Refusal};
use bartizan_responder::ActError;

impl Response {
    /// Tells whoever is not at the console, where the owner wants that.
    pub(super) fn push(&self, message: impl FnOnce(&str) -> Message) {
        self.alerts.offer(message);
    }

    /// Puts an action on screen; an incident that nothing holds any more is open again.
    pub(crate) fn show_action(&self, action: &Action) {
        self.former_holds.lock().unpoisoned().note(action);
        if let Some(id) = self.console.action(action) {
            self.ingest.held_no_more(id);
        }
    }

    /// After an action: on screen, and counted.
    pub(super) fn carried_out(&self, action: &Action) {
        self.accounting.counters.count_action();
        self.show_action(action);
    }

    /// An action that was begun and undone again is shown as such; the error is the answer.
    pub(super) fn refused(&self, error: ActError) -> Refusal {
        if let ActError::Failed { action, .. } = &error {
            self.show_action(action);
        }
        failed(error)
    }
}

/// An error of the responder as an answer.
pub(crate) fn failed(error: ActError) -> Refusal {
    let code = match &error {
        ActError::Lifeline { .. } | ActError::LifelineUnknown(_) | ActError::Warrant(_) | ActError::Harmful(_) | ActError::Stopped => {
            ErrorCode::Refused
        }
        ActError::Duplicate { .. }
        | ActError::StillUndoing { .. }
        | ActError::NotFound(_)
        | ActError::NotActive { .. }
        | ActError::Irreversible(_) => ErrorCode::Usage,
        _ => ErrorCode::Failed,
    };
    Refusal { code, message: error.to_string(), mend: String::new() }
}
