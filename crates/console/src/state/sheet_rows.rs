//! The rows of views that ask for them, in order, and the values they are filtered and sorted by.

use std::cmp::Reverse;

use super::query::Facts;
use super::sheets::{finding_number, log_item};
use super::{RowKey, State, facts};
use crate::state::sheets::{Item, SheetView};
use bartizan_config::View;
use bartizan_model::{Attacker, Event, EventKind, Exception, Finding, FindingState, Habit, IncidentId, LogSource, LogState};

/// The keys of the rows of a view.
pub(crate) fn keys(state: &State, view: View) -> Vec<RowKey> {
    let second = state.second.contains(&view);
    let Some(sheet) = SheetView::of(view) else { return Vec::new() };
    let items: Vec<Item> = match sheet {
        SheetView::Logs if second => attackers(state).into_iter().map(|row| Item::Attacker(row.address)).collect(),
        SheetView::Logs => logs(state).into_iter().map(log_item).collect(),
        SheetView::Files => files(state).into_iter().map(|row| Item::File(row.id)).collect(),
        SheetView::Findings => findings(state).into_iter().filter_map(|row| finding_number(&row.id)).map(Item::Finding).collect(),
        SheetView::Baseline => habits(state).into_iter().map(|row| Item::Habit(row.id)).collect(),
        SheetView::Exceptions => exceptions(state).into_iter().map(|row| Item::Exception(row.id)).collect(),
    };
    items.into_iter().map(RowKey::Item).collect()
}

/// Logs: those that nobody can read first, then those that are behind; by name.
pub(crate) fn logs(state: &State) -> Vec<&LogSource> {
    let mut rows: Vec<_> = state.sheets.logs.data.iter().flatten().collect();
    rows.sort_by_key(|row| (!row.state.is_dead(), row.state != LogState::Behind, !row.state.is_read(), row.name.clone()));
    facts::arrange(state.list(), &mut rows, |row| log(state, row));
    rows
}

/// Who attacks by the logs, as the agent has it: the worst first.
pub(crate) fn attackers(state: &State) -> Vec<&Attacker> {
    let mut rows: Vec<_> = state.sheets.attackers.data.iter().flatten().collect();
    facts::arrange(state.list(), &mut rows, |row| attacker(state, row));
    rows
}

/// Habits that wait, worst first, those with one reason together; or what was learned since the last review, newest first.
pub(crate) fn habits(state: &State) -> Vec<&Habit> {
    let review = state.sheets.review.data.as_ref();
    let second = state.second.contains(&View::Baseline);
    let mut rows: Vec<_> = review.map(|review| if second { &review.learned } else { &review.waiting }).into_iter().flatten().collect();
    if !second {
        // Stable: within one reason as the agent has them.
        rows.sort_by_key(|row| (row.reason.rank(), row.reason));
    }
    facts::arrange(state.list(), &mut rows, |row| habit(state, row));
    rows
}

/// Exceptions: those in force first, the one that ends first on top; then the newest.
pub(crate) fn exceptions(state: &State) -> Vec<&Exception> {
    let mut rows: Vec<_> = state.sheets.exceptions.data.iter().flatten().collect();
    rows.sort_by_key(|row| {
        let holds = row.removed.is_none() && state.now < row.until;
        (!holds, if holds { row.until } else { row.added }, Reverse(row.id))
    });
    facts::arrange(state.list(), &mut rows, |row| exception(state, row));
    rows
}

/// Changes of files, newest first.
pub(crate) fn files(state: &State) -> Vec<&Event> {
    let mut rows: Vec<_> = state.sheets.files.data.iter().flatten().collect();
    facts::arrange(state.list(), &mut rows, |row| file(state, row));
    rows
}

/// Findings as the agent has them: open ones first, the worst first.
pub(crate) fn findings(state: &State) -> Vec<&Finding> {
    let page = state.sheets.findings.data.as_ref();
    let mut rows: Vec<_> = page.iter().flat_map(|page| &page.findings).filter(|row| finding_number(&row.id).is_some()).collect();
    facts::arrange(state.list(), &mut rows, |row| finding(state, row));
    rows
}

fn age(state: &State, at: Option<bartizan_model::Timestamp>) -> String {
    at.map(|at| (state.now - at).num_seconds().max(0).to_string()).unwrap_or_default()
}

pub(crate) fn log(state: &State, row: &LogSource) -> Facts {
    vec![
        ("state", row.state.noun().to_owned()),
        ("lines", row.lines.to_string()),
        ("unparsed", row.unparsed.to_string()),
        ("records", row.records.to_string()),
        ("lag", row.lag.map(|lag| lag.to_string()).unwrap_or_default()),
        ("age", age(state, row.last_line)),
        ("format", row.format.clone()),
        ("log", row.name.to_string()),
        ("what", row.trouble.clone().unwrap_or_default()),
    ]
}

pub(crate) fn attacker(state: &State, row: &Attacker) -> Facts {
    vec![
        ("address", row.address.to_string()),
        ("attempts", row.attempts.to_string()),
        ("accounts", row.accounts.to_string()),
        ("strikes", row.strikes.to_string()),
        ("age", age(state, row.last)),
        ("held", row.held.as_ref().map(|hold| hold.action.to_string()).unwrap_or_default()),
        ("what", held(state, row)),
    ]
}

/// What is done about an attacker.
pub(crate) fn held(state: &State, row: &Attacker) -> String {
    match (&row.held, row.asked) {
        (Some(hold), _) => {
            let until = crate::view::format::moment(state, hold.until);
            format!("held until {until} ({}, {})", hold.kind.verb(), hold.action)
        }
        (None, Some(question)) => format!("asked: {question}"),
        (None, None) => row.elsewhere.as_ref().map_or_else(|| "-".to_owned(), |by| format!("held by {by}")),
    }
}

pub(crate) fn habit(state: &State, row: &Habit) -> Facts {
    vec![
        ("id", row.id.0.to_string()),
        ("habit", row.id.to_string()),
        ("kind", row.kind.name().to_owned()),
        ("times", row.count.to_string()),
        ("days", row.days.to_string()),
        ("age", age(state, Some(row.last))),
        ("user", row.profile.user.to_string()),
        ("exe", row.profile.exe.to_string()),
        ("why", row.reason.sentence().to_owned()),
        ("what", said(row)),
    ]
}

/// What a habit says: who does what.
pub(crate) fn said(row: &Habit) -> String {
    format!("{} {} {}", row.profile, row.kind.verb(), row.value)
}

pub(crate) fn exception(state: &State, row: &Exception) -> Facts {
    vec![
        ("id", row.id.0.to_string()),
        ("exception", row.id.to_string()),
        ("state", row.standing(state.now).to_owned()),
        ("left", (row.until - state.now).num_seconds().max(0).to_string()),
        ("by", row.author.clone()),
        ("what", row.scope.to_string()),
        ("why", row.reason.clone()),
    ]
}

pub(crate) fn file(state: &State, row: &Event) -> Facts {
    let EventKind::FileChange { file } = &row.kind else { return Vec::new() };
    let integrity = file.integrity.as_ref();
    let danger: Vec<&str> = integrity.iter().flat_map(|seen| &seen.findings).map(|finding| finding.sentence.as_str()).collect();
    vec![
        ("at", row.at.timestamp_millis().to_string()),
        ("file", file.path.to_string()),
        ("who", who(row)),
        ("user", row.process.as_ref().and_then(|process| process.user.as_ref()).map(ToString::to_string).unwrap_or_default()),
        ("pid", row.process.as_ref().map(|process| process.pid.to_string()).unwrap_or_default()),
        ("incident", incident_of(state, row).map(|id| id.to_string()).unwrap_or_default()),
        ("danger", danger.join("; ")),
        ("age", age(state, Some(row.at))),
        ("what", integrity.map(|seen| seen.sentence.clone()).unwrap_or_default()),
    ]
}

/// Who changed a file, as far as somebody was seen.
pub(crate) fn who(row: &Event) -> String {
    let EventKind::FileChange { file } = &row.kind else { return String::new() };
    let late = file.integrity.as_ref().is_some_and(|seen| seen.late);
    match (&row.process, &file.directory_by) {
        (Some(process), _) => {
            let user = process.user.as_ref().map_or_else(|| format!("uid {}", process.uid), ToString::to_string);
            // The maker of a new directory stands for a writer whom nobody saw.
            let probably = if row.complete { "" } else { "probably " };
            format!("{probably}{}[{}] as {user}", process.name(), process.pid)
        }
        (None, _) if late => "while nobody watched".to_owned(),
        (None, Some(maker)) => format!("unseen, in a directory of {}[{}]", maker.name(), maker.pid),
        (None, None) => "somebody unseen".to_owned(),
    }
}

/// The incident that a change belongs to: by a signal that rests on it, else by the process that made it.
pub(crate) fn incident_of(state: &State, row: &Event) -> Option<IncidentId> {
    let signal = state.mirror.signals.iter().find(|signal| signal.events.contains(&row.id) || signal.id.event == row.id);
    let named = signal.and_then(|signal| state.mirror.incidents.values().find(|incident| incident.signals.contains(&signal.id)));
    let by = row.process.as_ref().and_then(|process| state.mirror.processes.get(&process.key)).and_then(|process| process.incident);
    named.map(|incident| incident.id).or(by)
}

pub(crate) fn finding(state: &State, row: &Finding) -> Facts {
    vec![
        ("finding", row.id.clone()),
        ("severity", row.severity.to_string()),
        ("weight", (row.severity as u8).to_string()),
        ("state", standing(state, row).to_owned()),
        ("source", row.source.clone()),
        ("rule", row.rule.clone()),
        ("where", place(row)),
        ("age", age(state, Some(row.last_seen))),
        ("what", row.title.clone()),
    ]
}

/// Where a finding stands now.
pub(crate) fn standing(state: &State, row: &Finding) -> &'static str {
    match row.state {
        FindingState::Gone => "gone",
        FindingState::Accepted { .. } if !row.state.is_open(state.now) => "accepted",
        FindingState::Accepted { .. } | FindingState::Open => "open",
    }
}

/// Where it was found.
pub(crate) fn place(row: &Finding) -> String {
    let line = row.line.map(|line| format!(":{line}")).unwrap_or_default();
    format!("{}{line}", row.location)
}
