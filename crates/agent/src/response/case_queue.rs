//! Cases that wait for the court. The same incident waits once, as it is by now, however often it changes, so a flood of
//! signals makes the queue no longer than the list of incidents.

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
    waiting: Mutex<BTreeMap<IncidentId, PendingCase>>,
    notify: Arc<Notify>,
}

impl CaseQueue {
    /// Empty; whatever comes wakes it.
    pub(super) fn new(notify: Arc<Notify>) -> Self {
        Self { waiting: Mutex::default(), notify }
    }

    /// Puts a case on the list and wakes the court; `merged` went into it.
    pub(super) fn add(&self, case: PendingCase, merged: &[IncidentId]) {
        let mut waiting = self.waiting.lock().unpoisoned();
        merged.iter().for_each(|id| drop(waiting.remove(id)));
        waiting.insert(case.incident.id, case);
        drop(waiting);
        self.notify.wake();
    }

    /// Puts a case back that was taken and could not be dealt with; what came of the same incident meanwhile is newer.
    pub(super) fn put_back(&self, case: PendingCase) {
        self.waiting.lock().unpoisoned().entry(case.incident.id).or_insert(case);
        self.notify.wake();
    }

    /// Brings a case up to date, if it waits.
    pub(super) fn renew(&self, case: PendingCase) {
        if let Some(waiting) = self.waiting.lock().unpoisoned().get_mut(&case.incident.id) {
            *waiting = case;
        }
    }

    /// Takes the oldest incident's case.
    pub(super) fn take(&self) -> Option<PendingCase> {
        self.waiting.lock().unpoisoned().pop_first().map(|(_, case)| case)
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.lock().unpoisoned().len()
    }
}
