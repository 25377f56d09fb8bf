//! Cases that wait for the court. The same incident waits once, as it is by now, however often it changes, so a flood of
//! signals makes the queue no longer than the list of incidents, and keeps no other incident waiting for more than one turn of each.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::notify::Notify;
use bartizan_model::{Incident, IncidentId, Proof, Unpoisoned as _};

/// An incident, and what stable detectors alone prove of it.
#[derive(Debug, Clone)]
pub(crate) struct PendingCase {
    pub(crate) incident: Incident,
    pub(crate) proof: Proof,
}

/// The waiting list.
#[derive(Debug)]
pub(super) struct CaseQueue {
    waiting: Mutex<Waiting>,
    notify: Arc<Notify>,
}

/// Each with its turn; one that changes keeps its own.
#[derive(Debug, Default)]
struct Waiting {
    cases: BTreeMap<IncidentId, (u64, PendingCase)>,
    turn: u64,
}

impl Waiting {
    fn insert(&mut self, case: PendingCase) {
        self.turn += 1;
        let turn = self.cases.get(&case.incident.id).map_or(self.turn, |(turn, _)| *turn);
        self.cases.insert(case.incident.id, (turn, case));
    }
}

impl CaseQueue {
    /// Empty; whatever comes wakes it.
    pub(super) fn new(notify: Arc<Notify>) -> Self {
        Self { waiting: Mutex::default(), notify }
    }

    /// Puts a case on the list and wakes the court; `merged` went into it.
    pub(super) fn add(&self, case: PendingCase, merged: &[IncidentId]) {
        let mut waiting = self.waiting.lock().unpoisoned();
        merged.iter().for_each(|id| drop(waiting.cases.remove(id)));
        waiting.insert(case);
        drop(waiting);
        self.notify.wake();
    }

    /// Puts a case back that was taken and could not be dealt with; what came of the same incident meanwhile is newer.
    pub(super) fn put_back(&self, case: PendingCase) {
        let mut waiting = self.waiting.lock().unpoisoned();
        if !waiting.cases.contains_key(&case.incident.id) {
            waiting.insert(case);
        }
        drop(waiting);
        self.notify.wake();
    }

    /// Brings a case up to date, if it waits.
    pub(super) fn renew(&self, case: PendingCase) {
        if let Some(waiting) = self.waiting.lock().unpoisoned().cases.get_mut(&case.incident.id) {
            waiting.1 = case;
        }
    }

    /// Takes the case that waits longest.
    pub(super) fn take(&self) -> Option<PendingCase> {
        let mut waiting = self.waiting.lock().unpoisoned();
        let id = waiting.cases.iter().min_by_key(|(_, (turn, _))| *turn).map(|(id, _)| *id)?;
        waiting.cases.remove(&id).map(|(_, case)| case)
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.lock().unpoisoned().cases.len()
    }
}
