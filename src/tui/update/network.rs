//! Connections or listeners, and blocking a far end by hand.

use std::time::Duration;

use crate::config::Command;
use crate::model::{ActionKind, ActionPlan, Direction, Target};
use crate::protocol::Request;
use crate::tui::input::{Effect, Question};
use crate::tui::state::{RowKey, Sound, State};

/// Life of an action that a person asks for here; the preview says it.
pub(super) const BY_HAND: Duration = Duration::from_secs(600);

pub(super) fn run(state: &mut State, command: Command) -> Vec<Effect> {
    match command {
        Command::Left | Command::Right => {
            state.listeners = !state.listeners;
            state.list_mut().key = None;
            Vec::new()
        }
        Command::Block => block(state),
        _ => Vec::new(),
    }
}

fn block(state: &mut State) -> Vec<Effect> {
    let socket = match state.chosen() {
        Some(RowKey::Socket(id)) => state.mirror.sockets.get(&id),
        _ => None,
    };
    let Some(addr) = socket.and_then(|row| row.net.dst) else {
        state.say(Sound::Note, "no remote address is under the cursor");
        return Vec::new();
    };
    propose(state, ActionKind::BlockAddress, Target::Address { addr, direction: Direction::Out })
}

/// Asks what an action would do; the answer opens the confirmation.
pub(super) fn propose(state: &mut State, kind: ActionKind, target: Target) -> Vec<Effect> {
    let plan = match ActionPlan::new(kind, target, BY_HAND) {
        Ok(plan) => plan,
        Err(problem) => {
            state.say(Sound::Refused, problem.to_string());
            return Vec::new();
        }
    };
    if !super::allowed(state, &Request::Act { plan: plan.clone(), reason: String::new() }) {
        return Vec::new();
    }
    vec![Effect::Ask(Question {
        what: format!("what \"{plan}\" would do"),
        request: Request::Preview { plan: plan.clone() },
        plan: Some(plan),
    })]
}
