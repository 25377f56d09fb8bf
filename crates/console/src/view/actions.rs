//! What was done to the host: is it there, since when, until when.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::format::{ago, clock, left, plural, shown_of};
use crate::paint::Paint;
use crate::state::{State, rows};
use crate::update::{tone, vitals};
use crate::widgets::text::{pad, safe};
use crate::widgets::{Cell, Column, Table, Tone, TonedLine, column, draw_lines, fill, meter, right, rule, wrap_toned};
use bartizan_model::{Action, ActionState, Timestamp};

const COLUMNS: [Column; 9] = [
    column("ID", 4, 0),
    column("STATE", 11, 0),
    right("FOR", 4, 50),
    right("ENDS IN", 7, 0),
    column("", 8, 100),
    column("VERIFIED", 9, 70),
    column("BY", 12, 110),
    column("INCIDENT", 8, 84),
    fill("WHAT"),
];

fn parts(area: Rect) -> (Rect, Rect) {
    let pane = if area.height >= 14 { 8 } else { 0 };
    (Rect { height: area.height - pane, ..area }, Rect { y: area.bottom() - pane, height: pane, ..area })
}

pub(super) fn page(area: Rect, _: &State) -> u16 {
    parts(area).0.height.saturating_sub(2)
}

pub(super) fn draw(buf: &mut Buffer, area: Rect, state: &State, paint: &Paint) {
    let (list, pane) = parts(area);
    let actions = rows::actions(state);
    let active = actions.iter().filter(|row| row.state.is_active()).count();
    let pending = actions.iter().filter(|row| row.undo_pending().is_some()).count();
    let told = if pending > 0 { format!(", {pending} undo pending") } else { String::new() };
    let remark = shown_of(state, actions.len(), state.mirror.actions.len(), format!("{active} active of {}{told}", actions.len()));
    let inside = rule(buf, list, "Actions", &remark, paint);
    let keys = rows::keys(state);
    let place = state.list().place(&keys, usize::from(page(area, state)));
    let table = Table {
        columns: &COLUMNS,
        count: actions.len(),
        place,
        empty: "no action: the guard has changed nothing on this host",
        marked: &|at| state.list().is_marked(keys.get(at)),
    };
    table.draw(buf, inside, paint, |index| actions.get(index).map(|row| cells(state, row, paint)).unwrap_or_default());
    if let Some(row) = place.cursor.filter(|_| !place.gone).and_then(|at| actions.get(at)) {
        detail(buf, pane, state, row, paint);
    }
}

fn cells(state: &State, row: &Action, paint: &Paint) -> Vec<Cell> {
    let active = row.state.is_active();
    let words = if active { paint.base } else { paint.muted };
    let rest = (row.ends_at() - state.now).max(chrono::TimeDelta::zero());
    let waits = row.awaits_confirmation().is_some();
    let verified = row.verified_at.map(|at| format!("{} ago", ago(state, at))).unwrap_or_else(|| "never".to_owned());
    vec![
        Cell::new(row.id.to_string(), words),
        // The detail says what is pending, and why; the column is narrow.
        Cell::new(if row.undo_pending().is_some() { "undoing" } else { row.state.noun() }, paint.action(row.state)),
        Cell::new(ago(state, since(row)), paint.muted),
        // The mark: it ends early, unless somebody confirms it.
        Cell::new(
            if active { format!("{}{}", left(rest), if waits { "!" } else { "" }) } else { String::new() },
            if waits { paint.warning } else { words },
        ),
        Cell::new(if active { bar(row, rest, paint) } else { String::new() }, paint.accent),
        Cell::new(if active { verified } else { String::new() }, paint.muted),
        Cell::new(safe(&row.by.to_string()), paint.muted),
        Cell::new(row.incident.map(|id| id.to_string()).unwrap_or_default(), words),
        Cell::new(format!("{} {}", row.kind.verb(), row.target), words),
    ]
}

/// Since when it is what it is: applied and there, last seen there when it drifted, ended.
pub(super) fn since(row: &Action) -> Timestamp {
    let begun = row.applied_at.unwrap_or(row.planned_at);
    match row.state {
        ActionState::Drifted | ActionState::Unknown => row.verified_at.unwrap_or(begun),
        ActionState::Planned | ActionState::Applying | ActionState::Live => begun,
        ActionState::Failed | ActionState::Expired | ActionState::RolledBack => row.ended_at.unwrap_or(begun),
    }
}

/// How much of its life is left.
fn bar(row: &Action, left: chrono::TimeDelta, paint: &Paint) -> String {
    let whole = row.ends_at() - row.applied_at.unwrap_or(row.planned_at);
    #[allow(clippy::cast_precision_loss)] // at most a day of seconds
    let share = left.num_seconds() as f64 / whole.num_seconds().max(1) as f64;
    let (full, empty) = meter(share, 8, &paint.glyphs);
    full + &empty
}

fn detail(buf: &mut Buffer, area: Rect, state: &State, row: &Action, paint: &Paint) {
    if area.height < 2 {
        return;
    }
    let inside = rule(buf, area, &format!("Action {}", row.id), &safe(&row.reason), paint);
    let mut lines = Vec::new();
    lines.extend(row.pending_words().map(|why| TonedLine::labelled("Undo     ", Tone::Danger, safe(&why))));
    lines.extend(confirmation(state, row));
    lines.extend(row.vitals.as_ref().map(|check| TonedLine::labelled("Probes   ", tone(check), vitals(check))));
    for (label, tone, texts) in [("Did      ", Tone::Plain, &row.preview), ("Undo     ", Tone::Good, &row.undo)] {
        lines.extend(
            texts.iter().enumerate().map(|(at, text)| TonedLine::labelled(if at == 0 { label } else { "         " }, tone, text.clone())),
        );
    }
    if !row.kind.is_reversible() {
        lines.push(TonedLine::labelled("Undo     ", Tone::Danger, "cannot be undone"));
    }
    lines.push(TonedLine::labelled("Kernel   ", Tone::Muted, row.note.clone()));
    let lines = wrap_toned(&lines, usize::from(inside.width.saturating_sub(2)));
    let pane = Rect { x: inside.x + 1, width: inside.width.saturating_sub(2), ..inside };
    draw_lines(buf, pane, &lines, 0, paint);
    let hidden = lines.len().saturating_sub(usize::from(pane.height));
    if hidden > 0 && pane.height > 0 {
        let key = state.keymap.key(bartizan_config::Command::Open).unwrap_or_default();
        let cells = usize::from(pane.width);
        let shown = format!("{}: {key} shows them", plural(hidden + 1, "more line"));
        buf.set_stringn(pane.x, pane.bottom() - 1, pad(&shown, cells), cells, paint.muted);
    }
}

/// Whether somebody stands behind it.
fn confirmation(state: &State, row: &Action) -> Option<TonedLine> {
    if let Some(until) = row.awaits_confirmation() {
        let key = state.keymap.key(bartizan_config::Command::Confirm).unwrap_or_default();
        let text = format!(
            "undone at {} unless you confirm it ({key}): then it lasts until {}",
            clock(state, until),
            clock(state, row.expires_at)
        );
        return Some(TonedLine::labelled("Confirm  ", Tone::Warning, text));
    }
    let confirmation = row.confirmation.as_ref()?;
    let text = match (confirmation.confirmed_at, &confirmation.confirmed_by) {
        (Some(at), by) => format!("by {} at {}", by.as_deref().unwrap_or("a person"), clock(state, at)),
        (None, _) => format!("nobody did until {}", clock(state, confirmation.until)),
    };
    Some(TonedLine::labelled("Confirm  ", Tone::Muted, text))
}
