//! Views that ask for their rows: when they ask, and what an answer changes. Nobody looks, nothing is asked.

use crate::input::Effect;
use crate::state::sheets::{Diff, KEPT, SheetView};
use crate::state::{Item, Link, RowKey, State, rows};
use bartizan_config::View;
use bartizan_model::Event;
use bartizan_protocol::{BaselineRequest, EventQuery, ExceptionRequest, FindingRequest, Refusal, Reply, Request};

/// Attackers asked for at a time.
const ATTACKERS: u32 = 500;
/// Changes of files asked for at a time.
const FILES: u32 = 300;
/// Their kind of event, and what only those have that were compared with the baseline.
const CHANGES: &str = "file.change";
const COMPARED: &str = "file.integrity.sentence=*";
/// Seconds between two questions about findings: a scan takes longer than that.
const LONG_PERIOD: i64 = 30;
/// Seconds between two questions of one view: how soon what others did is on screen.
const PERIOD: i64 = 3;

/// What a view asks for; nothing for one that is pushed.
fn requests(state: &State) -> Vec<Request> {
    let Some(sheet) = SheetView::of(state.view) else { return Vec::new() };
    match sheet {
        SheetView::Files => files(state),
        SheetView::Findings => vec![Request::Findings(Box::new(FindingRequest::List))],
        SheetView::Logs if state.second.contains(&state.view) => vec![Request::Attackers { limit: ATTACKERS }],
        SheetView::Logs => vec![Request::Logs],
        SheetView::Baseline => vec![Request::Baseline(Box::new(BaselineRequest::Review))],
        SheetView::Exceptions => vec![Request::Exceptions(Box::new(ExceptionRequest::List))],
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
    if state.view == View::Files {
        // A change is told by the count that the agent pushes: the archive is not read for nothing.
        let news = reported(state) != state.sheets.files_known || state.now.timestamp() % LONG_PERIOD == 0;
        let mut effects = if news { fetch(state) } else { Vec::new() };
        effects.extend(compare(state));
        return effects;
    }
    let period = if state.view == View::Findings { LONG_PERIOD } else { PERIOD };
    if state.now.timestamp() % period == 0 { fetch(state) } else { Vec::new() }
}

/// How many changes of files the agent has reported.
fn reported(state: &State) -> Option<u64> {
    state.mirror.health.as_ref().map(|health| health.files.reported)
}

/// The newest changes; once some are known, those since then.
fn files(state: &State) -> Vec<Request> {
    let Ok(filter) = COMPARED.parse() else { return Vec::new() };
    let since = state.sheets.files.data.as_ref().and_then(|rows| rows.first()).map(|row| row.at);
    let kind = Some(CHANGES.to_owned());
    vec![Request::Events(EventQuery { since, kind, filter: Some(filter), limit: FILES, ..EventQuery::default() })]
}

/// How the file that the cursor rests on differs, unless that is known or asked, or the role forbids it.
fn compare(state: &State) -> Vec<Effect> {
    let Some(RowKey::Item(Item::File(id))) = state.chosen() else { return Vec::new() };
    let Some(path) = state.sheets.file(id).and_then(super::items::path) else { return Vec::new() };
    let known = state.sheets.diff.as_ref().is_some_and(|diff| diff.path == *path);
    let request = Request::FileDiff { path: path.clone() };
    let asked = state.asked.values().any(|asked| matches!(asked.question.request, Request::FileDiff { .. }));
    if known || asked || state.link != Link::Up || state.role < request.needs() { Vec::new() } else { vec![Effect::ask(request, "")] }
}

/// Changes that came; those that were known stay, newest first.
fn took_files(state: &mut State, mut events: Vec<Event>) {
    events.retain(|row| super::items::path(row).is_some());
    let known = state.sheets.files.data.take().unwrap_or_default();
    events.extend(known);
    events.sort_by_key(|row| std::cmp::Reverse((row.at, row.id)));
    events.dedup_by_key(|row| row.id);
    events.truncate(KEPT);
    state.sheets.files_known = reported(state);
    // What was compared before the newest change may be old.
    state.sheets.diff = None;
    let now = state.now;
    state.sheets.files.take(events, now);
}

/// Takes an answer to a request; gives back what is no row of any of these views.
pub(super) fn take(state: &mut State, request: &Request, reply: Reply) -> Option<Reply> {
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
        Reply::Events(events) if is_about_files(request) => took_files(state, events),
        Reply::FileDiff(said) => {
            // By the name that was asked for: the agent may know the file by another one.
            let path = if let Request::FileDiff { path } = request { path.clone() } else { said.path.clone() };
            state.sheets.diff = Some(Diff { path, said: Ok(*said), at: now });
        }
        Reply::Findings(mut page) => {
            page.more += page.findings.len().saturating_sub(KEPT) as u64;
            page.findings.truncate(KEPT);
            state.sheets.findings.take(*page, now);
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

fn is_about_files(request: &Request) -> bool {
    matches!(request, Request::Events(query) if query.kind.as_deref() == Some(CHANGES))
}

/// A question that nobody pressed a key for was refused: the view says so, not the message line. Whether there is one.
pub(super) fn refuse(state: &mut State, request: &Request, refusal: &Refusal) -> bool {
    let mend = if refusal.mend.is_empty() { String::new() } else { format!(": {}", refusal.mend) };
    let why = Some(format!("{}{mend}", refusal.message));
    let sheets = &mut state.sheets;
    if is_about_files(request) {
        sheets.files_known = state.mirror.health.as_ref().map(|health| health.files.reported);
        sheets.files.refused = why;
    } else if let (Request::FileDiff { path }, Some(why)) = (request, &why) {
        sheets.diff = Some(Diff { path: path.clone(), said: Err(why.clone()), at: state.now });
    } else if let Request::Findings(_) = request {
        sheets.findings.refused = why;
    } else if *request == Request::Logs {
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
