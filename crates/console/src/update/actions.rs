//! Undoing one action, and the emergency stop that undoes all.

use crate::input::Effect;
use crate::state::question::{Confirm, Essential};
use crate::state::{Dialog, Sound, State, rows};
use crate::widgets::{Tone, TonedLine};
use bartizan_config::Command;
use bartizan_model::Action;
use bartizan_protocol::Request;

/// Asks before an undo: of the action under the cursor, or of the newest one for the incident there.
pub(super) fn run(state: &mut State) -> Vec<Effect> {
    if let Some(confirm) = super::table::undo(state) {
        if super::allowed(state, &Request::Rollback { ids: Vec::new() }) {
            state.dialog = Some(Dialog::Confirm(confirm));
        }
        return Vec::new();
    }
    let Some(row) = rows::action_here(state) else {
        let text = match rows::incident_here(state) {
            Some(id) => format!("no action for {id} has an effect that can be undone"),
            None => "no action is under the cursor".to_owned(),
        };
        state.say(Sound::Note, text);
        return Vec::new();
    };
    let id = row.id;
    let problem = if !row.kind.is_reversible() {
        Some(format!("{id} cannot be undone: a killed process does not come back"))
    } else if !row.state.is_active() {
        Some(format!("{id} has no effect any more: it is {}", row.state.noun()))
    } else {
        None
    };
    if let Some(problem) = problem {
        state.say(Sound::Note, problem);
        return Vec::new();
    }
    let confirm = undo(row);
    if super::allowed(state, &Request::Rollback { ids: vec![id] }) {
        state.dialog = Some(Dialog::Confirm(confirm));
    }
    Vec::new()
}

/// What a person must know before something is undone.
pub(super) fn undo_essentials(what: String) -> Vec<Essential> {
    vec![
        Essential::name("What", what),
        Essential::new("Lasts", Tone::Plain, "for good; only a new action, by you or by the mode, does it again").or("for good"),
        Essential::new("After", Tone::Plain, "the kernel is read back; the state must be as before the action").or("as before, read back"),
    ]
}

fn undo(row: &Action) -> Confirm {
    let what = format!("undo \"{} {}\"", row.kind.verb(), row.target);
    let essentials = undo_essentials(what);
    let does = |(at, text): (usize, &String)| TonedLine::labelled(if at == 0 { "Does    " } else { "        " }, Tone::Plain, text.clone());
    let id = row.id;
    let yes = vec![Effect::ask(Request::Rollback { ids: vec![id] }, format!("undoing {id}"))];
    Confirm::new(format!("Undo {id}?"), essentials, row.undo.iter().enumerate().map(does).collect(), yes)
}

/// The question before the emergency stop.
pub(super) fn stop_everything(state: &State) -> Confirm {
    let active: Vec<_> = state.mirror.actions.values().filter(|row| row.state.is_active()).collect();
    let (what, short) = match active.len() {
        0 => ("no action is active; the mode becomes PARANOID, in which nothing is done without you".to_owned(), String::new()),
        1 => ("undoes what can be undone of the one active action".to_owned(), "undo 1 action".to_owned()),
        n => (format!("undoes what can be undone of all {n} active actions"), format!("undo {n} actions")),
    };
    let short = if short.is_empty() { "the mode becomes PARANOID".to_owned() } else { short };
    let essentials = vec![
        Essential::new("What", Tone::Danger, what).or(short),
        Essential::new("Lasts", Tone::Plain, "automatic actions are paused until you choose a mode").or("until you choose a mode"),
        Essential::new("Stays", Tone::Plain, "your own access; the agent keeps watching and recording").or("your access; it watches on"),
        Essential::new("Undo", Tone::Plain, "choose a mode (m); undone actions are not applied again").or("choose a mode (m)"),
    ];
    let details = active.iter().map(|row| {
        let stays = if row.kind.is_reversible() { "" } else { " (cannot be undone)" };
        TonedLine::labelled(
            format!("  {:<6}", row.id),
            if stays.is_empty() { Tone::Plain } else { Tone::Muted },
            format!("{} {}{stays}", row.kind.verb(), row.target),
        )
    });
    let yes = vec![Effect::ask(Request::EmergencyStop, "stopping everything")];
    Confirm { again: Some(Command::EmergencyStop), ..Confirm::new("Emergency stop", essentials, details.collect(), yes) }
}
