//! The whole sentence of the row under the cursor, below lists that had to cut it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::paint::Paint;
use crate::widgets::text::{safe, wrap};

/// Rows it takes from a list's area: none when the list is small.
pub(super) fn height(area: Rect) -> u16 {
    if area.height >= 10 { 3 } else { 0 }
}

/// Paints the sentence below a thin line.
pub(super) fn draw(buf: &mut Buffer, area: Rect, sentence: &str, paint: &Paint) {
    if area.height < 2 {
        return;
    }
    let cells = usize::from(area.width);
    buf.set_stringn(area.x, area.y, paint.glyphs.rule.repeat(cells), cells, paint.border);
    let cells = cells.saturating_sub(2);
    for (line, y) in wrap(&safe(sentence), cells).into_iter().zip(area.top() + 1..area.bottom()) {
        buf.set_stringn(area.x + 1, y, line, cells, paint.base);
    }
}
