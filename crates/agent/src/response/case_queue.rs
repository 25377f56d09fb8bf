//! Incidents that wait for the court. The same incident waits once, however often it changes, so a flood of
//! signals makes the queue no longer than the list of incidents.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use crate::notify::Notify;
use bartizan_model::{IncidentId, Unpoisoned as _};

/// The waiting list.
#[derive(Debug)]
pub(crate) struct CaseQueue {
    waiting: Mutex<BTreeSet<IncidentId>>,
    notify: Arc<Notify>,
}

impl CaseQueue {
    /// Empty; whatever comes rings this notify.
    pub(super) fn new(notify: Arc<Notify>) -> Self {
        Self { waiting: Mutex::default(), notify }
    }

    /// Puts an incident on the list and wakes the court.
    pub(crate) fn add(&self, id: IncidentId) {
        self.waiting.lock().unpoisoned().insert(id);
        self.notify.wake();
    }

    /// Takes the whole list.
    pub(super) fn take(&self) -> BTreeSet<IncidentId> {
        std::mem::take(&mut *self.waiting.lock().unpoisoned())
    }
}
