//! Yes, no, and for how long.

use std::time::Duration;

use crate::config::Command;
use crate::model::{ActionKind, Approval, ApprovalId, ApprovalState, Preview};
use crate::protocol::Request;
use crate::tui::input::Effect;
use crate::tui::state::dialog::{Confirm, Prompt, Wants};
use crate::tui::state::{Dialog, RowKey, Sound, State};
use crate::tui::widgets::{TextLine, Tone, TonedLine};

pub(super) fn run(state: &mut State, command: Command) -> Vec<Effect> {
    let Some(id) = open_question(state) else { return Vec::new() };
    if !super::allowed(state, &Request::Approve { id, lasts: None }) {
        return Vec::new();
    }
    state.dialog = match command {
        Command::Approve => confirm(state, id, None).map(Dialog::Confirm),
        Command::Duration => Some(Dialog::Prompt(Prompt {
            title: format!("Approve {id} for how long?"),
            about: "The host undoes it by itself after this time: 30s, 10m, 1h 30m; at most 24h.".to_owned(),
            line: TextLine::new(&lasts(state, id).map(|lasts| humantime::format_duration(lasts).to_string()).unwrap_or_default()),
            wants: Wants::Duration(id),
            problem: None,
        })),
        Command::Reject => Some(Dialog::Prompt(Prompt {
            title: format!("Reject {id}: why?"),
            about: "For the record; may stay empty. Enter rejects, Esc leaves the question open.".to_owned(),
            line: TextLine::default(),
            wants: Wants::Reason(id),
            problem: None,
        })),
        _ => None,
    };
    Vec::new()
}

fn open_question(state: &mut State) -> Option<ApprovalId> {
    let Some(RowKey::Approval(id)) = state.chosen() else {
        state.say(Sound::Note, "no question is under the cursor");
        return None;
    };
    let pending = state.mirror.approvals.get(&id).is_some_and(|row| row.state == ApprovalState::Pending);
    if !pending {
        state.say(Sound::Note, format!("{id} is already answered or lapsed"));
    }
    pending.then_some(id)
}

fn lasts(state: &State, id: ApprovalId) -> Option<Duration> {
    state.mirror.approvals.get(&id).map(|row| row.action.lasts())
}

/// The confirmation of a yes.
pub(super) fn confirm(state: &State, id: ApprovalId, lasts: Option<Duration>) -> Option<Confirm> {
    let row: &Approval = state.mirror.approvals.get(&id)?;
    let time = humantime::format_duration(lasts.unwrap_or(row.action.lasts()));
    let mut lines = vec![
        TonedLine::labelled("What    ", Tone::Plain, row.action.to_string()),
        TonedLine::labelled("Lasts   ", Tone::Plain, format!("{time}, then the host undoes it by itself")),
    ];
    lines.extend(early_end(state, row.action.kind()));
    lines.extend(preview_lines(&row.preview));
    Some(Confirm {
        title: format!("Approve {id}?"),
        lines,
        yes: vec![Effect::ask(Request::Approve { id, lasts }, format!("approving {id}"))],
        again: None,
        offset: 0,
        armed: None,
    })
}

/// What a person must know before beginning an action that may cut people off.
pub(super) fn early_end(state: &State, kind: ActionKind) -> Option<TonedLine> {
    let key = state.keymap.key(Command::Confirm).unwrap_or_default();
    let text = format!("the host undoes it by itself, early, unless you confirm it afterwards with {key}");
    kind.is_disruptive().then(|| TonedLine::labelled("Confirm ", Tone::Warning, text))
}

/// A preview as lines: what happens, what else it touches, how it is undone.
pub(super) fn preview_lines(preview: &Preview) -> Vec<TonedLine> {
    let listed = |label: &'static str, tone, texts: &[String]| {
        texts
            .iter()
            .enumerate()
            .map(|(at, text)| TonedLine::labelled(if at == 0 { label } else { "        " }, tone, text.clone()))
            .collect::<Vec<_>>()
    };
    let mut lines = listed("Does    ", Tone::Plain, &preview.steps);
    lines.push(TonedLine::labelled("Touches ", Tone::Warning, preview.blast_radius.clone()));
    lines.extend(listed("Undo    ", Tone::Good, &preview.undo));
    if preview.undo.is_empty() {
        lines.push(TonedLine::labelled("Undo    ", Tone::Danger, "cannot be undone"));
    }
    lines
}
