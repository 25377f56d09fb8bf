//! Connections or listeners, and blocking a far end by hand.

use std::net::IpAddr;

use crate::input::{Effect, Question};
use crate::state::dialog::{Prompt, Wants};
use crate::state::{Dialog, RowKey, Sound, State};
use crate::widgets::TextLine;
use bartizan_config::Command;
use bartizan_model::{ActionKind, ActionPlan, Direction, Target};
use bartizan_protocol::Request;

pub(super) fn run(state: &mut State, command: Command) -> Vec<Effect> {
    match command {
        Command::Left | Command::Right => {
            state.listeners = !state.listeners;
            state.list_mut().key = None;
            Vec::new()
        }
        Command::Block => match remote(state) {
            Some(addr) => propose(state, ActionKind::BlockAddress, Target::Address { addr, direction: Direction::Out }),
            None => Vec::new(),
        },
        Command::Limit => {
            if let Some(addr) = remote(state) {
                limit(state, addr);
            }
            Vec::new()
        }
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
        | Command::Isolate
        | Command::DisableUser
        | Command::SelfTest
        | Command::Verify => Vec::new(),
    }
}

fn remote(state: &mut State) -> Option<IpAddr> {
    let socket = match state.chosen() {
        Some(RowKey::Socket(id)) => state.mirror.sockets.get(&id),
        _ => None,
    };
    let addr = socket.and_then(|row| row.net.dst);
    if addr.is_none() {
        state.say(Sound::Note, "no remote address is under the cursor");
    }
    addr
}

/// Asks how many packets of an address may pass.
pub(super) fn limit(state: &mut State, addr: IpAddr) {
    state.dialog = Some(Dialog::Prompt(Prompt {
        title: format!("Limit {addr} to how many packets a second?"),
        about: "What comes from it beyond that is dropped, for 10 minutes: 1 to 1000000.".to_owned(),
        line: TextLine::new("50"),
        wants: Wants::Packets(addr),
        problem: None,
    }));
}

/// Asks what an action would do; the answer opens the confirmation.
pub(super) fn propose(state: &mut State, kind: ActionKind, target: Target) -> Vec<Effect> {
    let plan = match ActionPlan::new(kind, target, kind.spec().lasts) {
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
