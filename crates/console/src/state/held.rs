//! What of an incident is held and what runs on: a screen that says "contained" of a part would be believed of the whole.

use super::{State, rows};
use bartizan_model::{Action, ActionKind, ActionPlan, ActionState, Incident, IncidentId, IncidentState, ProcessKey, Target};
use bartizan_protocol::ProcessRow;

/// Processes of an incident that nobody has closed, that run and that no action holds, the one that did it first.
pub(crate) fn loose(state: &State, id: IncidentId) -> Vec<&ProcessRow> {
    let goes_on = |row: &&Incident| matches!(row.state, IncidentState::Open | IncidentState::Contained);
    let Some(incident) = state.mirror.incidents.get(&id).filter(goes_on) else { return Vec::new() };
    let active: Vec<&Action> = state.mirror.actions.values().filter(|row| row.state.is_active()).collect();
    let is_held = |row: &ProcessRow| {
        let cut_off = |target: &Target| match target {
            Target::Host => true,
            Target::Container { id, .. } => row.container.as_ref() == Some(id),
            _ => false,
        };
        row.held_by.is_some() || active.iter().any(|action| cut_off(&action.target))
    };
    let of = |row: &&ProcessRow| row.incident == Some(id) || incident.subject == Some(row.key);
    let mut rows: Vec<_> = state.mirror.processes.values().filter(of).filter(|row| !is_held(row)).collect();
    rows.sort_by_key(|row| (incident.subject != Some(row.key), row.key.start, row.key.pid));
    rows
}

/// The action that holds a part of an incident while other processes of it run. One that drifted holds nothing that can be relied on.
pub(crate) fn in_part(state: &State, id: IncidentId) -> Option<&Action> {
    let holder =
        rows::actions_of(state, id).into_iter().find(|row| row.kind == ActionKind::FreezeTree && row.state == ActionState::Live)?;
    (!loose(state, id).is_empty()).then_some(holder)
}

/// How an incident stands, as people read it: what is held in part is not contained.
pub(crate) fn standing(state: &State, incident: &Incident) -> &'static str {
    match incident.state {
        IncidentState::Open | IncidentState::Contained if in_part(state, incident.id).is_some() => "held in part",
        IncidentState::Contained if !loose(state, incident.id).is_empty() => "open",
        IncidentState::Open => "open",
        IncidentState::Contained => "contained",
        IncidentState::Acknowledged => "acknowledged",
        IncidentState::Closed => "closed",
    }
}

/// What runs on of the incident when this tree alone is held: "bash 2301 and 2 more of I7"; nothing when it is all of it.
pub(crate) fn left_by(state: &State, target: &Target) -> Option<String> {
    let root = target.root()?;
    let id = incident_of(state, root)?;
    let below: Vec<ProcessKey> = rows::below(state, root).into_iter().map(|row| row.key).collect();
    let left: Vec<&ProcessRow> = loose(state, id).into_iter().filter(|row| row.key != root && !below.contains(&row.key)).collect();
    let first = left.first()?;
    let more = if left.len() > 1 { format!(" and {} more", left.len() - 1) } else { String::new() };
    Some(format!("{} {}{more} of {id}", crate::view::process_name(first), first.key.pid))
}

/// The same for what is proposed.
pub(crate) fn left_by_plan(state: &State, plan: &ActionPlan) -> Option<String> {
    left_by(state, plan.target())
}

fn incident_of(state: &State, root: ProcessKey) -> Option<IncidentId> {
    let marked = state.mirror.processes.get(&root).and_then(|row| row.incident);
    marked.or_else(|| state.mirror.incidents.values().find(|row| row.subject == Some(root)).map(|row| row.id))
}
