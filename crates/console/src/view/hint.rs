//! The line that says what to do now; on a calm host, since when it is calm.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::format::{clock, left, span};
use crate::paint::Paint;
use crate::state::{State, held, rows};
use crate::widgets::text::{clip, fit_middle, safe, wrap};
use bartizan_config::{Command, View};
use bartizan_model::{ActionKind, Approval, ApprovalState, IncidentState, Severity, Timestamp};

/// Most rows of it.
const ROWS: usize = 2;

/// Whether nothing here waits for anybody: no incident that nobody has dealt with, no question, no alert that nobody has seen.
pub(super) fn is_calm(state: &State) -> bool {
    rows::waiting(state) == (0, 0) && !state.mirror.incidents.values().any(|row| goes_on(row.state))
}

fn goes_on(state: IncidentState) -> bool {
    matches!(state, IncidentState::Open | IncidentState::Contained)
}

/// A question by its name, with what a yes does to what.
fn asked(row: &Approval) -> String {
    format!("{} ({} {})", row.id, row.action.kind().verb(), fit_middle(&safe(&row.action.target().to_string()), NAME, ".."))
}

/// Cells of the name of what is acted on.
const NAME: usize = 44;

pub(super) fn height(state: &State, width: u16) -> u16 {
    u16::try_from(lines(state, width, "").len()).unwrap_or(1)
}

fn lines(state: &State, width: u16, ellipsis: &str) -> Vec<String> {
    let cells = usize::from(width.saturating_sub(1));
    clip(wrap(&words(state).0, cells), ROWS, cells, ellipsis)
}

pub(super) fn draw(buf: &mut Buffer, area: Rect, state: &State, paint: &Paint) {
    let style: Style = match words(state).1 {
        Urgency::Calm => paint.good,
        Urgency::Look => paint.notice,
        Urgency::Decide => paint.warning,
    };
    let cells = usize::from(area.width.saturating_sub(1));
    for (line, y) in clip(lines(state, area.width, paint.glyphs.ellipsis), usize::from(area.height).max(1), cells, paint.glyphs.ellipsis)
        .into_iter()
        .zip(area.top()..area.bottom())
    {
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
        let here = rows::question_here(state).filter(|row| row.state == ApprovalState::Pending);
        let here = here.map(|row| format!("; {} here approves {}", key(Command::Approve), asked(row))).unwrap_or_default();
        return (format!("{} is {} and above the cursor: {} goes to it{here}", row.id, row.severity, key(Command::First)), Urgency::Decide);
    }
    let (yes, no, open, why) = (key(Command::Approve), key(Command::Reject), key(Command::Open), key(Command::Explain));
    if let Some(row) = rows::question_here(state) {
        let shows = if state.view == View::Timeline { String::new() } else { format!("{open} shows what happened, ") };
        let text = format!("Now: {yes} approves {}, {no} rejects it; {shows}{why} says why", asked(row));
        return (text, Urgency::Decide);
    }
    let mut elsewhere = state.mirror.approvals.values().filter(|row| row.state == ApprovalState::Pending);
    if let Some(row) = elsewhere.next() {
        let view = key(Command::Show(View::Approvals));
        let text =
            format!("Now: {} on {} needs your answer ({} left): press {view}", row.id, row.incident, left(row.expires_at - state.now));
        return (text, Urgency::Decide);
    }
    if let Some(text) = not_held(state) {
        return (text, Urgency::Decide);
    }
    let seen = match rows::incident_here(state).map(|id| rows::unseen_of(state, id).len()) {
        Some(1..) => format!(", {} acknowledges the alerts", key(Command::Acknowledge)),
        Some(0) | None => String::new(),
    };
    let shows = if state.view == View::Timeline { String::new() } else { format!("{open} shows what happened, ") };
    (format!("No questions are open; {shows}{why} explains the score{seen}"), Urgency::Look)
}

/// That the incident here is bad and goes on: its processes run and nothing holds them, or what was done about it was undone.
fn not_held(state: &State) -> Option<String> {
    let key = |command: Command| state.keymap.key(command).unwrap_or_default();
    let incident = state.mirror.incidents.get(&rows::incident_here(state)?).filter(|row| goes_on(row.state))?;
    let done = rows::done_for(state, incident.id);
    let ended: Vec<_> = done.iter().filter(|row| !row.state.is_active() && row.ended_at.is_some()).collect();
    let loose = held::loose(state, incident.id);
    if let (Some(first), Some(holder)) = (loose.first(), held::in_part(state, incident.id)) {
        let more = if loose.len() > 1 { format!("and {} more run", loose.len() - 1) } else { "runs".to_owned() };
        let (name, pid, find, freeze) = (super::story::name(first), first.key.pid, key(Command::Palette), key(Command::Freeze));
        let target = fit_middle(&safe(&holder.target.to_string()), NAME, "..");
        return Some(format!(
            "{} is held only in part: {} holds {target}, but {name} {pid} {more} on; {find}{pid} goes to it, {freeze} there freezes it",
            incident.id, holder.id
        ));
    }
    let frozen = ended.iter().any(|row| row.kind == ActionKind::FreezeTree);
    if let Some(first) = loose.first().filter(|_| frozen || incident.severity >= Severity::High) {
        let (name, pid) = (super::story::name(first), first.key.pid);
        let runs = if loose.len() > 1 { format!("and {} more run", loose.len() - 1) } else { "runs".to_owned() };
        let again = if frozen { " again" } else { "" };
        let (find, freeze) = (key(Command::Palette), key(Command::Freeze));
        return Some(format!("{} is not held: {name} {pid} {runs}; {find}{pid} goes to it, {freeze} there freezes it{again}", incident.id));
    }
    let last = ended.first().filter(|_| ended.len() == done.len())?;
    let at = last.ended_at.map(|at| format!(" {} ago", super::format::ago(state, at))).unwrap_or_default();
    Some(format!("{} is open and nothing holds it: {} ended{at}; {} says why it scores so", incident.id, last.id, key(Command::Explain)))
}

/// What is known to be calm, and since when.
fn calm(state: &State) -> String {
    let Some(health) = &state.mirror.health else { return String::new() };
    let day = |at: Timestamp| at.with_timezone(&state.zone).date_naive();
    let moment = |at: Timestamp| if day(at) == day(state.now) { clock(state, at) } else { format!("{} {}", day(at), clock(state, at)) };
    let learning = health
        .learning
        .filter(|share| *share < 1.0)
        .map(|share| format!(" Learning what is normal here: {:.0} %.", share * 100.0))
        .unwrap_or_default();
    let watched = format!("watched without a gap since {}", moment(health.watching_since));
    match state.mirror.incidents.values().max_by_key(|row| (row.updated, row.id)) {
        None => format!("All calm: no incident is known here; {watched} ({}).{learning}", span(health.at - health.watching_since)),
        Some(last) => {
            let what = held::standing(state, last);
            format!(
                "All calm since {} ({}): {} was the last incident and is {what}; {watched}.{learning}",
                moment(last.updated),
                span(state.now - last.updated),
                last.id
            )
        }
    }
}
