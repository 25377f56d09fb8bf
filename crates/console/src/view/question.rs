//! A question that waits for a yes: its essentials stand whole at every size, its details scroll below them.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::paint::Paint;
use crate::state::State;
use crate::state::question::{Confirm, Essential};
use crate::widgets::text::{fit_middle, safe, width, wrap};
use crate::widgets::{Tone, TonedLine, draw_lines, popup, wrap_toned};

/// Width of the box, at most what reads well.
const WIDE: u16 = 84;
/// Cells and rows that the box takes for its edge.
const EDGE: (u16, u16) = (4, 2);
/// Columns below which words fall apart.
const NARROW: u16 = 24;
/// Rows of details without which full words give way to short ones.
const DETAILS: usize = 3;
/// Most rows of a name.
const ROWS: usize = 2;

/// In which words and within what.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Full,
    Short,
    /// Short, and without an edge: a small screen has more use for the rows.
    Bare,
}

/// Where it stands and in which words.
struct Layout {
    way: Way,
    room: Rect,
    essentials: Vec<TonedLine>,
    details: Vec<TonedLine>,
    /// Rows inside the box, the row of keys not counted.
    rows: usize,
}

impl Layout {
    fn fits(&self) -> bool {
        self.essentials.len() <= self.rows && self.room.width >= NARROW
    }

    /// Rows left for details.
    fn left(&self) -> usize {
        self.rows.saturating_sub(self.essentials.len())
    }
}

/// Full words in the body of the view, else over everything but the strip, else short words there, else without an edge.
fn lay(screen: Rect, body: Rect, question: &Confirm) -> Layout {
    let below = Rect { y: screen.y + screen.height.min(1), height: screen.height.saturating_sub(1), ..screen };
    let enough = |layout: &Layout| layout.fits() && layout.left() >= layout.details.len().min(DETAILS);
    let ways = [(body, Way::Full), (below, Way::Full)];
    let full = ways.into_iter().map(|(room, way)| layout(room, question, way)).find(enough);
    full.unwrap_or_else(|| {
        let short = layout(below, question, Way::Short);
        if short.fits() && short.left() > 0 { short } else { layout(below, question, Way::Bare) }
    })
}

fn layout(room: Rect, question: &Confirm, way: Way) -> Layout {
    let (short, edge) = (way != Way::Full, if way == Way::Bare { (0, 0) } else { EDGE });
    let cells = usize::from(WIDE.min(room.width).saturating_sub(edge.0));
    let column = question.essentials.iter().map(|line| line.label.len() + 1).max().unwrap_or(0);
    let full = |line: &Essential| TonedLine::labelled(format!("{:<8}", line.label), line.tone, line.full.clone());
    let brief = |line: &Essential| {
        let text = if line.is_name { cut(&line.short, cells.saturating_sub(column)) } else { line.short.clone() };
        TonedLine::labelled(format!("{:<column$}", line.label), line.tone, text)
    };
    let essentials: Vec<TonedLine> = question.essentials.iter().map(|line| if short { brief(line) } else { full(line) }).collect();
    let told = question.essentials.iter().zip(&essentials).filter(|(line, shown)| short && shown.text != line.full);
    let mut details: Vec<TonedLine> = told.map(|(line, _)| full(line)).collect();
    details.extend(question.details.iter().cloned());
    let (essentials, details) = (wrap_toned(&essentials, cells), wrap_toned(&details, cells));
    Layout { way, room, essentials, details, rows: usize::from(room.height.saturating_sub(edge.1 + 1)) }
}

/// A name cut in its middle to a few rows: both ends of a path tell something.
fn cut(name: &str, cells: usize) -> String {
    let (text, cells) = (safe(name), cells.max(8));
    let mut most = cells * ROWS;
    let mut cut = fit_middle(&text, most, "..");
    while wrap(&cut, cells).len() > ROWS && most > cells {
        most -= 1;
        cut = fit_middle(&text, most, "..");
    }
    cut
}

/// Whether every essential line is on screen.
pub(super) fn fits(screen: Rect, body: Rect, question: &Confirm) -> bool {
    lay(screen, body, question).fits()
}

pub(super) fn draw(buf: &mut Buffer, body: Rect, state: &State, question: &Confirm, paint: &Paint) {
    let laid = lay(buf.area, body, question);
    // The terminal may be smaller than what is painted on.
    if !laid.fits() || !super::question_fits(state) {
        return too_small(buf, &laid, paint);
    }
    let wanted = laid.essentials.len() + laid.details.len() + 2;
    let high = u16::try_from(wanted).unwrap_or(u16::MAX).saturating_add(EDGE.1);
    let inside = match laid.way {
        Way::Bare => cleared(buf, laid.room, paint),
        Way::Full | Way::Short => popup(buf, laid.room, WIDE.min(laid.room.width), high, &safe(&question.title), paint.warning, paint),
    };
    let essentials = u16::try_from(laid.essentials.len()).unwrap_or(u16::MAX).min(inside.height);
    draw_lines(buf, Rect { height: essentials, ..inside }, &laid.essentials, 0, paint);
    let rows = inside.height.saturating_sub(essentials + 1);
    let (shown, all) = (usize::from(rows), laid.details.len());
    let offset = question.offset.min(all.saturating_sub(shown));
    draw_lines(buf, Rect { y: inside.y + essentials, height: rows, ..inside }, &laid.details, offset, paint);
    let hidden = match (all > shown, shown) {
        (false, _) => String::new(),
        (true, 0) => format!("{all} more lines: enlarge"),
        (true, _) => format!("j k: {}-{} of {all}", offset + 1, offset + shown),
    };
    let y = inside.bottom().saturating_sub(1);
    keys(buf, Rect { y, height: 1, ..inside }, state, question, &hidden, paint);
}

/// Yes and no, and at the right end what is hidden or why the last key was no yes.
fn keys(buf: &mut Buffer, row: Rect, state: &State, question: &Confirm, hidden: &str, paint: &Paint) {
    let again = question.again.and_then(|command| state.keymap.key(command)).map(|key| format!(" or {key}")).unwrap_or_default();
    let roomy = row.width >= 56;
    let (no, gap) = if roomy { ("n or esc", "    ") } else { ("n", "  ") };
    let parts = [(format!("y{again}"), paint.accent), (format!(" yes{gap}"), paint.base), (no.to_owned(), paint.accent)];
    let mut x = row.x;
    for (text, style) in parts.into_iter().chain([(" no".to_owned(), paint.base)]) {
        (x, _) = buf.set_stringn(x, row.y, text, usize::from(row.right().saturating_sub(x)), style);
    }
    let remark = question.ignored.unwrap_or(hidden);
    let room = usize::from(row.right().saturating_sub(x + 1));
    let at = row.right().saturating_sub(u16::try_from(width(remark).min(room)).unwrap_or(0));
    buf.set_stringn(at, row.y, remark, room, paint.warning);
}

fn cleared(buf: &mut Buffer, room: Rect, paint: &Paint) -> Rect {
    for position in room.positions() {
        if let Some(cell) = buf.cell_mut(position) {
            cell.reset();
            cell.set_style(paint.base);
        }
    }
    room
}

/// Nobody can say yes to what does not fit; no always works.
fn too_small(buf: &mut Buffer, laid: &Layout, paint: &Paint) {
    cleared(buf, laid.room, paint);
    let lines = [
        TonedLine::new(Tone::Warning, "The window is too small for this question: enlarge it to say yes, n says no."),
        TonedLine::new(Tone::Plain, String::new()),
    ];
    let mut lines = wrap_toned(&lines, usize::from(laid.room.width).max(8));
    lines.extend(laid.essentials.iter().cloned());
    draw_lines(buf, laid.room, &lines, 0, paint);
}
