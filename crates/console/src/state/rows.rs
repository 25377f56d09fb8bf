//! Which rows each view has, in which order: what the cursor moves over and what is painted.

use std::cmp::Reverse;

use super::query::Query;
use super::{Item, RowKey, State, facts, sheet_rows};
use crate::widgets::{Branch, branches};
use bartizan_config::View;
use bartizan_model::{
    Action, ActionState, Alert, AlertState, Approval, ApprovalState, AuditEntry, Incident, IncidentId, IncidentState, ProcessKey, Signal,
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
        View::Files | View::Logs | View::Baseline | View::Findings | View::Exceptions => sheet_rows::keys(state, state.view),
    }
}

/// Incidents, worst first: those that nobody has dealt with, then by severity, confidence, and how long they wait.
pub(crate) fn incidents(state: &State) -> Vec<&Incident> {
    folded(state).into_iter().map(|(row, _)| row).collect()
}

/// The same, with how many alike are folded into each.
pub(crate) fn folded(state: &State) -> Vec<(&Incident, usize)> {
    let mut rows: Vec<_> = state.mirror.incidents.values().collect();
    rows.sort_by_key(|row| urgency(row));
    facts::arrange(state.list(), &mut rows, |row| facts::incident(row));
    super::alike::fold(state, rows)
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
    let first = state.mirror.incidents.get(&worst(state)?)?;
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

/// Actions for an incident, whatever became of them: those that still have an effect first, then the newest.
pub(crate) fn done_for(state: &State, id: IncidentId) -> Vec<&Action> {
    let of = |row: &&Action| row.incident == Some(id) && row.state != ActionState::Planned;
    let mut rows: Vec<_> = state.mirror.actions.values().rev().filter(of).collect();
    rows.sort_by_key(|row| !row.state.is_active());
    rows
}

/// Whether an answer to this row still does something: an open question, an alert that nobody has seen, an action to undo.
pub(crate) fn is_answerable(state: &State, key: RowKey) -> bool {
    match key {
        RowKey::Approval(id) => state.mirror.approvals.get(&id).is_some_and(|row| row.state == ApprovalState::Pending),
        RowKey::Alert(id) => state.mirror.alerts.get(&id).is_some_and(|row| row.state == AlertState::New),
        RowKey::Action(id) => {
            let live = |row: &Action| row.state.is_active() && row.kind.is_reversible();
            state.mirror.actions.get(&id).is_some_and(live)
        }
        RowKey::Item(Item::Habit(id)) => state.sheets.habit(id).is_some(),
        RowKey::Item(Item::Log(_) | Item::Attacker(_) | Item::Exception(_) | Item::File(_) | Item::Finding(_)) => false,
        RowKey::Incident(_) | RowKey::Process(_) | RowKey::Socket(_) | RowKey::Signal(_) | RowKey::Line(_) => false,
    }
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

/// Processes as a tree; with a filter, those that fit and what stands above them; sorted, as a list.
pub(crate) fn processes(state: &State) -> Vec<(Branch<ProcessKey>, &ProcessRow)> {
    let list = state.list();
    let mut rows: Vec<&ProcessRow> = state.mirror.processes.values().collect();
    rows.sort_by_key(|row| (row.key.start, row.key.pid));
    if list.sort.is_some() {
        facts::arrange(list, &mut rows, |row| facts::process(state, row));
        return rows.into_iter().map(|row| (Branch { key: row.key, more: Vec::new(), hidden: 0 }, row)).collect();
    }
    let nothing = std::collections::HashSet::new();
    let folded = if list.filter.is_empty() { &state.folded } else { &nothing };
    if !list.filter.is_empty() {
        let query = Query::new(&list.filter);
        let kept = lines_to(state, rows.iter().filter(|row| query.fits(&facts::process(state, row))).map(|row| row.key));
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

/// Connections, newest first, or listeners by port.
pub(crate) fn sockets(state: &State) -> Vec<&SocketRow> {
    let mut rows: Vec<_> = state.mirror.sockets.values().filter(|row| row.listening == state.listeners).collect();
    if state.listeners {
        rows.sort_by_key(|row| (row.net.sport, row.id));
    } else {
        rows.sort_by_key(|row| (row.incident.is_none(), !row.open, Reverse(row.id)));
    }
    facts::arrange(state.list(), &mut rows, |row| facts::socket(state, row));
    rows
}

/// Actions that wait for a person's yes, the most urgent first.
pub(crate) fn awaiting(state: &State) -> Vec<&Action> {
    let mut rows: Vec<_> = state.mirror.actions.values().filter(|row| row.awaits_confirmation().is_some()).collect();
    rows.sort_by_key(|row| (row.ends_at(), row.id));
    rows
}

/// Signals of the incident on the timeline, oldest first.
pub(crate) fn signals(state: &State) -> Vec<&Signal> {
    let Some(incident) = state.timeline_of().and_then(|id| state.mirror.incidents.get(&id)) else { return Vec::new() };
    let named: std::collections::HashSet<_> = incident.signals.iter().collect();
    let mut rows: Vec<_> = state.mirror.signals.iter().filter(|row| named.contains(&row.id)).collect();
    rows.sort_by_key(|row| (row.at, row.id));
    facts::arrange(state.list(), &mut rows, |row| facts::signal(row));
    rows
}

/// Alerts: unseen ones first, then the worst, then the newest.
pub(crate) fn alerts(state: &State) -> Vec<&Alert> {
    let mut rows: Vec<_> = state.mirror.alerts.values().collect();
    rows.sort_by_key(|row| (row.state != AlertState::New, Reverse(row.severity), Reverse(row.id)));
    facts::arrange(state.list(), &mut rows, |row| facts::alert(state, row));
    rows
}

/// Questions: open ones first, the one that lapses first on top; answered ones newest first.
pub(crate) fn approvals(state: &State) -> Vec<&Approval> {
    let mut rows: Vec<_> = state.mirror.approvals.values().collect();
    rows.sort_by_key(|row| {
        let open = row.state == ApprovalState::Pending;
        (!open, if open { row.id.0 } else { u64::MAX - row.id.0 })
    });
    facts::arrange(state.list(), &mut rows, |row| facts::approval(state, row));
    rows
}

/// Actions: those that may still have an effect first, then the newest.
pub(crate) fn actions(state: &State) -> Vec<&Action> {
    let mut rows: Vec<_> = state.mirror.actions.values().collect();
    rows.sort_by_key(|row| (!row.state.is_active(), Reverse(row.id)));
    facts::arrange(state.list(), &mut rows, |row| facts::action(state, row));
    rows
}

/// Lines of the audit log, oldest first.
pub(crate) fn audit(state: &State) -> Vec<&AuditEntry> {
    let mut rows: Vec<_> = state.audit.iter().collect();
    facts::arrange(state.list(), &mut rows, |row| facts::line(row));
    rows
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
        RowKey::Item(Item::File(id)) => sheet_rows::incident_of(state, state.sheets.file(id)?),
        RowKey::Line(_) | RowKey::Item(_) => None,
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
