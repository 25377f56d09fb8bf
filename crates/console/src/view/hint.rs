//! The line that says what to do now; on a calm host, since when it is calm.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::format::{clock, left, span};
use crate::paint::Paint;
use crate::state::{State, rows};
use crate::widgets::text::wrap;
use bartizan_config::{Command, View};
use bartizan_model::{ApprovalState, IncidentState, Timestamp};

/// Most rows of it.
const ROWS: usize = 2;

/// Whether nothing here waits for anybody: no incident that nobody has dealt with, no question, no alert that nobody has seen.
pub(super) fn is_calm(state: &State) -> bool {
    let busy = |state: IncidentState| matches!(state, IncidentState::Open | IncidentState::Contained);
    rows::waiting(state) == (0, 0) && !state.mirror.incidents.values().any(|row| busy(row.state))
}

pub(super) fn height(state: &State, width: u16) -> u16 {
    u16::try_from(lines(state, width).len()).unwrap_or(1)
}

fn lines(state: &State, width: u16) -> Vec<String> {
    let mut lines = wrap(&words(state).0, usize::from(width.saturating_sub(1)));
    lines.truncate(ROWS);
    lines
}

pub(super) fn draw(buf: &mut Buffer, area: Rect, state: &State, paint: &Paint) {
    let style: Style = match words(state).1 {
        Urgency::Calm => paint.good,
        Urgency::Look => paint.notice,
        Urgency::Decide => paint.warning,
    };
    for (line, y) in lines(state, area.width).into_iter().zip(area.top()..area.bottom()) {
        buf.set_stringn(area.x + 1, y, line, usize::from(area.width.saturating_sub(1)), style);
    }
}

enum Urgency {
    Calm,
    Look,
    Decide,
}

fn words(state: &State) -> (String, Urgency) {
    let key = |command: Command| state.keymap.key(command).unwrap_or_default();
    if is_calm(state) {
        return (calm(state), Urgency::Calm);
    }
    if let Some(row) = rows::worse(state) {
        return (format!("{} is {} and above the cursor: {} goes to it", row.id, row.severity, key(Command::First)), Urgency::Decide);
    }
    let (yes, no, open, why) = (key(Command::Approve), key(Command::Reject), key(Command::Open), key(Command::Explain));
    if let Some(row) = rows::question_here(state) {
        let shows = if state.view == View::Timeline { String::new() } else { format!("{open} shows what happened, ") };
        let text = format!("Now: {yes} approves {}, {no} rejects it; {shows}{why} says why", row.id);
        return (text, Urgency::Decide);
    }
    let mut elsewhere = state.mirror.approvals.values().filter(|row| row.state == ApprovalState::Pending);
    if let Some(row) = elsewhere.next() {
        let view = key(Command::Show(View::Approvals));
        let text =
            format!("Now: {} on {} needs your answer ({} left): press {view}", row.id, row.incident, left(row.expires_at - state.now));
        return (text, Urgency::Decide);
    }
    let seen = match rows::incident_here(state).map(|id| rows::unseen_of(state, id).len()) {
        Some(1..) => format!(", {} acknowledges the alerts", key(Command::Acknowledge)),
        Some(0) | None => String::new(),
    };
    let shows = if state.view == View::Timeline { String::new() } else { format!("{open} shows what happened, ") };
    (format!("No questions are open; {shows}{why} explains the score{seen}"), Urgency::Look)
}

/// What is known to be calm, and since when.
fn calm(state: &State) -> String {
    let Some(health) = &state.mirror.health else { return String::new() };
    let day = |at: Timestamp| at.with_timezone(&state.zone).date_naive();
    let moment = |at: Timestamp| if day(at) == day(state.now) { clock(state, at) } else { format!("{} {}", day(at), clock(state, at)) };
    let learning = health.learning.map(|share| format!(" Learning what is normal here: {:.0} %.", share * 100.0)).unwrap_or_default();
    let watched = format!("watched without a gap since {}", moment(health.watching_since));
    match state.mirror.incidents.values().max_by_key(|row| (row.updated, row.id)) {
        None => format!("All calm: no incident is known here; {watched} ({}).{learning}", span(health.at - health.watching_since)),
        Some(last) => {
            let what = super::overview::state_noun(last.state);
            format!(
                "All calm since {} ({}): {} was the last incident and is {what}; {watched}.{learning}",
                moment(last.updated),
                span(state.now - last.updated),
                last.id
            )
        }
    }
}
