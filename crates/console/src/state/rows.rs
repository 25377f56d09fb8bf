//! Which rows each view has, in which order: what the cursor moves over and what is painted.

use std::cmp::Reverse;

use super::{RowKey, State, holds};
use crate::widgets::{Branch, branches};
use bartizan_config::View;
use bartizan_model::{
    Action, Alert, AlertState, Approval, ApprovalState, AuditEntry, Incident, IncidentId, IncidentState, ProcessKey, Signal,
};
use bartizan_protocol::{ProcessRow, SocketRow};

/// The rows of the view on screen.
pub(crate) fn keys(state: &State) -> Vec<RowKey> {
    match state.view {
        View::Overview => incidents(state).into_iter().map(|row| RowKey::Incident(row.id)).collect(),
        View::Processes => processes(state).into_iter().map(|(branch, _)| RowKey::Process(branch.key)).collect(),
        View::Network => sockets(state).into_iter().map(|row| RowKey::Socket(row.id)).collect(),
        View::Timeline => signals(state).into_iter().map(|row| RowKey::Signal(row.id)).collect(),
        View::Alerts => alerts(state).into_iter().map(|row| RowKey::Alert(row.id)).collect(),
        View::Approvals => approvals(state).into_iter().map(|row| RowKey::Approval(row.id)).collect(),
        View::Actions => actions(state).into_iter().map(|row| RowKey::Action(row.id)).collect(),
        View::Health => (0..crate::view::health::lines(state).len() as u64).map(RowKey::Line).collect(),
        View::Audit => audit(state).into_iter().map(|row| RowKey::Line(row.seq)).collect(),
    }
}

/// Incidents, worst first: those that nobody has dealt with, then by severity, confidence, and how long they wait.
pub(crate) fn incidents(state: &State) -> Vec<&Incident> {
    let filter = &state.list().filter;
    let mut rows: Vec<_> =
        state.mirror.incidents.values().filter(|row| holds(&format!("{} {} {}", row.id, row.severity, row.sentence), filter)).collect();
    rows.sort_by_key(|row| urgency(row));
    rows
}

/// What sorts incidents: the lowest is the worst.
fn urgency(row: &Incident) -> impl Ord + use<> {
    let dealt = match row.state {
        IncidentState::Open | IncidentState::Contained => 0,
        IncidentState::Acknowledged => 1,
        IncidentState::Closed => 2,
    };
    // Confidence as it is shown: a difference that nobody sees orders nothing.
    #[allow(clippy::cast_possible_truncation)] // 0 to 100
    let confidence = (row.confidence.get() * 100.0 + 1e-9) as i64;
    (dealt, Reverse(row.severity), Reverse(confidence), row.opened, row.id)
}

/// The worst incident of all.
pub(crate) fn worst(state: &State) -> Option<IncidentId> {
    state.mirror.incidents.values().min_by_key(|row| urgency(row)).map(|row| row.id)
}

/// The worst incident, when it is worse than the one under the cursor of the overview.
pub(crate) fn worse(state: &State) -> Option<&Incident> {
    let first = *incidents(state).first()?;
    let Some(RowKey::Incident(here)) = state.chosen() else { return None };
    let here = state.mirror.incidents.get(&here)?;
    let open = matches!(first.state, IncidentState::Open | IncidentState::Contained);
    (open && first.id != here.id && (first.severity > here.severity || here.state == IncidentState::Closed)).then_some(first)
}

/// Open questions about an incident, in the order in which they were asked.
pub(crate) fn questions_of(state: &State, id: IncidentId) -> Vec<&Approval> {
    state.mirror.approvals.values().filter(|row| row.incident == id && row.state == ApprovalState::Pending).collect()
}

/// Actions for an incident that still have an effect, newest first.
pub(crate) fn actions_of(state: &State, id: IncidentId) -> Vec<&Action> {
    state.mirror.actions.values().rev().filter(|row| row.incident == Some(id) && row.state.is_active()).collect()
}

/// Alerts of an incident that nobody has seen.
pub(crate) fn unseen_of(state: &State, id: IncidentId) -> Vec<&Alert> {
    state.mirror.alerts.values().filter(|row| row.incident == id && row.state == AlertState::New).collect()
}

/// The question that a yes or no answers here: the one under the cursor, else the first one about the incident here.
pub(crate) fn question_here(state: &State) -> Option<&Approval> {
    match state.chosen()? {
        RowKey::Approval(id) => state.mirror.approvals.get(&id),
        _ => questions_of(state, incident_here(state)?).first().copied(),
    }
}

/// The action that an undo is about here: the one under the cursor, else the newest for the incident here that can be undone.
pub(crate) fn action_here(state: &State) -> Option<&Action> {
    match state.chosen()? {
        RowKey::Action(id) => state.mirror.actions.get(&id),
        _ => actions_of(state, incident_here(state)?).into_iter().find(|row| row.kind.is_reversible()),
    }
}

/// From the first ancestor that is known down to the process itself.
pub(crate) fn lineage(state: &State, key: ProcessKey) -> Vec<&ProcessRow> {
    let mut line = Vec::new();
    let mut next = Some(key);
    // An attacker can build a chain of any length; nobody reads more of it.
    while let Some(row) = next.filter(|_| line.len() < LINEAGE).and_then(|key| state.mirror.processes.get(&key)) {
        line.push(row);
        next = row.parent.filter(|parent| *parent != row.key);
    }
    line.reverse();
    line
}

/// Most ancestors of one process that are shown.
const LINEAGE: usize = 64;

/// The living processes below one, those nearest to it first.
pub(crate) fn below(state: &State, key: ProcessKey) -> Vec<&ProcessRow> {
    let mut children: std::collections::HashMap<ProcessKey, Vec<&ProcessRow>> = std::collections::HashMap::new();
    for row in state.mirror.processes.values() {
        if let Some(parent) = row.parent.filter(|parent| *parent != row.key) {
            children.entry(parent).or_default().push(row);
        }
    }
    let (mut found, mut level) = (Vec::new(), vec![key]);
    while !level.is_empty() {
        // Taken out: a loop of parents ends.
        let mut next: Vec<&ProcessRow> = level.iter().filter_map(|key| children.remove(key)).flatten().collect();
        next.sort_by_key(|row| (row.key.start, row.key.pid));
        level = next.iter().map(|row| row.key).collect();
        found.extend(next);
    }
    found
}

/// Processes as a tree; with a filter, those that match and what stands above them.
pub(crate) fn processes(state: &State) -> Vec<(Branch<ProcessKey>, &ProcessRow)> {
    let filter = &state.list().filter;
    let mut rows: Vec<&ProcessRow> = state.mirror.processes.values().collect();
    rows.sort_by_key(|row| (row.key.start, row.key.pid));
    let nothing = std::collections::HashSet::new();
    let folded = if filter.is_empty() { &state.folded } else { &nothing };
    if !filter.is_empty() {
        let kept = lines_to(state, rows.iter().filter(|row| holds(&process_text(row), filter)).map(|row| row.key));
        rows.retain(|row| kept.contains(&row.key));
    }
    let items: Vec<_> = rows.iter().map(|row| (row.key, row.parent)).collect();
    branches(&items, folded).into_iter().filter_map(|branch| state.mirror.processes.get(&branch.key).map(|row| (branch, row))).collect()
}

fn lines_to(state: &State, found: impl Iterator<Item = ProcessKey>) -> std::collections::HashSet<ProcessKey> {
    let mut kept = std::collections::HashSet::new();
    for key in found {
        let mut next = Some(key);
        while let Some(key) = next.filter(|key| !kept.contains(key)) {
            kept.insert(key);
            next = state.mirror.processes.get(&key).and_then(|row| row.parent);
        }
    }
    kept
}

/// What a process is looked for by.
pub(crate) fn process_text(row: &ProcessRow) -> String {
    let words = row.argv.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let user = row.user.as_ref().map(ToString::to_string).unwrap_or_default();
    let incident = row.incident.map(|id| id.to_string()).unwrap_or_default();
    format!(
        "{} {} {user} {words} {} {} {incident}",
        row.key.pid,
        row.exe,
        row.unit.as_deref().unwrap_or_default(),
        row.container.as_deref().unwrap_or_default()
    )
}

/// Connections, newest first, or listeners by port.
pub(crate) fn sockets(state: &State) -> Vec<&SocketRow> {
    let filter = &state.list().filter;
    let mut rows: Vec<_> =
        state.mirror.sockets.values().filter(|row| row.listening == state.listeners && holds(&socket_text(row), filter)).collect();
    if state.listeners {
        rows.sort_by_key(|row| (row.net.sport, row.id));
    } else {
        rows.sort_by_key(|row| (row.incident.is_none(), !row.open, Reverse(row.id)));
    }
    rows
}

fn socket_text(row: &SocketRow) -> String {
    let far = row.net.dst.map(|dst| format!("{dst}:{}", row.net.dport.unwrap_or(0))).unwrap_or_default();
    let pid = row.process.map(|key| key.pid.to_string()).unwrap_or_default();
    format!("{}:{} {far} {} {pid} {}", row.net.src, row.net.sport, row.exe, row.incident.map(|id| id.to_string()).unwrap_or_default())
}

/// Actions that wait for a person's yes, the most urgent first.
pub(crate) fn awaiting(state: &State) -> Vec<&Action> {
    let mut rows: Vec<_> = state.mirror.actions.values().filter(|row| row.awaits_confirmation().is_some()).collect();
    rows.sort_by_key(|row| (row.ends_at(), row.id));
    rows
}

/// Signals of the incident on the timeline, oldest first.
pub(crate) fn signals(state: &State) -> Vec<&Signal> {
    let filter = &state.list().filter;
    let Some(incident) = state.timeline_of().and_then(|id| state.mirror.incidents.get(&id)) else { return Vec::new() };
    let named: std::collections::HashSet<_> = incident.signals.iter().collect();
    let mut rows: Vec<_> = state
        .mirror
        .signals
        .iter()
        .filter(|row| named.contains(&row.id) && holds(&format!("{} {} {}", row.detector, row.stage.noun(), row.sentence), filter))
        .collect();
    rows.sort_by_key(|row| (row.at, row.id));
    rows
}

/// Alerts: unseen ones first, then the worst, then the newest.
pub(crate) fn alerts(state: &State) -> Vec<&Alert> {
    let filter = &state.list().filter;
    let mut rows: Vec<_> = state
        .mirror
        .alerts
        .values()
        .filter(|row| holds(&format!("{} {} {} {}", row.id, row.incident, row.severity, row.sentence), filter))
        .collect();
    rows.sort_by_key(|row| (row.state != AlertState::New, Reverse(row.severity), Reverse(row.id)));
    rows
}

/// Questions: open ones first, the one that lapses first on top; answered ones newest first.
pub(crate) fn approvals(state: &State) -> Vec<&Approval> {
    let filter = &state.list().filter;
    let mut rows: Vec<_> = state
        .mirror
        .approvals
        .values()
        .filter(|row| holds(&format!("{} {} {} {}", row.id, row.incident, row.action, row.reason), filter))
        .collect();
    rows.sort_by_key(|row| {
        let open = row.state == ApprovalState::Pending;
        (!open, if open { row.id.0 } else { u64::MAX - row.id.0 })
    });
    rows
}

/// Actions: those that may still have an effect first, then the newest.
pub(crate) fn actions(state: &State) -> Vec<&Action> {
    let filter = &state.list().filter;
    let mut rows: Vec<_> = state
        .mirror
        .actions
        .values()
        .filter(|row| holds(&format!("{} {} {} {} {}", row.id, row.kind, row.target, row.standing(), row.by), filter))
        .collect();
    rows.sort_by_key(|row| (!row.state.is_active(), Reverse(row.id)));
    rows
}

/// Lines of the audit log, oldest first.
pub(crate) fn audit(state: &State) -> Vec<&AuditEntry> {
    let filter = &state.list().filter;
    state
        .audit
        .iter()
        .filter(|row| holds(&format!("{} {} {} {}", row.body.actor, row.body.what, row.body.subject, row.body.detail), filter))
        .collect()
}

/// The incident behind the row under the cursor, whatever the view.
pub(crate) fn incident_here(state: &State) -> Option<IncidentId> {
    match state.chosen()? {
        RowKey::Incident(id) => Some(id),
        RowKey::Process(key) => state.mirror.processes.get(&key)?.incident,
        RowKey::Socket(id) => state.mirror.sockets.get(&id)?.incident,
        RowKey::Signal(_) => state.timeline_of(),
        RowKey::Alert(id) => state.mirror.alerts.get(&id).map(|row| row.incident),
        RowKey::Approval(id) => state.mirror.approvals.get(&id).map(|row| row.incident),
        RowKey::Action(id) => state.mirror.actions.get(&id)?.incident,
        RowKey::Line(_) => None,
    }
}

/// Newest process, for following.
pub(crate) fn newest(state: &State) -> Option<ProcessKey> {
    state.mirror.processes.values().max_by_key(|row| (row.since, row.key.start, row.key.pid)).map(|row| row.key)
}

/// Numbers of the strip: unseen alerts and open questions.
pub(crate) fn waiting(state: &State) -> (usize, usize) {
    let alerts = state.mirror.alerts.values().filter(|row| row.state == AlertState::New).count();
    let questions = state.mirror.approvals.values().filter(|row| row.state == ApprovalState::Pending).count();
    (alerts, questions)
}
