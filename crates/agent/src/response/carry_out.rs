//! What follows an action: on screen, counted, its incident marked; and what an error of the responder is to whoever asked.

use crate::shared::{Shared, lock};
use bartizan_model::{Action, IncidentId, IncidentState};
use bartizan_outbound::Notice;
use bartizan_protocol::{ErrorCode, Refusal};
use bartizan_responder::ActError;

/// Tells whoever is not at the console, where the owner wants that.
pub(super) fn push(shared: &Shared, notice: impl FnOnce(&str) -> Notice) {
    if let Some(webhook) = &shared.webhook {
        webhook.offer(notice(&bartizan_sys::own_usage::host_name()));
    }
}

/// After an action: on screen, counted, and its incident marked as contained.
pub(super) fn carried_out(shared: &Shared, action: &Action, incident: Option<IncidentId>) {
    shared.totals.count_action();
    shared.action_changed(action);
    if let Some(id) = incident
        && let Some(incident) = lock(&shared.correlator).set_state(id, IncidentState::Contained)
    {
        shared.incident_changed(&incident, &[]);
    }
}

/// An action that was begun and undone again is shown as such; the error is the answer.
pub(super) fn told(shared: &Shared, error: ActError) -> Refusal {
    if let ActError::Failed { action, .. } = &error {
        shared.action_changed(action);
    }
    failed(error)
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
