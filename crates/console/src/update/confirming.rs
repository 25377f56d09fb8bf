//! Standing behind what is undone otherwise: the answer to the countdown.

use crate::input::Effect;
use crate::state::dialog::{Choice, Choose, Then};
use crate::state::question::{Confirm, Essential};
use crate::state::{Dialog, RowKey, Sound, State, rows};
use crate::widgets::{Tone, TonedLine};
use bartizan_config::Command;
use bartizan_model::{Action, ActionId, ActionKind, Isolation, ProbeCheck, Target, Timestamp};
use bartizan_protocol::Request;

/// Opens the question about the action under the cursor, if it waits for a yes, else about the most urgent one.
pub(super) fn ask(state: &mut State) {
    let here = match state.chosen() {
        Some(RowKey::Action(id)) => state.mirror.actions.get(&id).filter(|row| row.awaits_confirmation().is_some()),
        _ => None,
    };
    let Some(row) = here.or_else(|| rows::awaiting(state).first().copied()) else {
        state.say(Sound::Note, "no action waits for a confirmation");
        return;
    };
    let confirm = question(state, row);
    if super::allowed(state, &Request::Confirm { id: confirm.0 }) {
        state.dialog = Some(Dialog::Confirm(confirm.1));
    }
}

fn question(state: &State, row: &Action) -> (ActionId, Confirm) {
    let clock = |at: Timestamp| crate::view::format::clock(state, at);
    let id = row.id;
    let (until, early) = (clock(row.expires_at), clock(row.ends_at()));
    let undo = state.keymap.key(Command::Undo).unwrap_or_default();
    let (yes, back) = if row.kind == ActionKind::RestoreFile {
        ("it stays for good".to_owned(), Essential::new("Undo", Tone::Danger, "cannot be undone once you confirm it"))
    } else {
        let back = Essential::new("Undo", Tone::Good, format!("{undo} in Actions, at any time before")).or(format!("{undo} in Actions"));
        (format!("it lasts until {until}"), back)
    };
    let mut essentials = vec![
        Essential::name("What", format!("keep \"{} {}\"", row.kind.verb(), row.target)),
        Essential::new("Yes", Tone::Plain, yes),
        Essential::new("Else", Tone::Warning, format!("the host undoes it by itself at {early}")).or(format!("undone at {early}")),
        back,
    ];
    let said = row.vitals.as_ref().map(|check| Essential::new("Probes", tone(check), vitals(check)).or(vitals_shortly(check)));
    essentials.extend(said);
    let did = |(at, text): (usize, &String)| TonedLine::labelled(if at == 0 { "Did     " } else { "        " }, Tone::Plain, text.clone());
    let yes = vec![Effect::ask(Request::Confirm { id }, format!("confirming {id}"))];
    // Its own key is no yes: a held key must not answer what nobody has read.
    (id, Confirm::new(format!("Confirm {id}?"), essentials, row.preview.iter().enumerate().map(did).collect(), yes))
}

fn vitals_shortly(check: &ProbeCheck) -> String {
    match (check.harmed.len(), check.ill_before.len()) {
        (0, 0) => format!("{} passing", check.well),
        (0, before) => format!("{} passing; {before} failing before", check.well),
        (harmed, _) => format!("{harmed} HARMED"),
    }
}

/// Health probes in one line.
pub(crate) fn vitals(check: &ProbeCheck) -> String {
    let mut parts = Vec::new();
    if !check.harmed.is_empty() {
        parts.push(format!("HARMED: {}", check.harmed.join(", ")));
    }
    parts.push(if check.at.is_some() { format!("{} passing", check.well) } else { "not compared yet".to_owned() });
    if !check.unexplained.is_empty() {
        parts.push(format!("worse since, but not by this: {}", check.unexplained.join(", ")));
    }
    if !check.ill_before.is_empty() {
        parts.push(format!("{} failing before the action too: {}", check.ill_before.len(), check.ill_before.join(", ")));
    }
    parts.join("; ")
}

/// How that sounds.
pub(crate) fn tone(check: &ProbeCheck) -> Tone {
    match (check.harmed.is_empty(), check.at.is_some(), check.well) {
        (false, ..) => Tone::Danger,
        (true, true, _) if !check.unexplained.is_empty() => Tone::Warning,
        // Nothing passes: that nothing got worse proves little.
        (true, true, 0) => Tone::Warning,
        (true, true, _) => Tone::Good,
        (true, false, _) => Tone::Muted,
    }
}

/// A name was looked up for an action: asks what it would do, or how a container shall be isolated.
pub(super) fn found(state: &mut State, target: Target) -> Vec<Effect> {
    if state.dialog.is_some() {
        state.say(Sound::Note, format!("the answer about {target} came too late: ask again"));
        return Vec::new();
    }
    let Target::Container { id, name, .. } = target else {
        return if let Target::User { .. } = target { super::network::propose(state, ActionKind::DisableUser, target) } else { Vec::new() };
    };
    let mut way = |label: &str, about: &str, isolation| {
        let target = Target::Container { id: id.clone(), name: name.clone(), isolation };
        let then = Then::Do(super::network::propose(state, ActionKind::IsolateContainer, target));
        Choice { label: label.to_owned(), about: about.to_owned(), then }
    };
    let options = vec![
        way("network", "cut it off every network; it runs on", Isolation::Network),
        way("pause", "stop it where it stands", Isolation::Pause),
    ];
    let options: Vec<Choice> =
        options.into_iter().filter(|choice| !matches!(&choice.then, Then::Do(effects) if effects.is_empty())).collect();
    if options.is_empty() {
        // Why was said by whoever refused it.
        return Vec::new();
    }
    let title = format!("Isolate container {name}");
    let about = format!("{}. What it would do is shown next.", id.get(..12).unwrap_or(&id).escape_debug());
    state.dialog = Some(Dialog::Choose(Choose { title, about, options, at: 0 }));
    Vec::new()
}
