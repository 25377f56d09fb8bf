//! Enter: the whole truth about the row under the cursor.

use std::net::IpAddr;

use crate::input::Effect;
use crate::state::dialog::Page;
use crate::state::{Dialog, RowKey, Sound, State};
use crate::widgets::{Tone, TonedLine};
use bartizan_config::View;
use bartizan_model::{Action, AuditEntry, Event, EventKind, Incident, Signal, Timestamp};
use bartizan_protocol::{ProcessRow, SocketRow};

pub(super) fn open(state: &mut State) -> Vec<Effect> {
    let Some(row) = state.chosen() else {
        state.say(Sound::Note, "nothing is under the cursor");
        return Vec::new();
    };
    if state.single && matches!(row, RowKey::Incident(_)) {
        return super::explain(state);
    }
    if let Some(to) = super::way::ahead(state, row) {
        return super::way::goto(state, &to);
    }
    let shown = match row {
        RowKey::Process(key) => state.mirror.processes.get(&key).map(|row| process(state, row)),
        RowKey::Socket(id) => state.mirror.sockets.get(&id).map(|row| socket(state, row)),
        RowKey::Signal(id) => state.mirror.signals.iter().find(|row| row.id == id).map(|row| signal(state, row)),
        RowKey::Action(id) => state.mirror.actions.get(&id).map(|row| action(state, row)),
        RowKey::Line(seq) if state.view == View::Audit => state.audit.iter().find(|row| row.seq == seq).map(|row| line(state, row)),
        RowKey::Item(item) => super::items::about(state, item).map(|(title, lines)| Page::new(title, lines)),
        RowKey::Line(_) | RowKey::Incident(_) | RowKey::Alert(_) | RowKey::Approval(_) => None,
    };
    let links = super::way::links(state, row);
    state.dialog = shown.map(|page| Dialog::Page(Page { links, ..page }));
    Vec::new()
}

/// A label and what belongs to it.
pub(super) fn fact(label: &str, text: impl Into<String>) -> TonedLine {
    TonedLine::labelled(format!("{label:<12}"), Tone::Plain, text)
}

pub(super) fn time(state: &State, at: Timestamp) -> String {
    at.with_timezone(&state.zone).format("%Y-%m-%d %H:%M:%S%.3f %:z").to_string()
}

pub(super) fn known(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}

fn process(state: &State, row: &ProcessRow) -> Page {
    let argv = row.argv.iter().map(ToString::to_string).collect::<Vec<_>>();
    let parent = row.parent.and_then(|key| state.mirror.processes.get(&key)).map(|row| format!("{} (pid {})", row.exe, row.key.pid));
    let mut lines = vec![
        fact("program", row.exe.escaped()),
        fact(
            "disguise",
            if crate::view::processes::disguised(row) { "calls itself a kernel thread, which has no program" } else { "none" },
        ),
        fact("pid", row.key.pid.to_string()),
        fact("user", format!("{} (uid {})", known(row.user.as_ref()), row.uid)),
        fact("since", time(state, row.since)),
        fact("parent", known(parent)),
        fact("unit", known(row.unit.as_deref())),
        fact("container", known(row.container.as_deref())),
        fact("service", row.role.map_or_else(|| "none".to_owned(), |role| format!("{role:?}"))),
        fact("incident", known(row.incident)),
        fact("held by", known(row.held_by)),
        fact("key", row.key.to_string()),
        TonedLine::new(Tone::Plain, ""),
        TonedLine::new(Tone::Title, "Arguments"),
    ];
    lines.extend(argv.into_iter().enumerate().map(|(at, word)| TonedLine::labelled(format!("{at:>4}  "), Tone::Plain, word)));
    Page::new(format!("Process {}", row.key.pid), lines)
}

fn socket(state: &State, row: &SocketRow) -> Page {
    let far = row.net.dst.map_or_else(|| "anybody".to_owned(), |dst| format!("{dst} port {}", row.net.dport.unwrap_or(0)));
    let lines = vec![
        fact("kind", if row.listening { "listener" } else { "connection" }),
        fact("protocol", format!("{:?}", row.net.proto).to_lowercase()),
        fact("local", format!("{} port {}", row.net.src, row.net.sport)),
        fact("remote", far),
        fact("program", row.exe.escaped()),
        fact("pid", known(row.process.map(|key| key.pid))),
        fact("first seen", time(state, row.since)),
        fact("last seen", time(state, row.last)),
        fact("begun", format!("{} times", row.count)),
        fact("state", if row.open { "open" } else { "closed" }),
        fact("incident", known(row.incident)),
    ];
    Page::new("Socket", lines)
}

fn signal(state: &State, row: &Signal) -> Page {
    let list = |items: Vec<String>| if items.is_empty() { "none".to_owned() } else { items.join(", ") };
    let lines = vec![
        TonedLine::new(Tone::Plain, row.sentence.clone()),
        TonedLine::new(Tone::Plain, ""),
        fact("when", time(state, row.at)),
        fact("detector", row.detector.clone()),
        fact("severity", row.severity.to_string()),
        fact("confidence", row.confidence.to_string()),
        fact("tier", format!("{:?}", row.tier).to_lowercase()),
        fact("evidence", row.family.name()),
        fact("stage", row.stage.noun()),
        fact("technique", list(row.technique.iter().map(ToString::to_string).collect())),
        fact("about", list(row.entities.iter().map(ToString::to_string).collect())),
        fact("events", list(row.events.iter().map(ToString::to_string).collect())),
        fact("excepted", row.excepted.map_or_else(|| "no".to_owned(), |id| format!("by {id}: it counts for nothing"))),
        fact("complete", if row.complete { "yes" } else { "no: part of the evidence was lost or cut" }),
    ];
    Page::new(format!("Signal {}", row.id), lines)
}

fn action(state: &State, row: &Action) -> Page {
    let when = |at: Option<Timestamp>| at.map_or_else(|| "never".to_owned(), |at| time(state, at));
    let mut lines = vec![
        fact("what", format!("{} {}", row.kind.verb(), row.target)),
        fact("state", row.standing()),
        fact("why", row.reason.clone()),
        fact("by", row.by.to_string()),
        fact("warrant", row.warrant.to_string()),
        fact("incident", known(row.incident)),
        fact("planned", time(state, row.planned_at)),
        fact("applied", when(row.applied_at)),
        fact("verified", when(row.verified_at)),
        fact("ends", time(state, row.ends_at())),
        fact("ended", when(row.ended_at)),
        fact("kernel says", row.note.clone()),
    ];
    if let Some(confirmation) = &row.confirmation {
        let text = match confirmation.confirmed_at {
            Some(at) => format!("by {} at {}", confirmation.confirmed_by.as_deref().unwrap_or("a person"), time(state, at)),
            None if row.awaits_confirmation().is_some() => {
                format!("nobody yet; else it is undone then, and not at {}", time(state, row.expires_at))
            }
            None => format!("nobody did until {}", time(state, confirmation.until)),
        };
        lines.push(fact("confirmed", text));
    }
    lines.extend(row.vitals.as_ref().map(|check| TonedLine::labelled("probes      ", super::tone(check), super::vitals(check))));
    for (title, texts) in [("What was done", &row.preview), ("How it is undone", &row.undo)] {
        lines.extend([TonedLine::new(Tone::Plain, ""), TonedLine::new(Tone::Title, title)]);
        lines.extend(texts.iter().map(|text| TonedLine::labelled("  ", Tone::Plain, text.clone())));
    }
    Page::new(format!("Action {}", row.id), lines)
}

fn line(state: &State, row: &AuditEntry) -> Page {
    let lines = vec![
        fact("when", time(state, row.body.at)),
        fact("who", row.body.actor.clone()),
        fact("what", row.body.what.clone()),
        fact("about", row.body.subject.clone()),
        fact("detail", row.body.detail.clone()),
        fact("hash", row.hash.clone()),
    ];
    Page::new(format!("Audit line {}", row.seq), lines)
}

fn incidents_naming(state: &State, address: IpAddr) -> impl Iterator<Item = &Incident> {
    state.mirror.incidents.values().rev().filter(move |row| row.addresses.contains(&address))
}

fn actions_naming(state: &State, address: IpAddr) -> impl Iterator<Item = &Action> {
    state.mirror.actions.values().rev().filter(move |row| row.target.addresses().contains(&address))
}

/// Whether an incident or an action names this address.
pub(super) fn names(state: &State, address: IpAddr) -> bool {
    incidents_naming(state, address).next().is_some() || actions_naming(state, address).next().is_some()
}

/// All that names an address: incidents and actions first, then where its connections and events are.
pub(super) fn address(state: &mut State, address: IpAddr) {
    let (mut lines, mut links) = (Vec::new(), Vec::new());
    for row in incidents_naming(state, address) {
        let standing = format!("{:?}", row.state).to_lowercase();
        let what = format!("{}, {standing}: {}", row.severity, row.sentence);
        lines.push(TonedLine::labelled(format!("{:<6}", row.id), Tone::Plain, what));
        links.push(super::way::Goto::Incident(row.id));
    }
    for row in actions_naming(state, address) {
        let what = format!("{}: {} {}", row.standing(), row.kind.verb(), row.target);
        lines.push(TonedLine::labelled(format!("{:<6}", row.id), Tone::Plain, what));
        links.push(super::way::Goto::Action(row.id));
    }
    if state.mirror.sockets.values().any(|row| !row.listening && row.net.dst == Some(address)) {
        links.push(super::way::Goto::Connections(address.to_string()));
    }
    links.push(super::way::Goto::Events(address.to_string()));
    // A digit goes to each of them: the newest, and always to connections and events.
    let surplus = links.len().saturating_sub(9);
    let from = links.len().saturating_sub(2 + surplus);
    links.drain(from..from + surplus);
    state.dialog = Some(Dialog::Page(Page { links, ..Page::new(format!("What names {address}"), lines) }));
}

/// What was recorded of a path or an address, newest last.
pub(super) fn events(state: &State, events: &[Event]) -> Page {
    let mut lines: Vec<TonedLine> = events.iter().map(|row| event(state, row)).collect();
    if lines.is_empty() {
        lines.push(TonedLine::new(Tone::Muted, "no recorded event names it"));
    }
    let mut processes = events.iter().rev().filter_map(|row| row.process.as_ref()).map(|process| process.key);
    let alive = processes.find(|key| state.mirror.processes.contains_key(key)).map(super::way::Goto::Process);
    Page { links: alive.into_iter().collect(), ..Page::new(crate::view::format::plural(events.len(), "recorded event"), lines) }
}

fn event(state: &State, row: &Event) -> TonedLine {
    let who = row.process.as_ref().map(|process| format!("{} ({})", process.name(), process.pid)).unwrap_or_default();
    let what = if let EventKind::FileChange { file } | EventKind::FileOpen { file } | EventKind::PersistenceChange { file } = &row.kind {
        format!("{} {}", file.change.verb(), file.path)
    } else {
        row.process.as_ref().map(|process| process.command()).unwrap_or_default()
    };
    TonedLine::labelled(
        format!("{} {:<16} ", crate::view::format::clock(state, row.at), row.kind.name()),
        Tone::Plain,
        format!("{who} {what}"),
    )
}
