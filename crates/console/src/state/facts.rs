//! What each row is filtered and sorted by: its values by name.

use super::query::{Facts, Query, compare};
use super::{List, State};
use bartizan_config::View;
use bartizan_model::{Action, Alert, AlertState, Approval, AuditEntry, Incident, Signal};
use bartizan_protocol::{ProcessRow, SocketRow};

/// By what the rows of a view can be sorted, in the order in which they are offered; `second`: those of its other list.
pub(crate) fn names(view: View, second: bool) -> &'static [&'static str] {
    match view {
        View::Overview => &["severity", "conf", "state", "opened", "updated", "id"],
        View::Processes => &["pid", "user", "age", "unit", "container", "exe", "incident"],
        View::Network => &["dport", "dst", "sport", "proto", "age", "times", "exe", "pid", "state", "incident"],
        View::Timeline => &["at", "stage", "severity", "conf", "detector"],
        View::Alerts => &["severity", "state", "age", "count", "incident", "id"],
        View::Approvals => &["left", "state", "incident", "conf", "kind", "id"],
        View::Actions => &["left", "state", "kind", "by", "incident", "id"],
        View::Health => &[],
        View::Audit => &["line", "who", "what", "about"],
        View::Files => &["at", "file", "who", "user", "pid", "incident", "danger"],
        View::Findings => &["severity", "state", "source", "rule", "where", "age"],
        View::Logs if second => &["attempts", "accounts", "strikes", "age", "address", "held"],
        View::Logs => &["state", "log", "lines", "unparsed", "records", "lag", "age", "format"],
        View::Baseline => &["kind", "times", "days", "age", "user", "exe", "why", "id"],
        View::Exceptions => &["left", "state", "by", "id"],
    }
}

/// All names that a filter may ask for in a view.
pub(crate) fn columns(view: View, second: bool) -> Vec<&'static str> {
    let more: &[&str] = match view {
        View::Overview => &["incident", "what"],
        View::Processes => &["uid", "args", "held"],
        View::Network => &["src", "user"],
        View::Timeline => &["what"],
        View::Alerts => &["alert", "what"],
        View::Approvals => &["question", "what", "why"],
        View::Actions => &["action", "standing", "what"],
        View::Health => &[],
        View::Audit => &["detail"],
        View::Files => &["age", "what"],
        View::Findings => &["finding", "what"],
        View::Logs => &["what"],
        View::Baseline => &["habit", "what"],
        View::Exceptions => &["exception", "what", "why"],
    };
    names(view, second).iter().chain(more).copied().collect()
}

/// A name of which a filter asks for a value and that the rows of this view do not have: its part is then taken as text.
pub(crate) fn unknown((view, second): (View, bool), filter: &str) -> Option<String> {
    let columns = columns(view, second);
    let name_of = |word: &str| {
        let (name, value) = word.trim_start_matches('!').split_once([':', '<', '>'])?;
        // Neither an address of IPv6 nor a link.
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic());
        (is_name && !value.contains(':') && !value.starts_with("//")).then(|| name.to_lowercase())
    };
    let words = filter.split(' ').filter(|word| !word.starts_with('~') && !word.starts_with("!~") && !word.starts_with('"'));
    words.filter_map(name_of).find(|name| !columns.contains(&name.as_str()) && name != "weight")
}

/// The rows that the filter wants, in the order that the person asked for; without one, as they come.
pub(crate) fn arrange<T>(list: &List, rows: &mut Vec<T>, facts: impl Fn(&T) -> Facts) {
    if !list.filter.is_empty() {
        let query = Query::new(&list.filter);
        rows.retain(|row| query.fits(&facts(row)));
    }
    let Some((name, backwards)) = list.sort else { return };
    let name = if name == "severity" { "weight" } else { name };
    let value = |row: &T| facts(row).into_iter().find(|(known, _)| *known == name).map(|(_, value)| value).unwrap_or_default();
    let mut keyed: Vec<(String, T)> = std::mem::take(rows).into_iter().map(|row| (value(&row), row)).collect();
    // Stable: what is equal stays in the view's own order.
    keyed.sort_by(|(one, _), (other, _)| if backwards { compare(other, one) } else { compare(one, other) });
    rows.extend(keyed.into_iter().map(|(_, row)| row));
}

fn age(state: &State, at: bartizan_model::Timestamp) -> String {
    (state.now - at).num_seconds().max(0).to_string()
}

fn text(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

pub(crate) fn incident(row: &Incident) -> Facts {
    vec![
        ("id", row.id.0.to_string()),
        ("incident", row.id.to_string()),
        ("severity", row.severity.to_string()),
        ("weight", rank(row.severity)),
        ("conf", row.confidence.to_string()),
        ("state", format!("{:?}", row.state).to_lowercase()),
        ("opened", row.opened.timestamp().to_string()),
        ("updated", row.updated.timestamp().to_string()),
        ("what", row.sentence.clone()),
    ]
}

/// 0 to 4, so that severities sort by weight.
fn rank(severity: bartizan_model::Severity) -> String {
    (severity as u8).to_string()
}

pub(crate) fn process(state: &State, row: &ProcessRow) -> Facts {
    let words = row.argv.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    vec![
        ("pid", row.key.pid.to_string()),
        ("user", text(row.user.as_ref())),
        ("uid", row.uid.to_string()),
        ("exe", row.exe.to_string()),
        ("args", words),
        ("unit", text(row.unit.as_ref())),
        ("container", text(row.container.as_ref())),
        ("incident", text(row.incident)),
        ("held", text(row.held_by)),
        ("age", age(state, row.since)),
    ]
}

pub(crate) fn socket(state: &State, row: &SocketRow) -> Facts {
    let user = row.process.and_then(|key| state.mirror.processes.get(&key)).and_then(|row| row.user.as_ref());
    vec![
        ("src", row.net.src.to_string()),
        ("sport", row.net.sport.to_string()),
        ("dst", text(row.net.dst)),
        ("dport", text(row.net.dport)),
        ("proto", format!("{:?}", row.net.proto).to_lowercase()),
        ("exe", row.exe.to_string()),
        ("pid", text(row.process.map(|key| key.pid))),
        ("user", text(user)),
        ("state", if row.open { "open" } else { "closed" }.to_owned()),
        ("times", row.count.to_string()),
        ("age", age(state, row.last)),
        ("incident", text(row.incident)),
    ]
}

pub(crate) fn signal(row: &Signal) -> Facts {
    vec![
        ("at", row.at.timestamp_millis().to_string()),
        ("stage", row.stage.noun().to_owned()),
        ("severity", row.severity.to_string()),
        ("weight", rank(row.severity)),
        ("conf", row.confidence.to_string()),
        ("detector", row.detector.clone()),
        ("what", row.sentence.clone()),
    ]
}

pub(crate) fn alert(state: &State, row: &Alert) -> Facts {
    vec![
        ("id", row.id.0.to_string()),
        ("alert", row.id.to_string()),
        ("incident", row.incident.to_string()),
        ("severity", row.severity.to_string()),
        ("weight", rank(row.severity)),
        ("state", if row.state == AlertState::New { "new" } else { "seen" }.to_owned()),
        ("age", age(state, row.updated)),
        ("count", row.count.to_string()),
        ("what", row.sentence.clone()),
    ]
}

pub(crate) fn approval(state: &State, row: &Approval) -> Facts {
    vec![
        ("id", row.id.0.to_string()),
        ("question", row.id.to_string()),
        ("incident", row.incident.to_string()),
        ("state", format!("{:?}", row.state).to_lowercase()),
        ("left", (row.expires_at - state.now).num_seconds().max(0).to_string()),
        ("conf", row.confidence.to_string()),
        ("kind", row.action.kind().to_string()),
        ("what", row.action.to_string()),
        ("why", row.reason.clone()),
    ]
}

pub(crate) fn action(state: &State, row: &Action) -> Facts {
    vec![
        ("id", row.id.0.to_string()),
        ("action", row.id.to_string()),
        ("kind", row.kind.to_string()),
        ("state", row.state.noun().to_owned()),
        ("standing", row.standing().to_owned()),
        ("by", row.by.to_string()),
        ("incident", text(row.incident)),
        ("left", (row.ends_at() - state.now).num_seconds().max(0).to_string()),
        ("what", format!("{} {}", row.kind.verb(), row.target)),
    ]
}

pub(crate) fn line(row: &AuditEntry) -> Facts {
    vec![
        ("line", row.seq.to_string()),
        ("who", row.body.actor.clone()),
        ("what", row.body.what.clone()),
        ("about", row.body.subject.clone()),
        ("detail", row.body.detail.clone()),
    ]
}
