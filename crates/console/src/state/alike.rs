//! Incidents of little weight that are alike, folded into one row: forty of them must not hide the one that matters.

use std::collections::{BTreeSet, HashMap};

use super::{RowKey, State, rows};
use bartizan_model::{Incident, IncidentState, Severity, SignalId};

/// What makes incidents alike: state, severity, and the detectors that reported them.
type Kind<'a> = (IncidentState, Severity, BTreeSet<&'a str>);

/// The rows in their order, each with how many more are folded into it. One that waits for an answer, and one that an action is
/// taken for, always has a row of its own; the one under the cursor stands for those like it.
pub(super) fn fold<'a>(state: &'a State, all: Vec<&'a Incident>) -> Vec<(&'a Incident, usize)> {
    let light = |row: &Incident| row.severity <= Severity::Low;
    let list = state.list();
    // Whoever filters or sorts wants to see each.
    if state.spread || !list.filter.is_empty() || list.sort.is_some() || all.iter().filter(|row| light(row)).count() < 2 {
        return all.into_iter().map(|row| (row, 0)).collect();
    }
    let detectors: HashMap<SignalId, &str> = state.mirror.signals.iter().map(|row| (row.id, row.detector.as_str())).collect();
    let mut first: HashMap<Kind<'a>, usize> = HashMap::new();
    let mut out: Vec<(&Incident, usize)> = Vec::new();
    for row in all {
        let by: BTreeSet<&str> = row.signals.iter().filter_map(|id| detectors.get(id).copied()).collect();
        let busy = || !rows::questions_of(state, row.id).is_empty() || !rows::actions_of(state, row.id).is_empty();
        if !light(row) || by.is_empty() || busy() {
            out.push((row, 0));
            continue;
        }
        let at = *first.entry((row.state, row.severity, by)).or_insert(out.len());
        match out.get_mut(at) {
            Some((shown, more)) => {
                *more += 1;
                if list.key == Some(RowKey::Incident(row.id)) {
                    *shown = row;
                }
            }
            None => out.push((row, 0)),
        }
    }
    out
}
