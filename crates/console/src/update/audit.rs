//! Reading the audit log and checking its chain.

use crate::input::Effect;
use crate::state::State;
use bartizan_config::Command;
use bartizan_protocol::Request;

/// Lines asked for at a time.
const LINES: u32 = 500;

pub(super) fn run(state: &mut State, command: Command) -> Vec<Effect> {
    if command == Command::Verify { super::ask(state, Request::AuditVerify, "recomputing the hash chain") } else { Vec::new() }
}

/// Asks for the newest lines, unless that is already asked.
pub(super) fn fetch(state: &State) -> Vec<Effect> {
    let asked = state.asked.values().any(|asked| matches!(asked.question.request, Request::AuditShow { .. }));
    if asked { Vec::new() } else { vec![Effect::ask(Request::AuditShow { limit: LINES }, "")] }
}
