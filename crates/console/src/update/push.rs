//! What news from the agent changes.

use super::{processes, subscribe};
use crate::input::Effect;
use crate::state::{Message, Sound, State};
use bartizan_config::View;
use bartizan_model::{Presence, Timestamp};
use bartizan_protocol::{Applied, Change, Push, Request};

/// Whoever was away for less knows what was there.
const AWAY: chrono::TimeDelta = chrono::TimeDelta::minutes(1);

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
                state.away = state.mirror.presence.as_ref().is_some_and(|row| tells_something(row, state.now));
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

/// Whether somebody was away long enough for it to be news, and something happened.
fn tells_something(presence: &Presence, now: Timestamp) -> bool {
    presence.away_since.is_some_and(|since| now - since >= AWAY)
        && presence.events + presence.incidents + presence.alerts + presence.actions + presence.lapsed > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{now, presence};

    #[test]
    fn an_absence_is_told_after_a_minute_and_when_something_happened() {
        let away = |seconds: i64| Presence { away_since: Some(now() - chrono::TimeDelta::seconds(seconds)), ..presence() };
        assert!(!tells_something(&away(59), now()) && tells_something(&away(60), now()));
        let quiet = Presence { events: 0, incidents: 0, alerts: 0, actions: 0, lapsed: 0, ..away(600) };
        assert!(!tells_something(&quiet, now()));
        assert!(!tells_something(&Presence { away_since: None, ..presence() }, now()));
    }
}
