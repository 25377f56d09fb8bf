//! Frames: a titled rule above a part of a screen, a box over everything.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::text::{fit, width};
use crate::paint::Paint;

/// A title on the first row with a rule to the right edge and a remark at its end; gives what is left below.
pub(crate) fn rule(buf: &mut Buffer, area: Rect, title: &str, remark: &str, paint: &Paint) -> Rect {
    if area.height == 0 || area.width < 4 {
        return Rect { height: 0, ..area };
    }
    let cells = usize::from(area.width);
    buf.set_stringn(area.x, area.y, paint.glyphs.rule.repeat(cells), cells, paint.border);
    let title = fit(title, cells.saturating_sub(1), paint.glyphs.ellipsis);
    let (x, _) = buf.set_stringn(area.x, area.y, format!("{title} "), cells, paint.title);
    let room = usize::from(area.right().saturating_sub(x)).saturating_sub(2);
    if !remark.is_empty() && room > 4 {
        let remark = fit(remark, room, paint.glyphs.ellipsis);
        let at = area.right().saturating_sub(u16::try_from(width(&remark) + 1).unwrap_or(0));
        buf.set_stringn(at, area.y, format!(" {remark}"), cells, paint.muted);
    }
    Rect { y: area.y + 1, height: area.height - 1, ..area }
}

/// An empty box in the middle of `area`, at most `wide` by `high`; gives its inside, one cell of air left and right.
pub(crate) fn popup(buf: &mut Buffer, area: Rect, wide: u16, high: u16, title: &str, edge: Style, paint: &Paint) -> Rect {
    let (w, h) = (wide.min(area.width), high.min(area.height));
    let outer = Rect { x: area.x + (area.width - w) / 2, y: area.y + (area.height - h) / 2, width: w, height: h };
    for position in outer.positions() {
        if let Some(cell) = buf.cell_mut(position) {
            cell.reset();
            cell.set_style(paint.base);
        }
    }
    if w < 4 || h < 3 {
        return outer;
    }
    let [top_left, top_right, bottom_left, bottom_right] = paint.glyphs.corners;
    let line = paint.glyphs.rule.repeat(usize::from(w - 2));
    buf.set_string(outer.x, outer.y, format!("{top_left}{line}{top_right}"), edge);
    buf.set_string(outer.x, outer.bottom() - 1, format!("{bottom_left}{line}{bottom_right}"), edge);
    for y in outer.top() + 1..outer.bottom() - 1 {
        buf.set_string(outer.x, y, paint.glyphs.upright, edge);
        buf.set_string(outer.right() - 1, y, paint.glyphs.upright, edge);
    }
    let title = fit(title, usize::from(w).saturating_sub(6), paint.glyphs.ellipsis);
    buf.set_string(outer.x + 2, outer.y, format!(" {title} "), edge.patch(paint.title));
    Rect { x: outer.x + 2, y: outer.y + 1, width: w - 4, height: h - 2 }
}
