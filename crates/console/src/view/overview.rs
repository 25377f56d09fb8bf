//! The page for 3 a.m.: the worst incident first, its story and its questions beside it, and what to do now.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::format::{ago, clock, count, shown_of};
use super::{hint, story, summary};
use crate::paint::Paint;
use crate::state::{RowKey, State, held, rows};
use crate::widgets::text::safe;
use crate::widgets::{Cell, Column, Place, Table, column, fill, right, rule};
use bartizan_config::Command;
use bartizan_model::{Incident, IncidentState, Signal};

const COLUMNS: [Column; 6] =
    [column("ID", 4, 0), column("SEVERITY", 8, 0), right("CONF", 4, 36), column("STATE", 12, 86), right("AGE", 4, 44), fill("WHAT")];

const SIGNALS: [Column; 4] = [column("TIME", 8, 0), column("SEVERITY", 8, 0), column("DETECTOR", 30, 110), fill("WHAT")];

/// Width from which list and story stand side by side.
const BESIDE: u16 = 150;
/// Height from which there is room for what needs no decision.
const TALL: u16 = 27;
/// Rows that the story gets at least, where there is more than a list.
const STORY: u16 = 9;

struct Parts {
    hint: Rect,
    list: Rect,
    story: Rect,
    signals: Rect,
    summary: Rect,
}

fn parts(area: Rect, state: &State) -> Parts {
    let calm = hint::is_calm(state);
    let rows = |y: u16, height: u16| Rect { y: area.y + y, height, ..area };
    let hint = if area.height >= 12 { hint::height(state, area.width) } else { 0 };
    let summary = if area.height >= TALL || (calm && area.height >= 14) { summary::HEIGHT } else { 0 };
    let middle = area.height.saturating_sub(hint + summary);
    let wanted = u16::try_from(rows::folded(state).len()).unwrap_or(u16::MAX).saturating_add(2);
    let last = Rect { y: area.bottom() - summary, height: summary, ..area };
    if area.width >= BESIDE && middle >= 24 {
        let (high, wide) = (middle / 2, area.width * 9 / 20);
        let top = rows(hint, high);
        return Parts {
            hint: rows(0, hint),
            list: Rect { width: wide, ..top },
            story: Rect { x: top.x + wide + 2, width: top.width - wide - 2, ..top },
            signals: rows(hint + high, middle - high),
            summary: last,
        };
    }
    let most = if middle >= 12 { ((middle - STORY) / 2 + 2).max(5) } else { 4.max(middle / 2) };
    // A host without an incident, or whose incidents are over, needs no story.
    let list = if state.mirror.incidents.is_empty() { middle } else { wanted.min(most).min(middle) };
    Parts {
        hint: rows(0, hint),
        list: rows(hint, list),
        story: rows(hint + list, middle - list),
        signals: rows(hint + middle, 0),
        summary: last,
    }
}

pub(super) fn page(area: Rect, state: &State) -> u16 {
    parts(area, state).list.height.saturating_sub(2)
}

pub(super) fn draw(buf: &mut Buffer, area: Rect, state: &State, paint: &Paint) {
    let parts = parts(area, state);
    hint::draw(buf, parts.hint, state, paint);
    list(buf, area, parts.list, state, paint);
    let here = match state.chosen() {
        Some(RowKey::Incident(id)) => state.mirror.incidents.get(&id),
        _ => None,
    };
    if let Some(incident) = here {
        story::draw(buf, parts.story, state, incident, paint);
        signals(buf, parts.signals, state, incident, paint);
    }
    summary::draw(buf, parts.summary, state, paint);
}

fn list(buf: &mut Buffer, area: Rect, part: Rect, state: &State, paint: &Paint) {
    let incidents = rows::folded(state);
    let all = state.mirror.incidents.len();
    let open = state.mirror.incidents.values().filter(|row| row.state == IncidentState::Open).count();
    let folded: usize = incidents.iter().map(|(_, more)| more).sum();
    let key = state.keymap.key(Command::FoldAll).unwrap_or_default();
    let told = if folded > 0 { format!(", {folded} folded: {key} shows them") } else { String::new() };
    let remark = shown_of(state, incidents.len(), all, format!("{open} open of {all}{told}"));
    let inside = rule(buf, part, "Incidents, worst first", &remark, paint);
    let keys = rows::keys(state);
    let place = state.list().place(&keys, usize::from(page(area, state)));
    let empty = if state.list().filter.is_empty() {
        "no incident: nothing that was seen adds up to an attack"
    } else {
        "no incident matches the filter"
    };
    let table = Table { columns: &COLUMNS, count: incidents.len(), place, empty, marked: &|_| false };
    table.draw(buf, inside, paint, |index| {
        let Some((row, more)) = incidents.get(index) else { return Vec::new() };
        let alike = if *more > 0 { format!("+{more} alike: ") } else { String::new() };
        let closed = row.state == IncidentState::Closed;
        let words = if closed { paint.muted } else { paint.base };
        vec![
            Cell::new(row.id.to_string(), words),
            Cell::new(row.severity.to_string(), if closed { paint.muted } else { paint.severity(row.severity) }),
            Cell::new(row.confidence.to_string(), words),
            Cell::new(held::standing(state, row), standing_style(state, row, paint)),
            Cell::new(ago(state, row.updated), paint.muted),
            Cell::new(format!("{alike}{}", safe(&row.sentence)), words),
        ]
    });
}

/// The colour of how it stands: what is held in part is not green.
pub(super) fn standing_style(state: &State, row: &Incident, paint: &Paint) -> Style {
    if held::loose(state, row.id).is_empty() { paint.incident(row.state) } else { paint.danger }
}

/// What the incident under the cursor is made of, oldest first, in time: the end of it where not all fits.
fn signals(buf: &mut Buffer, area: Rect, state: &State, incident: &Incident, paint: &Paint) {
    if area.height < 4 {
        return;
    }
    let rows: Vec<&Signal> = state.mirror.signals.iter().filter(|row| incident.signals.contains(&row.id)).collect();
    let inside = rule(buf, area, &format!("What was seen of {}", incident.id), &count(incident.signal_count), paint);
    let shown = usize::from(inside.height.saturating_sub(1));
    let place = Place { offset: rows.len().saturating_sub(shown), ..Place::default() };
    let table = Table {
        columns: &SIGNALS,
        count: rows.len(),
        place,
        empty: "too old to be kept here; `bartizan signals` has them",
        marked: &|_| false,
    };
    table.draw(buf, inside, paint, |index| {
        let Some(row) = rows.get(index) else { return Vec::new() };
        vec![
            Cell::new(clock(state, row.at), paint.muted),
            Cell::new(row.severity.to_string(), paint.severity(row.severity)),
            Cell::new(safe(&row.detector), paint.muted),
            Cell::new(safe(&row.sentence), paint.base),
        ]
    });
}
