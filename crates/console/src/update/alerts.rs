//! Saying that an alert was seen.

use crate::input::Effect;
use crate::state::{RowKey, Sound, State};
use bartizan_config::Command;
use bartizan_model::AlertState;
use bartizan_protocol::Request;

pub(super) fn run(state: &mut State, command: Command) -> Vec<Effect> {
    let (Command::Acknowledge, Some(RowKey::Alert(id))) = (command, state.chosen()) else {
        state.say(Sound::Note, "no alert is under the cursor");
        return Vec::new();
    };
    if state.mirror.alerts.get(&id).is_some_and(|row| row.state == AlertState::Acknowledged) {
        state.say(Sound::Note, format!("{id} is already acknowledged"));
        return Vec::new();
    }
    super::ask(state, Request::Ack { id }, format!("acknowledging {id}"))
}
