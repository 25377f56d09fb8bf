//! One line in several colours.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::text::{fit, width};
use crate::paint::Paint;

/// Pieces of one line, each in its own style.
pub(crate) type Spans = Vec<(String, Style)>;

/// How many cells they take.
pub(crate) fn spans_width(spans: &[(String, Style)]) -> usize {
    spans.iter().map(|(text, _)| width(text)).sum()
}

/// Paints them on the first row of `area`; what does not fit is cut, visibly.
pub(crate) fn draw_spans(buf: &mut Buffer, area: Rect, spans: &[(String, Style)], paint: &Paint) {
    let room = usize::from(area.width);
    let sign = if spans_width(spans) > room { width(paint.glyphs.ellipsis) } else { 0 };
    let (mut x, mut left) = (area.x, room.saturating_sub(sign));
    for (text, style) in spans {
        let cells = width(text);
        let shown = if cells <= left { text.clone() } else { fit(text, left + sign, paint.glyphs.ellipsis) };
        (x, _) = buf.set_stringn(x, area.y, shown, usize::from(area.right().saturating_sub(x)), *style);
        if cells > left {
            return;
        }
        left -= cells;
    }
}
