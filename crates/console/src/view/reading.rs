//! The whole sentence of the row under the cursor, below lists that had to cut it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::paint::Paint;
use crate::widgets::draw_text;
use crate::widgets::text::{safe, wrap};

/// Rows with its line where the list needs all others.
const LEAST: u16 = 3;

/// Rows it takes from a list's area: none when the list is small, and those that `rows` of the list leave free.
pub(super) fn height(area: Rect, least: u16, rows: usize, sentence: &str) -> u16 {
    if area.height < least {
        return 0;
    }
    let wanted = wrap(&safe(sentence), usize::from(area.width.saturating_sub(2))).len() + 1;
    let free = usize::from(area.height).saturating_sub(rows + 2);
    u16::try_from(wanted.min(free)).unwrap_or(LEAST).max(LEAST)
}

/// Paints the sentence below a thin line.
pub(super) fn draw(buf: &mut Buffer, area: Rect, sentence: &str, paint: &Paint) {
    if area.height < 2 {
        return;
    }
    let cells = usize::from(area.width);
    buf.set_stringn(area.x, area.y, paint.glyphs.rule.repeat(cells), cells, paint.border);
    let text = Rect { x: area.x + 1, y: area.y + 1, width: area.width.saturating_sub(2), height: area.height - 1 };
    draw_text(buf, text, sentence, paint.base, paint);
}
