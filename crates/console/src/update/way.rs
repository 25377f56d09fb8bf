//! The way through the views: where enter, a number or an id leads, and how esc comes back.

use std::net::IpAddr;

use crate::input::Effect;
use crate::state::sheets::finding_id;
use crate::state::{Item, RowKey, Sound, State, rows};
use bartizan_config::View;
use bartizan_model::{ActionId, AlertId, ApprovalId, EventId, IncidentId, ProcessKey, SignalId};
use bartizan_protocol::{EventQuery, Request};

/// Most steps that are remembered; nobody goes back further.
const STEPS: usize = 64;
/// Most events that a search for a path or an address shows.
const EVENTS: u32 = 200;

/// Where a person can be led.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Goto {
    Incident(IncidentId),
    Alert(AlertId),
    Approval(ApprovalId),
    Action(ActionId),
    Process(ProcessKey),
    Signal(SignalId),
    /// The signal that an event belongs to.
    Event(EventId),
    /// All that names an address: incidents and actions first.
    Address(IpAddr),
    /// Connections whose row holds this: those of an address or of a process.
    Connections(String),
    /// Recorded events that name this.
    Events(String),
}

/// Where a person was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    view: View,
    key: Option<RowKey>,
    incident: Option<IncidentId>,
    listeners: bool,
    filter: String,
    /// What it is called in the line that shows the way.
    pub name: String,
}

/// Goes there; esc comes back to where the cursor is now.
pub(crate) fn goto(state: &mut State, to: &Goto) -> Vec<Effect> {
    let view = match to {
        Goto::Incident(_) => View::Timeline,
        Goto::Alert(_) => View::Alerts,
        Goto::Approval(_) => View::Approvals,
        Goto::Action(_) => View::Actions,
        Goto::Process(_) => View::Processes,
        Goto::Connections(_) => View::Network,
        Goto::Signal(_) | Goto::Event(_) => View::Timeline,
        Goto::Address(address) => {
            super::details::address(state, *address);
            return Vec::new();
        }
        Goto::Events(text) => return events(state, text),
    };
    if let Some(newest) = newest_before(state, to) {
        state.say(Sound::Note, format!("there is no {} here: {newest}", name_of(to)));
        return Vec::new();
    }
    let signal = match to {
        Goto::Signal(id) => signal_on(state, |row| row == id),
        Goto::Event(id) => signal_on(state, |row| row.event == *id).or_else(|| signal_of(state, *id)),
        _ => None,
    };
    let known = match to {
        Goto::Incident(id) => state.mirror.incidents.contains_key(id),
        Goto::Alert(id) => state.mirror.alerts.contains_key(id),
        Goto::Approval(id) => state.mirror.approvals.contains_key(id),
        Goto::Action(id) => state.mirror.actions.contains_key(id),
        Goto::Process(key) => state.mirror.processes.contains_key(key),
        Goto::Signal(_) | Goto::Event(_) => signal.is_some(),
        Goto::Connections(_) | Goto::Address(_) | Goto::Events(_) => true,
    };
    if !known {
        state.say(Sound::Note, format!("{} is no longer in memory here; use the `bartizan` command line for older records", name_of(to)));
        return Vec::new();
    }
    if state.single && view != state.view {
        return super::show(state, view);
    }
    remember(state);
    let effects = super::show(state, view);
    let list = state.list_mut();
    list.filter = if let Goto::Connections(text) = to { text.clone() } else { String::new() };
    list.key = None;
    match to {
        Goto::Incident(id) => state.incident = Some(*id),
        Goto::Alert(id) => state.list_mut().choose(RowKey::Alert(*id)),
        Goto::Approval(id) => state.list_mut().choose(RowKey::Approval(*id)),
        Goto::Action(id) => state.list_mut().choose(RowKey::Action(*id)),
        Goto::Process(key) => super::processes::reveal(state, *key),
        Goto::Connections(_) => state.listeners = false,
        Goto::Signal(_) | Goto::Event(_) => {
            if let Some((incident, signal)) = signal {
                state.incident = Some(incident);
                state.list_mut().choose(RowKey::Signal(signal));
            }
        }
        Goto::Address(_) | Goto::Events(_) => {}
    }
    effects
}

/// A signal that is kept here and its incident.
fn signal_on(state: &State, is_it: impl Fn(&SignalId) -> bool) -> Option<(IncidentId, SignalId)> {
    let kept = |id: &&SignalId| is_it(id) && state.mirror.signals.iter().any(|row| row.id == **id);
    state.mirror.incidents.values().find_map(|row| Some((row.id, *row.signals.iter().find(kept)?)))
}

/// A signal that rests on this event.
fn signal_of(state: &State, event: EventId) -> Option<(IncidentId, SignalId)> {
    let id = state.mirror.signals.iter().find(|row| row.events.contains(&event))?.id;
    signal_on(state, |row| *row == id)
}

/// Of an id above all that were ever given: which is the newest. What never was is not gone either.
fn newest_before(state: &State, to: &Goto) -> Option<String> {
    let mirror = &state.mirror;
    let none = |noun: &str| format!("no {noun} is known yet");
    match to {
        Goto::Incident(id) => {
            let last = mirror.incidents.keys().max().copied();
            (last < Some(*id)).then(|| last.map_or_else(|| none("incident"), |last| format!("the newest incident is {last}")))
        }
        Goto::Alert(id) => {
            let last = mirror.alerts.keys().max().copied();
            (last < Some(*id)).then(|| last.map_or_else(|| none("alert"), |last| format!("the newest alert is {last}")))
        }
        Goto::Approval(id) => {
            let last = mirror.approvals.keys().max().copied();
            (last < Some(*id)).then(|| last.map_or_else(|| none("question"), |last| format!("the newest question is {last}")))
        }
        Goto::Action(id) => {
            let last = mirror.actions.keys().max().copied();
            (last < Some(*id)).then(|| last.map_or_else(|| none("action"), |last| format!("the newest action is {last}")))
        }
        Goto::Process(_) | Goto::Signal(_) | Goto::Event(_) | Goto::Address(_) | Goto::Connections(_) | Goto::Events(_) => None,
    }
}

fn remember(state: &mut State) {
    if state.trail.len() >= STEPS {
        state.trail.remove(0);
    }
    let name = here(state);
    let step = Step {
        view: state.view,
        key: state.list().key,
        incident: state.incident,
        listeners: state.listeners,
        filter: state.list().filter.clone(),
        name,
    };
    state.trail.push(step);
}

/// Back by one step, with the cursor where it was; whether there was one.
pub(super) fn back(state: &mut State) -> bool {
    let Some(step) = state.trail.pop() else { return false };
    // A filter that led here is not left behind.
    state.list_mut().filter.clear();
    state.view = step.view;
    (state.incident, state.listeners) = (step.incident, step.listeners);
    let list = state.list_mut();
    (list.key, list.filter) = (step.key, step.filter);
    true
}

/// What the place on screen is called: the view, or the incident that it is about.
pub(crate) fn here(state: &State) -> String {
    match (state.view, state.timeline_of()) {
        (View::Timeline, Some(id)) => id.to_string(),
        _ => match state.chosen() {
            Some(RowKey::Alert(id)) => format!("{} {id}", state.view.title()),
            Some(RowKey::Approval(id)) => format!("{} {id}", state.view.title()),
            Some(RowKey::Action(id)) => format!("{} {id}", state.view.title()),
            Some(RowKey::Process(key)) => format!("{} {}", state.view.title(), key.pid),
            Some(RowKey::Item(Item::Attacker(address))) => format!("{} {address}", state.view.title()),
            Some(RowKey::Item(Item::Habit(id))) => format!("{} {id}", state.view.title()),
            Some(RowKey::Item(Item::Finding(number))) => format!("{} {}", state.view.title(), finding_id(number)),
            Some(RowKey::Item(Item::Exception(id))) => format!("{} {id}", state.view.title()),
            Some(RowKey::Incident(_) | RowKey::Socket(_) | RowKey::Signal(_) | RowKey::Line(_) | RowKey::Item(_)) | None => {
                state.view.title().to_owned()
            }
        },
    }
}

fn events(state: &mut State, text: &str) -> Vec<Effect> {
    let quoted = format!("text:\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    match quoted.parse() {
        Ok(filter) => {
            let query = EventQuery { filter: Some(filter), limit: EVENTS, ..EventQuery::default() };
            super::ask(state, Request::Events(query), format!("which recorded events name {text}"))
        }
        Err(_) => {
            state.say(Sound::Note, format!("{text} cannot be searched for: use `bartizan events --where`"));
            Vec::new()
        }
    }
}

/// What an id, a pid, an address or a path typed after `:` leads to; `None` when it is none of them.
pub(crate) fn read(typed: &str, state: &State) -> Option<Goto> {
    let typed = typed.trim();
    if typed.starts_with('/') {
        return Some(Goto::Events(typed.to_owned()));
    }
    if let Ok(pid) = typed.parse::<u32>() {
        // Of several lives of one number the youngest.
        let key = state.mirror.processes.keys().filter(|key| key.pid == pid).max_by_key(|key| key.start).copied();
        return Some(key.map_or_else(|| Goto::Events(format!("\"pid\":{pid},")), Goto::Process));
    }
    if let Ok(address) = typed.parse::<IpAddr>() {
        if super::details::names(state, address) {
            return Some(Goto::Address(address));
        }
        let seen = state.mirror.sockets.values().any(|row| !row.listening && row.net.dst == Some(address));
        return Some(if seen { Goto::Connections(address.to_string()) } else { Goto::Events(address.to_string()) });
    }
    let id = typed.to_ascii_uppercase();
    if let Some(signal) = id.strip_prefix('S').and_then(|_| id.parse().ok()) {
        return Some(Goto::Signal(signal));
    }
    let number = || id.get(1..).is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()));
    if !number() {
        return None;
    }
    let incident = || id.parse().ok().map(Goto::Incident);
    incident()
        .or_else(|| id.parse().ok().map(Goto::Alert))
        .or_else(|| id.parse().ok().map(Goto::Approval))
        .or_else(|| id.parse().ok().map(Goto::Action))
        .or_else(|| id.parse().ok().map(Goto::Event))
}

/// As people call it.
pub(crate) fn name_of(to: &Goto) -> String {
    match to {
        Goto::Incident(id) => id.to_string(),
        Goto::Alert(id) => id.to_string(),
        Goto::Approval(id) => id.to_string(),
        Goto::Action(id) => id.to_string(),
        Goto::Process(key) => format!("process {}", key.pid),
        Goto::Signal(id) => id.to_string(),
        Goto::Event(id) => id.to_string(),
        Goto::Address(address) => format!("all that names {address}"),
        Goto::Connections(text) => format!("connections of {text}"),
        Goto::Events(text) => format!("recorded events that name {text}"),
    }
}

/// Where the row under the cursor leads at once; `None` for rows that have a page of their own.
pub(super) fn ahead(state: &State, row: RowKey) -> Option<Goto> {
    match row {
        RowKey::Incident(id) => Some(Goto::Incident(id)),
        RowKey::Alert(id) => state.mirror.alerts.get(&id).map(|row| Goto::Incident(row.incident)),
        RowKey::Approval(id) => state.mirror.approvals.get(&id).map(|row| Goto::Incident(row.incident)),
        RowKey::Process(_) | RowKey::Socket(_) | RowKey::Signal(_) | RowKey::Action(_) | RowKey::Line(_) | RowKey::Item(_) => None,
    }
}

/// Where a page about a row leads further.
pub(super) fn links(state: &State, row: RowKey) -> Vec<Goto> {
    let process = |key: Option<ProcessKey>| key.filter(|key| state.mirror.processes.contains_key(key)).map(Goto::Process);
    let incident = rows::incident_here(state).map(Goto::Incident);
    match row {
        RowKey::Process(key) => {
            let own = state.mirror.processes.get(&key);
            let talks = state.mirror.sockets.values().any(|row| row.process == Some(key) && !row.listening);
            let talks = talks.then(|| Goto::Connections(format!("pid:{}", key.pid)));
            let held = own.and_then(|row| row.held_by).map(Goto::Action);
            [incident, held, process(own.and_then(|row| row.parent)), talks].into_iter().flatten().collect()
        }
        RowKey::Socket(id) => {
            let own = state.mirror.sockets.get(&id);
            let address = own.and_then(|row| row.net.dst).map(|dst| Goto::Events(dst.to_string()));
            [process(own.and_then(|row| row.process)), incident, address].into_iter().flatten().collect()
        }
        RowKey::Signal(id) => {
            let own = state.mirror.signals.iter().find(|row| row.id == id);
            process(own.and_then(|row| row.subject)).into_iter().collect()
        }
        RowKey::Action(id) => {
            let target = match state.mirror.actions.get(&id).map(|row| &row.target) {
                Some(bartizan_model::Target::ProcessTree { root, .. }) => process(Some(*root)),
                Some(bartizan_model::Target::Address { addr, .. }) => Some(Goto::Connections(addr.to_string())),
                _ => None,
            };
            [incident, target].into_iter().flatten().collect()
        }
        RowKey::Item(item) => super::items::links(state, item),
        RowKey::Line(seq) => {
            let about = state.audit.iter().find(|row| row.seq == seq).and_then(|row| read(&row.body.subject, state));
            about.into_iter().collect()
        }
        RowKey::Incident(_) | RowKey::Alert(_) | RowKey::Approval(_) => Vec::new(),
    }
}
