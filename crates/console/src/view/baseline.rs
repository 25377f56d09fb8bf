//! What waits for a person before it counts as normal, worst first; and what was learned since the last review.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::format::{ago, count, moment};
use super::sheet::{self, Listing};
use crate::paint::Paint;
use crate::state::{State, sheet_rows};
use crate::widgets::text::safe;
use crate::widgets::{Cell, Column, column, fill, right};
use bartizan_config::{Command, View};
use bartizan_model::{BaselineReview, Habit, HabitReason};

const COLUMNS: [Column; 7] = [
    column("ID", 6, 0),
    column("WHY", 11, 56),
    column("KIND", 11, 76),
    right("TIMES", 6, 90),
    right("DAYS", 4, 100),
    right("LAST", 4, 50),
    fill("HABIT"),
];

pub(super) fn page(area: Rect, state: &State) -> u16 {
    sheet::page(area, state)
}

pub(super) fn draw(buf: &mut Buffer, area: Rect, state: &State, paint: &Paint) {
    let rows = sheet_rows::habits(state);
    let review = state.sheets.review.data.as_ref();
    let second = state.second.contains(&View::Baseline);
    let shown = review.map_or(0, |review| if second { review.learned.len() } else { review.waiting.len() });
    let listing = Listing {
        title: if second { "Learned since the last review" } else { "Habits to review, worst first" },
        old: sheet::OLD,
        sheet: &state.sheets.review,
        columns: &COLUMNS,
        all: shown,
        remark: review.map(|review| remark(state, review, second, paint)).unwrap_or_default(),
        none: if second { "nothing was learned since the last review" } else { "nothing waits for you" },
    };
    listing.draw(buf, area, state, paint, |at| {
        let group = at.checked_sub(1).and_then(|above| rows.get(above)).map(|row| row.reason);
        rows.get(at).map(|row| cells(state, row, group, paint)).unwrap_or_default()
    });
}

fn remark(state: &State, review: &BaselineReview, second: bool, paint: &Paint) -> String {
    let key = state.keymap.key(Command::Right).unwrap_or_default();
    let waiting = review.waiting.len() as u64 + review.more;
    let learned = review.learned.len() as u64 + review.more_learned;
    let since = review.since.map_or_else(|| "the beginning".to_owned(), |at| moment(state, at));
    if second {
        return format!("{} since {since} {} {key} shows what waits", count(learned), paint.glyphs.dot);
    }
    let more = if review.more > 0 { format!(" ({} more)", count(review.more)) } else { String::new() };
    format!("{} wait{more}, {} learned {} {key} shows these", count(waiting), count(learned), paint.glyphs.dot)
}

/// In one or two words; the pane has the sentence.
fn shortly(reason: HabitReason) -> &'static str {
    match reason {
        HabitReason::Observed => "seen",
        HabitReason::Installed => "installed",
        HabitReason::Archive => "archive",
        HabitReason::Imported => "imported",
        HabitReason::Reviewed => "reviewed",
        HabitReason::Signal => "reported",
        HabitReason::Suspect => "suspect",
        HabitReason::Service => "service",
        HabitReason::Incomplete => "events lost",
        HabitReason::Regular => "regular",
        HabitReason::Failures => "failures",
        HabitReason::Password => "password",
        HabitReason::Writable => "writable",
        HabitReason::Late => "late",
    }
}

/// Who does what, the part first that differs from row to row; the pane has it whole.
fn shortly_said(row: &Habit) -> String {
    let exe = bartizan_model::HostText::from(row.profile.exe.basename().as_ref());
    let unit = row.profile.unit.as_ref().map(|unit| format!(", {unit}")).unwrap_or_default();
    format!("{exe} {} {} (as {}{unit})", row.kind.verb(), row.value, row.profile.user)
}

fn cells(state: &State, row: &Habit, above: Option<HabitReason>, paint: &Paint) -> Vec<Cell> {
    let style = match row.reason.rank() {
        0 | 1 => paint.danger,
        2..=6 => paint.warning,
        7 | 8 => paint.notice,
        _ => paint.muted,
    };
    // A group is named once, so that its rows are seen to belong together.
    let reason = if above == Some(row.reason) && state.list().sort.is_none() { "" } else { shortly(row.reason) };
    vec![
        Cell::new(row.id.to_string(), paint.base),
        Cell::new(reason, style),
        Cell::new(row.kind.name(), paint.muted),
        Cell::new(count(row.count), paint.muted),
        Cell::new(row.days.to_string(), paint.muted),
        Cell::new(ago(state, row.last), paint.muted),
        Cell::new(safe(&shortly_said(row)), paint.base),
    ]
}
