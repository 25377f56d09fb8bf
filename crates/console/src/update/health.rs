//! Asking the guard to test itself.

use crate::input::Effect;
use crate::state::State;
use bartizan_config::Command;
use bartizan_protocol::Request;

pub(super) fn run(state: &mut State, command: Command) -> Vec<Effect> {
    if command == Command::SelfTest { super::ask(state, Request::Doctor, "testing every sensor and enforcer") } else { Vec::new() }
}
