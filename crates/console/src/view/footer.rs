//! The last two rows: what came of the last command, and the keys of this view.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::format::{clock, span};
use crate::paint::Paint;
use crate::state::{Dialog, Link, RowKey, Sound, State, facts, rows};
use crate::widgets::text::{fit, safe, width, wrap};
use bartizan_config::keymap::COMMANDS;
use bartizan_config::{Command, View};
use bartizan_model::{AlertState, ApprovalState};

/// Most rows of the view that a long sentence covers.
const MOST: usize = 3;

pub(super) fn draw(buf: &mut Buffer, message: Rect, footer: Rect, state: &State, paint: &Paint) {
    let line = if message.height > 0 { message } else { footer };
    let said = say(buf, line, state, paint);
    if message.height > 0 || !said {
        keys(buf, footer, state, paint);
    }
}

fn say(buf: &mut Buffer, area: Rect, state: &State, paint: &Paint) -> bool {
    let room = usize::from(area.width).saturating_sub(2);
    if let Some(Dialog::Filter(line)) = &state.dialog {
        line.draw(buf, Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area }, "filter: ", paint);
        return true;
    }
    let waiting = state.asked.values().find(|asked| !asked.question.what.is_empty());
    let (text, style) = if let Link::Lost { reason, since } = &state.link {
        let (at, age) = (clock(state, *since), span(state.now - *since));
        (format!("no connection since {at} ({age}): what you see is from then; {}; trying again", safe(reason)), paint.critical)
    } else if let Some(asked) = waiting {
        (format!("asking{} {}", paint.glyphs.ellipsis, safe(&asked.question.what)), paint.accent)
    } else if let Some(message) = &state.message {
        let style = match message.sound {
            Sound::Done => paint.good,
            Sound::Note => paint.notice,
            Sound::Refused => paint.danger,
        };
        (safe(&message.text), style)
    } else if let Some(age) = state.stale_for() {
        (format!("the agent last spoke {} ago: what you see may be old", span(age)), paint.warning)
    } else if let Some(text) = arranged(state) {
        (text, paint.accent)
    } else if let Some(row) = rows::awaiting(state).first().filter(|_| area.y < buf.area.bottom().saturating_sub(1)) {
        // Not on small screens, where this line is the line of keys: the strip has the countdown.
        let key = state.keymap.key(Command::Confirm).unwrap_or_default();
        let what = safe(&format!("{} {}", row.kind.verb(), row.target));
        (format!("{}: {what} is undone at {} unless you confirm it: {key}", row.id, clock(state, row.ends_at())), paint.warning)
    } else if let Some(way) = way(state, paint).filter(|_| area.y < buf.area.bottom().saturating_sub(1)) {
        (way, paint.muted)
    } else {
        return false;
    };
    // A sentence is never cut: a long one takes rows of the view above it while it lasts.
    let lines = wrap(&text, room.max(1));
    let most = usize::from(area.y.saturating_sub(buf.area.top())).min(MOST);
    let more = u16::try_from(lines.len().saturating_sub(1).min(most)).unwrap_or(0);
    let top = area.y - more;
    for (at, y) in (top..=area.y).enumerate() {
        let rest = lines.get(at..).unwrap_or_default();
        let line = if y == area.y { fit(&rest.join(" "), room, paint.glyphs.ellipsis) } else { rest.first().cloned().unwrap_or_default() };
        if more > 0 {
            buf.set_stringn(area.x, y, " ".repeat(usize::from(area.width)), usize::from(area.width), paint.base);
        }
        buf.set_stringn(area.x + 1, y, line, room, style);
    }
    true
}

/// What is marked, hidden or sorted otherwise: nobody must take a part of a table for the whole.
fn arranged(state: &State) -> Option<String> {
    let (list, here) = (state.list(), (state.view, state.second.contains(&state.view)));
    let mut parts = Vec::new();
    if !list.marks.is_empty() {
        parts.push(format!("{} marked: the next answer is about them, esc unmarks", list.marks.len()));
    }
    if !list.filter.is_empty() {
        let wrong = crate::state::query::Query::new(&list.filter).problem().map(|why| format!(" ({why})")).unwrap_or_default();
        parts.push(format!("filter: {}{}  (esc shows everything)", safe(&list.filter), safe(&wrong)));
        parts.extend(facts::unknown(here, &list.filter).map(|name| {
            let columns = facts::columns(here.0, here.1).join(" ");
            format!("{} is no column here; there are: {columns}", safe(&name))
        }));
    }
    if let Some((name, backwards)) = list.sort {
        let key = state.keymap.key(Command::Sort).unwrap_or_default();
        parts.push(format!("by {name}, {} first ({key})", if backwards { "largest" } else { "smallest" }));
    }
    (!parts.is_empty()).then(|| parts.join("   "))
}

/// The way that led here, and that esc goes back.
fn way(state: &State, paint: &Paint) -> Option<String> {
    let back = state.trail.last()?;
    let mut names: Vec<&str> = state.trail.iter().rev().take(4).map(|step| step.name.as_str()).collect();
    names.reverse();
    let here = crate::update::place_name(state);
    names.push(&here);
    let key = state.keymap.key(Command::Back).unwrap_or_default();
    Some(format!("{}   ({key}: back to {})", names.join(&format!(" {} ", paint.glyphs.right)), back.name))
}

/// Keys of this view first, then those that work everywhere, as many as fit; help is always among them.
fn keys(buf: &mut Buffer, area: Rect, state: &State, paint: &Paint) {
    let waits = !rows::awaiting(state).is_empty();
    let shown = |command: Command| {
        (waits || command != Command::Confirm)
            && !matches!(
                command,
                Command::Down
                    | Command::Up
                    | Command::First
                    | Command::Last
                    | Command::PageDown
                    | Command::PageUp
                    | Command::Back
                    | Command::NextView
                    | Command::PreviousView
                    | Command::Redraw
                    | Command::Suspend
                    | Command::Show(_)
                    | Command::EmergencyStop
                    | Command::Help
                    | Command::Copy
            )
            && relevant(state, command)
            && (state.view == View::Timeline || !matches!(command, Command::Left | Command::Right))
    };
    // The way out of trouble and the way to all other keys are always shown.
    let always = [hint(state, Command::EmergencyStop, "stop all"), hint(state, Command::Help, "help")];
    let reserved: usize = always.iter().map(|(key, short)| width(key) + width(short) + 3).sum();
    let mut room = usize::from(area.width).saturating_sub(2 + reserved);
    let mut hints = Vec::new();
    for info in COMMANDS.iter().filter(|info| info.works_in(state.view) && shown(info.command)) {
        let (key, short) = hint(state, info.command, info.short);
        let cells = width(&key) + 1 + width(short) + 2;
        if key.is_empty() || cells > room {
            continue;
        }
        room -= cells;
        hints.push((key, short));
    }
    hints.extend(always);
    let mut x = area.x + 1;
    for (key, short) in hints {
        let left = |x: u16| usize::from(area.right().saturating_sub(x));
        let (x1, _) = buf.set_stringn(x, area.y, key, left(x), paint.accent);
        let (x2, _) = buf.set_stringn(x1 + 1, area.y, short, left(x1 + 1), paint.muted);
        x = x2 + 2;
    }
}

/// Whether it has something to work on here: a key that would only be refused is no hint.
fn relevant(state: &State, command: Command) -> bool {
    let question = || rows::question_here(state).is_some_and(|row| row.state == ApprovalState::Pending);
    let unseen = || match state.chosen() {
        Some(RowKey::Alert(id)) => state.mirror.alerts.get(&id).is_some_and(|row| row.state == AlertState::New),
        _ => rows::incident_here(state).is_some_and(|id| !rows::unseen_of(state, id).is_empty()),
    };
    if matches!(state.view, View::Baseline | View::Findings | View::Exceptions)
        && matches!(command, Command::Approve | Command::Reject | Command::Undo)
    {
        return command == Command::Undo || matches!(state.chosen(), Some(RowKey::Item(_)));
    }
    if state.view == View::Logs && matches!(command, Command::Block | Command::Limit) {
        return state.second.contains(&View::Logs);
    }
    if matches!(command, Command::Approve | Command::Reject | Command::Duration) {
        return question();
    }
    if command == Command::Undo {
        return rows::action_here(state).is_some_and(|row| row.kind.is_reversible() && row.state.is_active());
    }
    if command == Command::FoldAll && state.view == View::Overview {
        return state.spread || rows::folded(state).iter().any(|(_, more)| *more > 0);
    }
    command != Command::Acknowledge || unseen()
}

fn hint(state: &State, command: Command, short: &'static str) -> (String, &'static str) {
    let short = match (state.view, command) {
        (View::Baseline, Command::Approve) => "normal",
        (View::Baseline, Command::Reject) => "not normal",
        (View::Findings, Command::Approve) => "accept",
        (View::Exceptions, Command::Reject) => "end it",
        _ => short,
    };
    (state.keymap.key(command).unwrap_or_default(), short)
}
