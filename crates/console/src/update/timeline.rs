//! From one incident to the next.

use crate::input::Effect;
use crate::state::{Sound, State};
use bartizan_config::Command;

pub(super) fn run(state: &mut State, command: Command) -> Vec<Effect> {
    let ids: Vec<_> = state.mirror.incidents.keys().copied().collect();
    let Some(at) = state.timeline_of().and_then(|id| ids.iter().position(|known| *known == id)) else {
        state.say(Sound::Note, "there is no incident");
        return Vec::new();
    };
    let to = match command {
        Command::Left => at.checked_sub(1),
        Command::Right => Some(at + 1),
        of_every_view!()
        | Command::Approve
        | Command::Reject
        | Command::Duration
        | Command::Undo
        | Command::Acknowledge
        | Command::Fold
        | Command::FoldAll
        | Command::FollowNewest
        | Command::NextSuspect
        | Command::Freeze
        | Command::Kill
        | Command::Block
        | Command::Limit
        | Command::Isolate
        | Command::DisableUser
        | Command::SelfTest
        | Command::Verify => return Vec::new(),
    };
    match to.and_then(|to| ids.get(to)) {
        Some(id) => {
            state.incident = Some(*id);
            state.list_mut().key = None;
        }
        None => {
            state.say(Sound::Note, if command == Command::Left { "this is the oldest incident" } else { "this is the newest incident" })
        }
    }
    Vec::new()
}
