//! Saying that an alert was seen.

use crate::input::Effect;
use crate::state::{Dialog, RowKey, Sound, State, rows};
use bartizan_model::{AlertId, AlertState};
use bartizan_protocol::Request;

/// Acknowledges the alert under the cursor, or all new ones of the incident there.
pub(super) fn run(state: &mut State) -> Vec<Effect> {
    let marked = super::table::alerts(state);
    if let [first, _, ..] = marked.as_slice() {
        if super::allowed(state, &Request::Ack { id: *first }) {
            state.dialog = Some(Dialog::Confirm(super::table::acknowledge(state, &marked)));
        }
        return Vec::new();
    }
    if !marked.is_empty() {
        return acknowledge(state, &marked);
    }
    let new = match state.chosen() {
        Some(RowKey::Alert(id)) => {
            if state.mirror.alerts.get(&id).is_some_and(|row| row.state == AlertState::Acknowledged) {
                state.say(Sound::Note, format!("{id} is already acknowledged"));
                return Vec::new();
            }
            vec![id]
        }
        _ => rows::incident_here(state).map(|id| rows::unseen_of(state, id).iter().map(|row| row.id).collect()).unwrap_or_default(),
    };
    if new.is_empty() {
        let text =
            rows::incident_here(state).map_or_else(|| "no alert is under the cursor".to_owned(), |id| format!("{id} has no new alert"));
        state.say(Sound::Note, text);
        return Vec::new();
    }
    acknowledge(state, &new)
}

/// Asks for each of them, unless the role forbids it.
pub(super) fn acknowledge(state: &mut State, alerts: &[AlertId]) -> Vec<Effect> {
    let first = alerts.first().map(|id| Request::Ack { id: *id });
    if first.is_none_or(|request| !super::allowed(state, &request)) {
        return Vec::new();
    }
    alerts.iter().map(|id| Effect::ask(Request::Ack { id: *id }, format!("acknowledging {id}"))).collect()
}
