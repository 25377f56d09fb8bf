//! What people say is harmless here, why, and until when.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::format::{left, plural};
use super::sheet::{self, Listing};
use crate::paint::Paint;
use crate::state::{State, sheet_rows};
use crate::widgets::text::safe;
use crate::widgets::{Cell, Column, column, fill, right};

const COLUMNS: [Column; 6] =
    [column("ID", 5, 0), column("STATE", 8, 50), right("LEFT", 6, 0), column("BY", 16, 90), column("WHY", 24, 120), fill("EXCEPTED")];

pub(super) fn page(area: Rect, state: &State) -> u16 {
    sheet::page(area, state)
}

pub(super) fn draw(buf: &mut Buffer, area: Rect, state: &State, paint: &Paint) {
    let rows = sheet_rows::exceptions(state);
    let all = state.sheets.exceptions.data.as_ref().map_or(0, Vec::len);
    let force = state.sheets.exceptions.data.iter().flatten().filter(|row| row.standing(state.now) == "in force").count();
    let listing = Listing {
        title: "Exceptions",
        old: sheet::OLD,
        sheet: &state.sheets.exceptions,
        columns: &COLUMNS,
        all,
        remark: format!("{force} in force of {}", plural(all, "exception")),
        none: "no exceptions: every signal counts; `bartizan exceptions add` makes one",
    };
    listing.draw(buf, area, state, paint, |at| {
        let Some(row) = rows.get(at) else { return Vec::new() };
        let standing = row.standing(state.now);
        let holds = standing == "in force";
        let words = if holds { paint.base } else { paint.muted };
        vec![
            Cell::new(row.id.to_string(), words),
            Cell::new(standing, if holds { paint.warning } else { paint.muted }),
            Cell::new(if holds { left(row.until - state.now) } else { String::new() }, words),
            Cell::new(safe(&row.author), paint.muted),
            Cell::new(safe(&row.reason), words),
            Cell::path(safe(&row.scope.to_string()), words),
        ]
    });
}
