//! Yes, no, and for how long.

use std::time::Duration;

use crate::input::Effect;
use crate::state::dialog::{Prompt, Wants};
use crate::state::question::{Confirm, Essential};
use crate::state::{Dialog, Sound, State, held, rows};
use crate::widgets::{TextLine, Tone, TonedLine};
use bartizan_config::{Command, View};
use bartizan_model::{ActionKind, ActionPlan, Approval, ApprovalId, ApprovalState, Preview};
use bartizan_protocol::Request;

pub(super) fn run(state: &mut State, command: Command) -> Vec<Effect> {
    let marked = super::table::questions(state);
    let Some(id) = marked.first().copied().or_else(|| open_question(state)) else { return Vec::new() };
    if !super::allowed(state, &Request::Approve { id, lasts: None }) {
        return Vec::new();
    }
    if marked.len() > 1 && command == Command::Duration {
        state.say(Sound::Note, "only one question at a time can get another duration: press esc to clear the marks");
        return Vec::new();
    }
    let all = if marked.len() > 1 { format!("all {} marked questions", marked.len()) } else { id.to_string() };
    state.dialog = if command == Command::Duration {
        Some(Dialog::Prompt(Prompt {
            title: format!("Approve {id} for how long?"),
            about: "It is undone automatically after this time: 30s, 10m, 1h 30m; at most 24h.".to_owned(),
            line: TextLine::new(&lasts(state, id).map(|lasts| humantime::format_duration(lasts).to_string()).unwrap_or_default()),
            wants: Wants::Duration(id),
            problem: None,
        }))
    } else if command == Command::Reject {
        Some(Dialog::Prompt(Prompt {
            title: format!("Reject {all}: why?"),
            about: "For the record; may stay empty. Enter rejects, Esc leaves the question open.".to_owned(),
            line: TextLine::default(),
            wants: Wants::Reason(id),
            problem: None,
        }))
    } else if marked.len() > 1 {
        Some(Dialog::Confirm(super::table::approve(state, &marked)))
    } else {
        confirm(state, id, None).map(Dialog::Confirm)
    };
    Vec::new()
}

/// The question that is answered here: the one under the cursor, or the first about the incident there.
fn open_question(state: &mut State) -> Option<ApprovalId> {
    let Some(row) = rows::question_here(state) else {
        let text = match rows::incident_here(state) {
            Some(id) => format!("no question about {id} waits for an answer{}", elsewhere(state)),
            None => "no question is under the cursor".to_owned(),
        };
        state.say(Sound::Note, text);
        return None;
    };
    let (id, pending) = (row.id, row.state == ApprovalState::Pending);
    if !pending {
        state.say(Sound::Note, format!("{id} is already answered or lapsed"));
    }
    pending.then_some(id)
}

/// The question that does wait, for whoever pressed the key at an incident without one.
fn elsewhere(state: &State) -> String {
    let Some(row) = state.mirror.approvals.values().find(|row| row.state == ApprovalState::Pending) else { return String::new() };
    let key = state.keymap.key(Command::Show(View::Approvals)).unwrap_or_default();
    format!("; {} for {} does: {key} goes to it", row.id, row.incident)
}

fn lasts(state: &State, id: ApprovalId) -> Option<Duration> {
    state.mirror.approvals.get(&id).map(|row| row.action.lasts())
}

/// The confirmation of a yes.
pub(super) fn confirm(state: &State, id: ApprovalId, lasts: Option<Duration>) -> Option<Confirm> {
    let row: &Approval = state.mirror.approvals.get(&id)?;
    let plan = lasts.and_then(|lasts| row.action.lasting(lasts).ok()).unwrap_or_else(|| row.action.clone());
    let details = reasons_and_steps(row, 8);
    let yes = vec![Effect::ask(Request::Approve { id, lasts }, format!("approving {id}"))];
    Some(Confirm::new(format!("Approve {id} for {}?", row.incident), essentials(state, &plan, &row.preview), details, yes))
}

/// What a person must know before an action begins: what, for how long, what stays open, how it is undone.
pub(crate) fn essentials(state: &State, plan: &ActionPlan, preview: &Preview) -> Vec<Essential> {
    let mut lines = vec![Essential::name("What", plan.to_string())];
    if let Some(left) = held::left_by_plan(state, plan) {
        lines.push(
            Essential::new("Leaves", Tone::Warning, format!("{left} running: this does not hold them")).or(format!("{left} runs on")),
        );
    }
    let stays = if preview.stays.is_empty() { "not known" } else { preview.stays.as_str() };
    lines.extend([
        lasts_line(state, plan, preview),
        Essential::new("Stays", Tone::Plain, stays).or(stays_shortly(stays)),
        undo_line(state, plan.kind(), preview),
    ]);
    lines
}

/// On a small screen a long address gives way; it is among the details.
fn stays_shortly(stays: &str) -> String {
    match (stays.len() > 58, stays.split_once(" from "), stays.split_once(';')) {
        (true, Some((yours, _)), Some((_, rest))) => format!("{yours};{rest}"),
        _ => stays.to_owned(),
    }
}

/// Until when, and what becomes of it when nobody says anything.
fn lasts_line(state: &State, plan: &ActionPlan, preview: &Preview) -> Essential {
    let key = state.keymap.key(Command::Confirm).unwrap_or_default();
    let whole = humantime::format_duration(plan.lasts());
    if !plan.kind().is_reversible() {
        return Essential::new("Lasts", Tone::Danger, "for good");
    }
    if !plan.kind().is_disruptive() {
        return Essential::new("Lasts", Tone::Plain, format!("{whole}, then the host undoes it by itself"))
            .or(format!("{whole}, then undone"));
    }
    let early = preview
        .confirm_within
        .map_or_else(|| "early".to_owned(), |time| format!("after {}", humantime::format_duration(time.min(plan.lasts()))));
    let then = if plan.kind() == ActionKind::RestoreFile { "for good".to_owned() } else { whole.to_string() };
    Essential::new("Lasts", Tone::Warning, format!("{then}; undone {early} unless you confirm it with {key}"))
        .or(format!("{}; {then} once confirmed: {key}", early.trim_start_matches("after ")))
}

fn undo_line(state: &State, kind: ActionKind, preview: &Preview) -> Essential {
    if !kind.is_reversible() || preview.undo.is_empty() {
        return Essential::new("Undo", Tone::Danger, "cannot be undone");
    }
    let key = state.keymap.key(Command::Undo).unwrap_or_default();
    let until = if kind == ActionKind::RestoreFile { "until it is confirmed" } else { "at any time" };
    Essential::new("Undo", Tone::Good, format!("{key} in Actions {until}: {}", preview.undo.join("; ")))
        .or(format!("{key} in Actions {until}"))
}

/// What a question rests on and why a person is asked, before the steps: a reason against it must not be below the fold. Labels are so
/// wide.
pub(crate) fn reasons_and_steps(row: &Approval, width: usize) -> Vec<TonedLine> {
    let line = |label: &str, text: &str| TonedLine::labelled(format!("{label:<width$}"), Tone::Plain, text.to_owned());
    let mut lines = vec![line("Why", &row.reason), line("Asked", &row.held_because)];
    lines.extend(preview_lines(&row.preview, width));
    lines
}

/// A preview as lines: what else it touches, and each step.
pub(super) fn preview_lines(preview: &Preview, width: usize) -> Vec<TonedLine> {
    let label = |text: &str| format!("{text:<width$}");
    let mut lines = vec![TonedLine::labelled(label("Touches"), Tone::Warning, preview.blast_radius.clone())];
    let step = |(at, text): (usize, &String)| TonedLine::labelled(label(if at == 0 { "Does" } else { "" }), Tone::Plain, text.clone());
    lines.extend(preview.steps.iter().enumerate().map(step));
    lines
}
