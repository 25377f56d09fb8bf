//! Asking the guard to test itself.

use crate::config::Command;
use crate::protocol::Request;
use crate::tui::input::Effect;
use crate::tui::state::State;

pub(super) fn run(state: &mut State, command: Command) -> Vec<Effect> {
    if command == Command::SelfTest { super::ask(state, Request::Doctor, "testing every sensor and enforcer") } else { Vec::new() }
}
