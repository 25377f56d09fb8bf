//! The rows of views that ask for them, in order, and the values they are filtered and sorted by.

use std::cmp::Reverse;

use super::query::Facts;
use super::sheets::log_item;
use super::{RowKey, State, facts};
use crate::state::sheets::Item;
use bartizan_config::View;
use bartizan_model::{Attacker, Exception, Habit, LogSource, LogState};

/// The keys of the rows of a view.
pub(crate) fn keys(state: &State, view: View) -> Vec<RowKey> {
    let second = state.second.contains(&view);
    let items: Vec<Item> = match view {
        View::Logs if second => attackers(state).into_iter().map(|row| Item::Attacker(row.address)).collect(),
        View::Logs => logs(state).into_iter().map(log_item).collect(),
        View::Baseline => habits(state).into_iter().map(|row| Item::Habit(row.id)).collect(),
        View::Exceptions => exceptions(state).into_iter().map(|row| Item::Exception(row.id)).collect(),
        View::Overview
        | View::Processes
        | View::Network
        | View::Timeline
        | View::Alerts
        | View::Approvals
        | View::Actions
        | View::Health
        | View::Audit => Vec::new(),
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
