//! What needs a look.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::format::{ago, count, shown_of};
use crate::paint::Paint;
use crate::state::{RowKey, State, rows};
use crate::widgets::text::safe;
use crate::widgets::{Cell, Column, Table, column, fill, right, rule};
use bartizan_model::AlertState;

const COLUMNS: [Column; 7] = [
    column("ID", 5, 0),
    column("SEVERITY", 8, 0),
    column("STATE", 5, 70),
    right("AGE", 4, 40),
    right("SIGNALS", 7, 90),
    column("INCIDENT", 8, 80),
    fill("WHAT"),
];

/// Rows of the sentence of the alert under the cursor.
fn below(area: Rect, state: &State) -> u16 {
    let here = if let Some(RowKey::Alert(id)) = state.list().key { state.mirror.alerts.get(&id) } else { None };
    super::reading::height(area, 10, rows::alerts(state).len(), here.map_or("", |row| &row.sentence))
}

pub(super) fn page(area: Rect, state: &State) -> u16 {
    area.height.saturating_sub(2 + below(area, state))
}

pub(super) fn draw(buf: &mut Buffer, area: Rect, state: &State, paint: &Paint) {
    let alerts = rows::alerts(state);
    let unseen = alerts.iter().filter(|row| row.state == AlertState::New).count();
    let below = below(area, state);
    let (list, pane) = (Rect { height: area.height - below, ..area }, Rect { y: area.bottom() - below, height: below, ..area });
    let inside = rule(
        buf,
        list,
        "Alerts",
        &shown_of(state, alerts.len(), state.mirror.alerts.len(), format!("{unseen} new of {}", alerts.len())),
        paint,
    );
    let keys = rows::keys(state);
    let place = state.list().place(&keys, usize::from(page(area, state)));
    let table =
        Table { columns: &COLUMNS, count: alerts.len(), place, empty: "no alert", marked: &|at| state.list().is_marked(keys.get(at)) };
    if let Some(row) = place.cursor.and_then(|at| alerts.get(at)) {
        super::reading::draw(buf, pane, &row.sentence, paint);
    }
    table.draw(buf, inside, paint, |index| {
        let Some(row) = alerts.get(index) else { return Vec::new() };
        let new = row.state == AlertState::New;
        let words = if new { paint.base } else { paint.muted };
        vec![
            Cell::new(row.id.to_string(), words),
            Cell::new(row.severity.to_string(), if new { paint.severity(row.severity) } else { paint.muted }),
            Cell::new(if new { "new" } else { "seen" }, words),
            Cell::new(ago(state, row.updated), paint.muted),
            Cell::new(count(row.count), paint.muted),
            Cell::new(row.incident.to_string(), words),
            Cell::new(safe(&row.sentence), words),
        ]
    });
}
