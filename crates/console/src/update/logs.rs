//! Logs, and blocking whoever attacks by them.

use std::net::IpAddr;

use super::network;
use crate::input::Effect;
use crate::state::{Item, RowKey, Sound, State};
use bartizan_config::Command;
use bartizan_model::{ActionKind, Direction, Target};

pub(super) fn run(state: &mut State, command: Command) -> Vec<Effect> {
    if matches!(command, Command::Left | Command::Right) {
        return super::sheets::turn(state);
    }
    if !matches!(command, Command::Block | Command::Limit) {
        return Vec::new();
    }
    let Some(addr) = address(state) else { return Vec::new() };
    if command == Command::Block {
        return network::propose(state, ActionKind::BlockAddress, Target::Address { addr, direction: Direction::In });
    }
    network::limit(state, addr);
    Vec::new()
}

fn address(state: &mut State) -> Option<IpAddr> {
    if let Some(RowKey::Item(Item::Attacker(address))) = state.chosen() {
        return Some(address);
    }
    let key = state.keymap.key(Command::Right).unwrap_or_default();
    state.say(Sound::Note, format!("no address is under the cursor; {key} shows who attacks"));
    None
}
