//! Weaknesses that the last scans found: how bad, where, why it matters and how to mend it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::format::ago;
use super::sheet::{self, Listing};
use crate::paint::Paint;
use crate::state::{State, sheet_rows};
use crate::widgets::text::safe;
use crate::widgets::{Cell, Column, column, fill, right};
use bartizan_model::Finding;

const COLUMNS: [Column; 7] = [
    column("SEVERITY", 8, 0),
    column("STATE", 8, 56),
    column("SOURCE", 7, 90),
    column("RULE", 22, 110),
    right("SEEN", 4, 64),
    column("WHERE", 26, 80),
    fill("WHAT"),
];

pub(super) fn page(area: Rect, state: &State) -> u16 {
    sheet::page(area, state)
}

pub(super) fn draw(buf: &mut Buffer, area: Rect, state: &State, paint: &Paint) {
    let rows = sheet_rows::findings(state);
    let page = state.sheets.findings.data.as_ref();
    let scanned = page.and_then(|page| page.scanned);
    let more =
        page.map(|page| page.more).filter(|more| *more > 0).map(|more| format!("; {more} more are not listed here")).unwrap_or_default();
    let when = scanned.map(|at| format!("; last scan {} ago", ago(state, at))).unwrap_or_default();
    let listing = Listing {
        title: "Findings",
        // Asked for every thirty seconds.
        old: 70,
        sheet: &state.sheets.findings,
        columns: &COLUMNS,
        all: page.map_or(0, |page| page.findings.len()),
        remark: page.map(|page| format!("{}{more}{when}", safe(&page.verdict))).unwrap_or_default(),
        none: if scanned.is_none() {
            "nothing was scanned yet: `bartizan scan host` looks at this host"
        } else {
            "the last scans found nothing"
        },
    };
    listing.draw(buf, area, state, paint, |at| rows.get(at).map(|row| cells(state, row, paint)).unwrap_or_default());
}

fn cells(state: &State, row: &Finding, paint: &Paint) -> Vec<Cell> {
    let open = row.state.is_open(state.now);
    let words = if open { paint.base } else { paint.muted };
    vec![
        Cell::new(row.severity.to_string(), if open { paint.severity(row.severity) } else { paint.muted }),
        Cell::new(sheet_rows::standing(state, row), if open { paint.warning } else { paint.muted }),
        Cell::new(safe(&row.source), paint.muted),
        Cell::new(safe(&row.rule), paint.muted),
        Cell::new(ago(state, row.last_seen), paint.muted),
        Cell::path(safe(&sheet_rows::place(row)), words),
        Cell::new(safe(&row.title), words),
    ]
}
