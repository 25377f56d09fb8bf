//! What the views that ask for their rows have in common: the list with a pane about its row, and words where there are no rows.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::format::{ago, count, shown_of};
use crate::paint::Paint;
use crate::state::sheets::Sheet;
use crate::state::{RowKey, State, rows};
use crate::update::about_item;
use crate::widgets::{Cell, Column, Place, Table, draw_lines, rule, wrap_toned};

/// Width from which the pane stands beside the list.
const BESIDE: u16 = 150;
/// Height below which there is a list only.
const LEAST: u16 = 11;
/// Seconds after which an answer is called old where one is asked for every three seconds.
pub(super) const OLD: i64 = 10;

/// The list, and the pane about the row under the cursor.
pub(super) fn parts(area: Rect, rows: usize) -> (Rect, Rect) {
    if area.width >= BESIDE {
        let list = area.width * 3 / 5;
        return (Rect { width: list, ..area }, Rect { x: area.x + list + 2, width: area.width - list - 2, ..area });
    }
    if area.height < LEAST {
        return (area, Rect { y: area.bottom(), height: 0, ..area });
    }
    let wanted = u16::try_from(rows).unwrap_or(u16::MAX).max(1).saturating_add(2);
    let list = wanted.clamp(4, area.height * 3 / 5);
    (Rect { height: list, ..area }, Rect { y: area.y + list, height: area.height - list, ..area })
}

/// Rows of the list on screen.
pub(super) fn page(area: Rect, state: &State) -> u16 {
    parts(area, rows::keys(state).len()).0.height.saturating_sub(2)
}

/// One list that was asked for.
pub(super) struct Listing<'a, T> {
    pub title: &'static str,
    pub sheet: &'a Sheet<T>,
    pub columns: &'a [Column],
    /// How many rows there are without a filter.
    pub all: usize,
    /// What stands beside the title while nothing is filtered.
    pub remark: String,
    /// Seconds after which an answer is old.
    pub old: i64,
    /// What an empty list means.
    pub none: &'a str,
}

impl<T> Listing<'_, T> {
    /// Paints the list, and the pane about the row under the cursor.
    pub(super) fn draw(&self, buf: &mut Buffer, area: Rect, state: &State, paint: &Paint, row: impl Fn(usize) -> Vec<Cell>) {
        let keys = rows::keys(state);
        let (list, pane) = parts(area, keys.len());
        let mut remark = shown_of(state, keys.len(), self.all, self.remark.clone());
        if let Some(at) = self.sheet.at.filter(|at| (state.now - *at).num_seconds() > self.old) {
            remark = format!("answered {} ago {} {remark}", ago(state, at), paint.glyphs.dot);
        }
        let inside = rule(buf, list, self.title, &remark, paint);
        let place = state.list().place(&keys, usize::from(list.height.saturating_sub(2)));
        let empty = self.empty(state);
        let table =
            Table { columns: self.columns, count: keys.len(), place, empty: &empty, marked: &|at| state.list().is_marked(keys.get(at)) };
        table.draw(buf, inside, paint, row);
        about(buf, pane, state, (&keys, place), paint);
    }

    fn empty(&self, state: &State) -> String {
        match (&self.sheet.data, &self.sheet.refused) {
            (_, Some(why)) => crate::widgets::text::safe(&format!("no data from the agent: {why}")),
            (None, None) => "no data from the agent yet: asked for it".to_owned(),
            (Some(_), None) if !state.list().filter.is_empty() => {
                format!("nothing fits the filter; {} rows without it", count(self.all as u64))
            }
            (Some(_), None) => self.none.to_owned(),
        }
    }
}

/// All that is known of the row under the cursor, as much as fits.
fn about(buf: &mut Buffer, pane: Rect, state: &State, (keys, place): (&[RowKey], Place), paint: &Paint) {
    let here = place.cursor.filter(|_| !place.gone).and_then(|at| keys.get(at));
    let Some(RowKey::Item(item)) = here else { return };
    let Some((title, lines)) = about_item(state, *item) else { return };
    let inside = rule(buf, pane, &crate::widgets::text::safe(&title), "", paint);
    let text = Rect { x: inside.x + 1, width: inside.width.saturating_sub(2), ..inside };
    let lines = wrap_toned(&lines, usize::from(text.width));
    draw_lines(buf, text, &lines, 0, paint);
    let hidden = lines.len().saturating_sub(usize::from(text.height));
    if hidden > 0 && text.height > 0 {
        let key = state.keymap.key(bartizan_config::Command::Open).unwrap_or_default();
        let cells = usize::from(text.width);
        let more = crate::widgets::text::pad(&format!("{} more lines: {key}", hidden + 1), cells);
        buf.set_stringn(text.x, text.bottom() - 1, more, cells, paint.muted);
    }
}
