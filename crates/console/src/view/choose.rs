//! One of a few: every sentence stands whole, and what does not fit scrolls with the cursor.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::paint::Paint;
use crate::state::dialog::Choose;
use crate::widgets::popup;
use crate::widgets::text::{fit, pad, safe, width, wrap};

/// Width of the box, at most what reads well.
const WIDE: u16 = 84;
/// Rows of the box that are no text: its edge, the empty row and the row of keys.
const EDGE: u16 = 4;
/// Cells beside a label below which what it means stands under it.
const BESIDE: usize = 30;

/// A line and the option that it belongs to.
type Line = (Option<usize>, String);

/// Paints it in the body of the view; where that is too small, over everything but the strip.
pub(super) fn draw(buf: &mut Buffer, body: Rect, question: &Choose, paint: &Paint) {
    let screen = buf.area;
    let below = Rect { y: screen.y + screen.height.min(1), height: screen.height.saturating_sub(1), ..screen };
    let lay = |room: Rect| lines(question, usize::from(WIDE.min(room.width).saturating_sub(4)));
    let high = |lines: &[Line]| u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(EDGE);
    let room = if high(&lay(body)) <= body.height { body } else { below };
    let lines = lay(room);
    let inside = popup(buf, room, WIDE.min(room.width), high(&lines), &safe(&question.title), paint.accent, paint);
    let (cells, shown) = (usize::from(inside.width), usize::from(inside.height.saturating_sub(1)));
    let offset = offset(&lines, question.at, shown);
    for (at, ((option, line), y)) in lines.iter().skip(offset).zip(inside.top()..inside.bottom().saturating_sub(1)).enumerate() {
        let here = *option == Some(question.at);
        // The rest of this sentence is below: that is told.
        let cut = at + 1 == shown && lines.get(offset + shown).is_some_and(|(next, _)| option.is_some() && next == option);
        let line = if cut { fit(&format!("{line} {}", " ".repeat(cells)), cells, paint.glyphs.ellipsis) } else { pad(line, cells) };
        buf.set_stringn(inside.x, y, line, cells, if here { paint.selected } else { paint.base });
    }
    let mut keys = "enter chooses   esc closes".to_owned();
    if lines.len() > shown {
        keys.push_str(&format!("   {} of {}", question.at + 1, question.options.len()));
    }
    let y = inside.bottom().saturating_sub(1);
    buf.set_stringn(inside.x, y, pad(&fit(&keys, cells, paint.glyphs.ellipsis), cells), cells, paint.muted);
}

/// What is asked, an empty line, and each option with all of what it means.
fn lines(question: &Choose, cells: usize) -> Vec<Line> {
    let mut out: Vec<Line> = wrap(&safe(&question.about), cells).into_iter().map(|line| (None, line)).collect();
    out.push((None, String::new()));
    let column = question.options.iter().map(|choice| width(&choice.label)).max().unwrap_or(0);
    for (at, choice) in question.options.iter().enumerate() {
        let (label, about) = (format!("{} {}   ", at + 1, pad(&safe(&choice.label), column)), safe(&choice.about));
        let indent = if cells >= width(&label) + BESIDE { width(&label) } else { 2 };
        let mut rows = if about.is_empty() { Vec::new() } else { wrap(&about, cells.saturating_sub(indent)) };
        let first = if indent > 2 && !rows.is_empty() { format!("{label}{}", rows.remove(0)) } else { label };
        out.push((Some(at), fit(&first, cells, "")));
        out.extend(rows.into_iter().map(|row| (Some(at), format!("{}{row}", " ".repeat(indent)))));
    }
    out
}

/// The first line on screen: so that the option under the cursor is there whole, or from its beginning.
fn offset(lines: &[Line], at: usize, shown: usize) -> usize {
    let of = |line: &Line| line.0 == Some(at);
    let first = lines.iter().position(of).unwrap_or(0);
    let last = lines.iter().rposition(of).unwrap_or(0);
    (last + 1).saturating_sub(shown).min(first)
}
