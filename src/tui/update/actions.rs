//! Undoing one action, and the emergency stop that undoes all.

use crate::config::Command;
use crate::model::Action;
use crate::protocol::Request;
use crate::tui::input::Effect;
use crate::tui::state::dialog::Confirm;
use crate::tui::state::{Dialog, RowKey, Sound, State};
use crate::tui::widgets::{Tone, TonedLine};

pub(super) fn run(state: &mut State, command: Command) -> Vec<Effect> {
    if command != Command::Undo {
        return Vec::new();
    }
    let Some(RowKey::Action(id)) = state.chosen() else {
        state.say(Sound::Note, "no action is under the cursor");
        return Vec::new();
    };
    let Some(row) = state.mirror.actions.get(&id) else { return Vec::new() };
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

fn undo(row: &Action) -> Confirm {
    let mut lines = vec![TonedLine::labelled("What    ", Tone::Plain, format!("{} {}", row.kind.verb(), row.target))];
    lines.extend(
        row.undo
            .iter()
            .enumerate()
            .map(|(at, text)| TonedLine::labelled(if at == 0 { "Does    " } else { "        " }, Tone::Plain, text.clone())),
    );
    lines.push(TonedLine::labelled("After   ", Tone::Plain, "the kernel is read back; the state must be as before the action"));
    let id = row.id;
    Confirm {
        title: format!("Undo {id}?"),
        lines,
        yes: vec![Effect::ask(Request::Rollback { ids: vec![id] }, format!("undoing {id}"))],
        again: None,
        offset: 0,
        armed: None,
    }
}

/// The question before the emergency stop.
pub(super) fn stop_everything(state: &State) -> Confirm {
    let active: Vec<_> = state.mirror.actions.values().filter(|row| row.state.is_active()).collect();
    let mut lines = vec![TonedLine::new(
        Tone::Danger,
        match active.len() {
            0 => "No action is active; the mode becomes PARANOID, in which nothing is done without you.".to_owned(),
            1 => {
                "Undoes what can be undone of the one active action; then the guard acts no more until you choose a mode again.".to_owned()
            }
            n => format!("Undoes what can be undone of all {n} active actions; then the guard acts no more until you choose a mode again."),
        },
    )];
    lines.extend(active.iter().take(8).map(|row| {
        let stays = if row.kind.is_reversible() { "" } else { " (cannot be undone)" };
        TonedLine::labelled(
            format!("  {:<6}", row.id),
            if stays.is_empty() { Tone::Plain } else { Tone::Muted },
            format!("{} {}{stays}", row.kind.verb(), row.target),
        )
    }));
    if active.len() > 8 {
        lines.push(TonedLine::labelled("  ", Tone::Muted, format!("and {} more", active.len() - 8)));
    }
    lines.push(TonedLine::new(Tone::Muted, "It goes on watching and recording."));
    Confirm {
        title: "Emergency stop".to_owned(),
        lines,
        yes: vec![Effect::ask(Request::EmergencyStop, "stopping everything")],
        again: Some(Command::EmergencyStop),
        offset: 0,
        armed: None,
    }
}
