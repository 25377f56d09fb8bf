//! A table whose cursor sits on a row, not on a line: rows that come and go never move what is under it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::text::{fit, fit_middle, pad, pad_left, width};
use crate::paint::Paint;

/// Where a text that is too long is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    End,
    Middle,
}

/// One cell.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    pub text: String,
    pub style: Style,
    pub cut: Cut,
}

impl Cell {
    pub(crate) fn new(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style, cut: Cut::End }
    }

    pub(crate) fn path(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style, cut: Cut::Middle }
    }
}

/// One column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    title: &'static str,
    /// Cells; 0 takes what the others leave.
    cells: u16,
    right: bool,
    /// Least width of the table at which it is shown.
    from: u16,
}

/// A column of a fixed width, shown when the table is at least `from` wide.
pub(crate) const fn column(title: &'static str, cells: u16, from: u16) -> Column {
    Column { title, cells, right: false, from }
}

/// The same, aligned to the right: numbers.
pub(crate) const fn right(title: &'static str, cells: u16, from: u16) -> Column {
    Column { title, cells, right: true, from }
}

/// The column that takes what the others leave.
pub(crate) const fn fill(title: &'static str) -> Column {
    Column { title, cells: 0, right: false, from: 0 }
}

/// Which rows are on screen and which of them is under the cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Place {
    /// First row on screen.
    pub offset: usize,
    /// Row under the cursor.
    pub cursor: Option<usize>,
    /// The row that was under the cursor is gone; the cursor marks where it was.
    pub gone: bool,
}

/// A table about to be painted.
pub(crate) struct Table<'a> {
    pub columns: &'a [Column],
    pub count: usize,
    pub place: Place,
    pub empty: &'a str,
    /// Rows that the next answer is about.
    pub marked: &'a dyn Fn(usize) -> bool,
}

impl Table<'_> {
    /// Paints names of columns and the rows on screen; `row` gives the cells of one.
    pub(crate) fn draw(&self, buf: &mut Buffer, area: Rect, paint: &Paint, row: impl Fn(usize) -> Vec<Cell>) {
        if area.height == 0 || area.width < 4 {
            return;
        }
        let widths = self.widths(area.width - 1);
        let names = self.columns.iter().map(|column| Cell::new(column.title, paint.muted)).collect();
        self.line(buf, Rect { height: 1, ..area }, &widths, names, paint, None);
        self.more(buf, area, paint);
        if self.count == 0 {
            if area.height > 1 {
                buf.set_stringn(
                    area.x + 1,
                    area.y + 1,
                    fit(self.empty, usize::from(area.width - 1), paint.glyphs.ellipsis),
                    usize::from(area.width),
                    paint.muted,
                );
            }
            return;
        }
        for (index, y) in (self.place.offset..self.count).zip(area.top() + 1..area.bottom()) {
            let here = self.place.cursor == Some(index);
            let style = here.then_some(if self.place.gone { paint.muted } else { paint.selected });
            self.line(buf, Rect { y, height: 1, ..area }, &widths, row(index), paint, style);
            if (self.marked)(index) {
                buf.set_stringn(
                    area.x,
                    y,
                    paint.glyphs.full,
                    1,
                    style.map_or(paint.accent, |ground| ground.patch(Style { fg: paint.accent.fg, ..ground })),
                );
            }
        }
    }

    /// How many rows are above and below what is on screen, at the right end of the names.
    fn more(&self, buf: &mut Buffer, area: Rect, paint: &Paint) {
        let shown = usize::from(area.height.saturating_sub(1));
        let (above, below) = (self.place.offset.min(self.count), self.count.saturating_sub(self.place.offset + shown));
        let parts = [(above, paint.glyphs.up), (below, paint.glyphs.down)].into_iter().filter(|(rows, _)| *rows > 0);
        let text = parts.map(|(rows, arrow)| format!(" {arrow}{rows} more")).collect::<String>();
        let cells = u16::try_from(width(&text)).unwrap_or(u16::MAX);
        if cells > 0 && cells < area.width {
            buf.set_stringn(area.right() - cells, area.y, text, usize::from(cells), paint.accent);
        }
    }

    fn line(&self, buf: &mut Buffer, area: Rect, widths: &[u16], cells: Vec<Cell>, paint: &Paint, selected: Option<Style>) {
        if let Some(style) = selected {
            buf.set_style(area, style);
            buf.set_stringn(area.x, area.y, paint.glyphs.cursor, 1, paint.accent.patch(Style { fg: paint.accent.fg, ..style }));
        }
        let mut x = area.x + 1;
        for ((cell, cells), column) in cells.into_iter().zip(widths).zip(self.columns) {
            if *cells == 0 {
                continue;
            }
            let room = usize::from(*cells);
            let text = match cell.cut {
                Cut::End => fit(&cell.text, room, paint.glyphs.ellipsis),
                Cut::Middle => fit_middle(&cell.text, room, paint.glyphs.ellipsis),
            };
            let text = if column.right { pad_left(&text, room) } else { pad(&text, room) };
            let style = selected.map_or(cell.style, |ground| on(ground, cell.style, paint));
            buf.set_stringn(x, area.y, text, usize::from(area.right().saturating_sub(x)), style);
            x = x.saturating_add(*cells + GAP);
            if x >= area.right() {
                break;
            }
        }
    }

    fn widths(&self, total: u16) -> Vec<u16> {
        let shown = |column: &Column| total + 1 >= column.from;
        let fixed: u16 = self.columns.iter().filter(|c| shown(c)).map(|c| c.cells + GAP).sum::<u16>().saturating_sub(GAP);
        let left = total.saturating_sub(fixed);
        self.columns
            .iter()
            .map(|c| {
                if !shown(c) {
                    0
                } else if c.cells == 0 {
                    left
                } else {
                    c.cells
                }
            })
            .collect()
    }
}

/// A cell of the row under the cursor: what says how bad something is keeps its colour.
fn on(ground: Style, own: Style, paint: &Paint) -> Style {
    let telling = [paint.good, paint.notice, paint.warning, paint.danger, paint.critical];
    if !telling.contains(&own) {
        return ground;
    }
    if own.fg == paint.base.fg {
        // Without colours, weight and underline say it.
        return ground.add_modifier(own.add_modifier);
    }
    Style { fg: own.fg, bg: own.bg.or(ground.bg), ..ground }.add_modifier(own.add_modifier)
}

/// Cells between columns.
const GAP: u16 = 2;
