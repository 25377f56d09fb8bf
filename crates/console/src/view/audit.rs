//! The record of every decision, newest at the bottom.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::format::{clock, shown_of};
use crate::paint::Paint;
use crate::state::{State, rows};
use crate::widgets::text::safe;
use crate::widgets::{Cell, Column, Table, column, fill, right, rule};

const COLUMNS: [Column; 6] =
    [right("LINE", 6, 0), column("TIME", 8, 0), column("WHO", 20, 60), column("WHAT", 20, 0), column("ABOUT", 10, 100), fill("DETAIL")];

pub(super) fn page(area: Rect, _: &State) -> u16 {
    area.height.saturating_sub(2)
}

pub(super) fn draw(buf: &mut Buffer, area: Rect, state: &State, paint: &Paint) {
    let lines = rows::audit(state);
    let key = state.keymap.key(bartizan_config::Command::Verify).unwrap_or_default();
    let chain = match &state.verdict {
        None => format!("chain not checked yet: {key} checks it"),
        Some(verdict) if verdict.intact => format!("chain intact over {} lines", verdict.entries),
        Some(verdict) => format!("chain BROKEN at line {}", verdict.broken_at.unwrap_or(0)),
    };
    let remark = if state.list().filter.is_empty() {
        chain
    } else {
        format!("{}, {chain}", shown_of(state, lines.len(), state.audit.len(), String::new()))
    };
    let inside = rule(buf, area, "Audit", &remark, paint);
    let keys = rows::keys(state);
    let place = state.list().place(&keys, usize::from(page(area, state)));
    let table = Table { columns: &COLUMNS, count: lines.len(), place, empty: "no line yet", marked: &|_| false };
    table.draw(buf, inside, paint, |index| {
        let Some(row) = lines.get(index) else { return Vec::new() };
        let style =
            if row.body.what.starts_with("request.refused") || row.body.what.ends_with(".failed") { paint.warning } else { paint.base };
        vec![
            Cell::new(row.seq.to_string(), paint.muted),
            Cell::new(clock(state, row.body.at), paint.muted),
            Cell::new(safe(&row.body.actor), paint.base),
            Cell::new(safe(&row.body.what), style),
            Cell::new(safe(&row.body.subject), paint.base),
            Cell::new(safe(&row.body.detail), paint.muted),
        ]
    });
}
