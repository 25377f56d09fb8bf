//! How well the last hour was watched: one cell a minute where there is room, and every gap in words.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::format::{clock, count};
use crate::paint::Paint;
use crate::state::State;
use crate::widgets::{Tone, TonedLine};
use bartizan_model::{Gap, Health, Timestamp, Watched};

/// Cells of an hour, as many as fit: of one, two, three or four minutes.
const CELLS: [u16; 4] = [60, 30, 20, 15];
/// Cells that the strip keeps free for the hour: the fewest, their label, and a gap before them.
pub(super) const LEAST: u16 = 20;
/// What stands before the cells of the strip.
const LABEL: &str = "1h ";

/// The hour at the right end of `area`, or nothing when there is no room.
pub(super) fn hour(buf: &mut Buffer, area: Rect, health: &Health, paint: &Paint) {
    let label = u16::try_from(LABEL.len()).unwrap_or(0);
    let Some(cells) = CELLS.into_iter().find(|cells| cells + label <= area.width) else { return };
    let ground = |style: Style| Style { bg: paint.strip.bg, ..style }.add_modifier(paint.strip.add_modifier);
    let x = area.right() - cells - label;
    let (mut x, _) = buf.set_stringn(x, area.y, LABEL, LABEL.len(), ground(paint.muted));
    for part in health.last_hour(health.at, cells) {
        let (glyph, style) = paint.watched(part);
        (x, _) = buf.set_stringn(x, area.y, glyph, 1, ground(style));
    }
}

/// The same as text; in ASCII, because text knows no terminal.
pub(super) fn bar(state: &State, health: &Health) -> Vec<TonedLine> {
    let cells = if state.size.0 >= 80 { 60 } else { 20 };
    let bar: String = health.last_hour(health.at, cells).into_iter().map(Watched::letter).collect();
    vec![
        TonedLine::labelled("  last hour  ", Tone::Plain, bar),
        TonedLine::labelled("             ", Tone::Muted, "= watched  ! with losses  x not watched  . before, or not known"),
    ]
}

/// Every gap that is known, newest first.
pub(super) fn gaps(state: &State, health: &Health) -> Vec<TonedLine> {
    let gap = |gap: &Gap| {
        let tone = if gap.count > 0 { Tone::Warning } else { Tone::Danger };
        TonedLine::labelled(format!("  {}  ", stretch(state, gap)), tone, words(gap))
    };
    health.gaps.iter().rev().map(gap).collect()
}

/// From when to when; the day is told when it is not today.
fn stretch(state: &State, gap: &Gap) -> String {
    let day = |at: Timestamp| at.with_timezone(&state.zone).date_naive();
    let moment = |at: Timestamp| if day(at) == day(state.now) { clock(state, at) } else { format!("{} {}", day(at), clock(state, at)) };
    if gap.is_from_ever() { format!("until {}", moment(gap.to)) } else { format!("{} to {}", moment(gap.from), moment(gap.to)) }
}

fn words(gap: &Gap) -> String {
    if gap.count > 0 { format!("{} events {}", count(gap.count), gap.why) } else { gap.why.clone() }
}
