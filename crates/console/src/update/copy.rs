//! What is under the cursor, for the clipboard of the person's own terminal.

use crate::input::Effect;
use crate::state::{RowKey, Sound, State};
use crate::widgets::text::safe;

/// Most characters: what terminals take in one OSC 52 is limited, and nobody pastes more.
const LONGEST: usize = 4_096;

/// Sends it to the clipboard. What comes from the host has no control characters left: pasted into a shell it must not press enter.
pub(super) fn run(state: &mut State) -> Vec<Effect> {
    let Some(text) = text(state).map(|text| safe(&text).chars().take(LONGEST).collect::<String>()).filter(|text| !text.is_empty()) else {
        state.say(Sound::Note, "nothing under the cursor can be copied");
        return Vec::new();
    };
    state.say(Sound::Done, format!("sent to your terminal's clipboard: {text}"));
    vec![Effect::Copy(text)]
}

fn text(state: &State) -> Option<String> {
    let mirror = &state.mirror;
    Some(match state.chosen()? {
        RowKey::Incident(id) => {
            mirror.incidents.get(&id).map(|row| format!("{id} {} {}: {}", row.severity, row.confidence, row.sentence))?
        }
        RowKey::Process(key) => {
            let row = mirror.processes.get(&key)?;
            let program = if row.exe.as_bytes().is_empty() { row.argv.first()? } else { &row.exe };
            let words = std::iter::once(program).chain(row.argv.iter().skip(1));
            words.map(ToString::to_string).collect::<Vec<_>>().join(" ")
        }
        RowKey::Socket(id) => {
            let net = &mirror.sockets.get(&id)?.net;
            let (addr, port) = (net.dst.unwrap_or(net.src), net.dport.unwrap_or(net.sport));
            std::net::SocketAddr::new(addr, port).to_string()
        }
        RowKey::Signal(id) => mirror.signals.iter().find(|row| row.id == id)?.sentence.clone(),
        RowKey::Alert(id) => mirror.alerts.get(&id).map(|row| format!("{id} {} {}: {}", row.incident, row.severity, row.sentence))?,
        RowKey::Approval(id) => mirror.approvals.get(&id).map(|row| format!("{id} {}: {}", row.incident, row.action))?,
        RowKey::Action(id) => mirror.actions.get(&id).map(|row| format!("{id} {}: {} {}", row.standing(), row.kind.verb(), row.target))?,
        RowKey::Item(item) => super::items::copied(state, item)?,
        RowKey::Line(seq) => {
            let row = state.audit.iter().find(|row| row.seq == seq)?;
            format!("{} {} {} {} {}", row.body.at.to_rfc3339(), row.body.actor, row.body.what, row.body.subject, row.body.detail)
        }
    })
}
