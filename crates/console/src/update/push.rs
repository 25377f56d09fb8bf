//! What news from the agent changes.

use super::{processes, subscribe};
use crate::input::Effect;
use crate::state::{Message, Sound, State};
use bartizan_config::View;
use bartizan_model::Presence;
use bartizan_protocol::{Applied, Change, Push, Request};

pub(super) fn pushed(state: &mut State, push: Push) -> Vec<Effect> {
    let first = state.mirror.health.is_none();
    let measured;
    match push {
        Push::Goodbye { reason } => {
            state.message = Some(Message { sound: Sound::Refused, text: format!("the agent ends: {reason}"), at: state.now });
            return Vec::new();
        }
        Push::Missed(count) => {
            state.say(Sound::Note, format!("this console was too slow and missed {count} messages"));
            return Vec::new();
        }
        Push::Events(_) => return Vec::new(),
        push => {
            let anew = matches!(push, Push::Snapshot(_));
            measured =
                anew || matches!(&push, Push::Delta { changes, .. } if changes.iter().any(|change| matches!(change, Change::Health(_))));
            if state.mirror.apply(push) == Applied::Gap {
                let asked = state.asked.values().any(|asked| matches!(asked.question.request, Request::Subscribe { .. }));
                return if asked { Vec::new() } else { vec![Effect::Ask(subscribe(None))] };
            }
            if anew {
                state.away = state.mirror.presence.as_ref().is_some_and(tells_something);
            }
        }
    }
    if first {
        // Kernel threads hide below kthreadd (pid 2 on every Linux): hundreds of rows that nobody looks for.
        let kernel = state.mirror.processes.keys().find(|key| key.pid == 2).copied();
        state.folded.extend(kernel);
    }
    if measured {
        state.note_rate();
    }
    let alive = &state.mirror.processes;
    state.folded.retain(|key| alive.contains_key(key));
    if state.follow && state.view == View::Processes {
        processes::follow(state);
    }
    Vec::new()
}

fn tells_something(presence: &Presence) -> bool {
    presence.away_since.is_some() && presence.events + presence.incidents + presence.alerts + presence.actions + presence.lapsed > 0
}
