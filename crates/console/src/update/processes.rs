//! The process tree: folding, following, and freezing or killing by hand.

use crate::input::Effect;
use crate::state::{RowKey, Sound, State, rows};
use bartizan_config::Command;
use bartizan_model::{ActionKind, HostText, Isolation, ProcessKey, Target};
use bartizan_protocol::Request;

pub(super) fn run(state: &mut State, command: Command) -> Vec<Effect> {
    match command {
        Command::FollowNewest => {
            state.follow = !state.follow;
            state.say(
                Sound::Note,
                if state.follow { "the cursor stays on the newest process; any movement ends it" } else { "the cursor stays where it is" },
            );
            follow(state);
        }
        Command::NextSuspect => next_suspect(state),
        Command::FoldAll => fold_all(state),
        Command::Fold => match here(state) {
            Some(key) if state.folded.contains(&key) => unfold(state, key),
            Some(key) => drop(state.folded.insert(key)),
            None => {}
        },
        Command::Left => left(state),
        Command::Right => {
            if let Some(key) = here(state) {
                unfold(state, key);
            }
        }
        Command::Freeze => return by_hand(state, ActionKind::FreezeTree),
        Command::Kill => return by_hand(state, ActionKind::KillTree),
        Command::Isolate => return isolate(state),
        Command::DisableUser => return disable(state),
        of_every_view!()
        | Command::Approve
        | Command::Reject
        | Command::Duration
        | Command::Undo
        | Command::Acknowledge
        | Command::Block
        | Command::Limit
        | Command::SelfTest
        | Command::Verify => {}
    }
    Vec::new()
}

/// Keeps the cursor on the newest process, when asked to.
pub(super) fn follow(state: &mut State) {
    if let Some(key) = rows::newest(state).filter(|_| state.follow) {
        reveal(state, key);
    }
}

fn here(state: &mut State) -> Option<ProcessKey> {
    match state.chosen() {
        Some(RowKey::Process(key)) => Some(key),
        _ => {
            state.say(Sound::Note, "that process has ended; choose another");
            None
        }
    }
}

fn unfold(state: &mut State, key: ProcessKey) {
    state.folded.remove(&key);
}

/// Folds; on what is folded or has nothing below it, goes to its parent.
fn left(state: &mut State) {
    let Some(key) = here(state) else { return };
    let parent = state.mirror.processes.get(&key).and_then(|row| row.parent);
    let has_children = state.mirror.processes.values().any(|row| row.parent == Some(key));
    if has_children && state.folded.insert(key) {
        return;
    }
    if let Some(parent) = parent.filter(|parent| state.mirror.processes.contains_key(parent)) {
        state.list_mut().choose(RowKey::Process(parent));
    }
}

fn fold_all(state: &mut State) {
    if state.folded.len() > 1 {
        state.folded.clear();
        return;
    }
    let parents = state.mirror.processes.values().filter_map(|row| row.parent).collect();
    state.folded = parents;
    let roots = rows::processes(state).first().map(|(branch, _)| branch.key);
    if let Some(root) = roots {
        // The whole tree in one row would show nothing: the first root stays open.
        state.folded.remove(&root);
    }
}

fn next_suspect(state: &mut State) {
    let mut suspects: Vec<ProcessKey> = state.mirror.processes.values().filter(|row| row.incident.is_some()).map(|row| row.key).collect();
    suspects.sort_by_key(|key| (key.start, key.pid));
    let at = match state.chosen() {
        Some(RowKey::Process(key)) => suspects.iter().position(|suspect| *suspect == key).map_or(0, |at| at + 1),
        _ => 0,
    };
    match suspects.get(at).or_else(|| suspects.first()) {
        Some(key) => reveal(state, *key),
        None => state.say(Sound::Note, "no living process belongs to an incident"),
    }
}

/// Puts the cursor on a process and unfolds what hides it.
pub(super) fn reveal(state: &mut State, key: ProcessKey) {
    let mut above = state.mirror.processes.get(&key).and_then(|row| row.parent);
    let mut steps = 0;
    while let Some(parent) = above.filter(|_| steps < 4_096) {
        state.folded.remove(&parent);
        above = state.mirror.processes.get(&parent).and_then(|row| row.parent);
        steps += 1;
    }
    state.list_mut().choose(RowKey::Process(key));
}

fn by_hand(state: &mut State, kind: ActionKind) -> Vec<Effect> {
    let Some(key) = here(state) else { return Vec::new() };
    let Some(exe) = state.mirror.processes.get(&key).map(|row| row.exe.clone()) else { return Vec::new() };
    super::network::propose(state, kind, Target::ProcessTree { root: key, exe })
}

/// Asks which container it is; the answer offers the ways to isolate it.
fn isolate(state: &mut State) -> Vec<Effect> {
    let Some(key) = here(state) else { return Vec::new() };
    let Some(id) = state.mirror.processes.get(&key).and_then(|row| row.container.clone()) else {
        state.say(Sound::Note, "the process under the cursor is in no container");
        return Vec::new();
    };
    super::ask(state, Request::FindContainer { name: HostText::from(id), isolation: Isolation::Network }, "which container it is")
}

/// Asks which account it is; the answer is followed by the preview.
fn disable(state: &mut State) -> Vec<Effect> {
    let Some(key) = here(state) else { return Vec::new() };
    let Some(row) = state.mirror.processes.get(&key) else { return Vec::new() };
    let Some(name) = row.user.clone() else {
        let text = format!("uid {} has no account name on this host", row.uid);
        state.say(Sound::Note, text);
        return Vec::new();
    };
    super::ask(state, Request::FindAccount { name }, "which account it is")
}
