//! Views that ask for their rows: when they ask, and what an answer changes. Nobody looks, nothing is asked.

use crate::input::Effect;
use crate::state::sheets::KEPT;
use crate::state::{Link, RowKey, State, rows};
use bartizan_config::View;
use bartizan_protocol::{BaselineRequest, ExceptionRequest, Refusal, Reply, Request};

/// Attackers asked for at a time.
const ATTACKERS: u32 = 500;
/// Seconds between two questions of one view: how soon what others did is on screen.
const PERIOD: i64 = 3;

/// What a view asks for; nothing for one that is pushed.
fn requests(state: &State) -> Vec<Request> {
    match state.view {
        View::Logs if state.second.contains(&View::Logs) => vec![Request::Attackers { limit: ATTACKERS }],
        View::Logs => vec![Request::Logs],
        View::Baseline => vec![Request::Baseline(Box::new(BaselineRequest::Review))],
        View::Exceptions => vec![Request::Exceptions(Box::new(ExceptionRequest::List))],
        View::Overview
        | View::Processes
        | View::Network
        | View::Timeline
        | View::Alerts
        | View::Approvals
        | View::Actions
        | View::Health
        | View::Audit => Vec::new(),
    }
}

/// Asks for what the view on screen shows, unless that is asked already.
pub(super) fn fetch(state: &State) -> Vec<Effect> {
    if state.link != Link::Up {
        return Vec::new();
    }
    let is_asked = |request: &Request| state.asked.values().any(|asked| asked.question.request == *request);
    requests(state).into_iter().filter(|request| !is_asked(request)).map(|request| Effect::ask(request, "")).collect()
}

/// The same, once every few seconds while somebody looks.
pub(super) fn tick(state: &State) -> Vec<Effect> {
    if state.now.timestamp() % PERIOD == 0 { fetch(state) } else { Vec::new() }
}

/// Takes an answer; gives back what is no row of any of these views.
pub(super) fn take(state: &mut State, reply: Reply) -> Option<Reply> {
    let now = state.now;
    match reply {
        Reply::Logs(mut rows) => {
            rows.truncate(KEPT);
            state.sheets.logs.take(rows, now);
        }
        Reply::Attackers(mut rows) => {
            rows.truncate(KEPT);
            state.sheets.attackers.take(rows, now);
        }
        Reply::BaselineReview(mut review) => {
            review.more += review.waiting.len().saturating_sub(KEPT) as u64;
            review.more_learned += review.learned.len().saturating_sub(KEPT) as u64;
            review.waiting.truncate(KEPT);
            review.learned.truncate(KEPT);
            state.sheets.review.take(*review, now);
        }
        Reply::Exceptions(mut rows) => {
            // The oldest come first.
            let surplus = rows.len().saturating_sub(KEPT);
            rows.drain(..surplus);
            state.sheets.exceptions.take(rows, now);
        }
        other => return Some(other),
    }
    None
}

/// A question that nobody pressed a key for was refused: the view says so, not the message line. Whether there is one.
pub(super) fn refuse(state: &mut State, request: &Request, refusal: &Refusal) -> bool {
    let mend = if refusal.mend.is_empty() { String::new() } else { format!(": {}", refusal.mend) };
    let why = Some(format!("{}{mend}", refusal.message));
    let sheets = &mut state.sheets;
    if *request == Request::Logs {
        sheets.logs.refused = why;
    } else if let Request::Attackers { .. } = request {
        sheets.attackers.refused = why;
    } else if let Request::Baseline(_) = request {
        sheets.review.refused = why;
    } else if let Request::Exceptions(_) = request {
        sheets.exceptions.refused = why;
    } else {
        return false;
    }
    true
}

/// The other list of the view on screen.
pub(super) fn turn(state: &mut State) -> Vec<Effect> {
    let view = state.view;
    if !state.second.remove(&view) {
        state.second.insert(view);
    }
    let list = state.list_mut();
    (list.key, list.sort) = (None, None);
    list.marks.clear();
    list.filter.clear();
    fetch(state)
}

/// These rows are answered: the cursor goes on to the next one that is not.
pub(super) fn advance(state: &mut State, done: &[RowKey]) {
    state.list_mut().marks.retain(|row| !done.contains(row));
    let keys = rows::keys(state);
    let Some(at) = state.chosen().filter(|here| done.contains(here)).and_then(|here| keys.iter().position(|key| *key == here)) else {
        return;
    };
    let (before, after) = keys.split_at(at);
    let next = after.iter().find(|key| !done.contains(key)).or_else(|| before.iter().rev().find(|key| !done.contains(key)));
    if let Some(next) = next {
        state.list_mut().choose(*next);
    }
}
