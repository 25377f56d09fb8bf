//! Incidents that wait for the court. The same incident waits once, however often it changes, so a flood of
//! signals makes the queue no longer than the list of incidents.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use super::notify::Notify;
use bartizan_model::{IncidentId, Unpoisoned as _};

/// The waiting list.
#[derive(Debug, Default)]
pub(super) struct CaseQueue {
    waiting: Mutex<BTreeSet<IncidentId>>,
    notify: Notify,
}

impl CaseQueue {
    /// Puts an incident on the list.
    pub(super) fn add(&self, id: IncidentId) {
        self.waiting.lock().unpoisoned().insert(id);
        self.notify.wake();
    }

    /// Wakes whoever waits, though nothing came.
    pub(super) fn nudge(&self) {
        self.notify.wake();
    }

    /// Takes the whole list; waits up to `patience` for the first entry.
    pub(super) fn take(&self, patience: Duration) -> BTreeSet<IncidentId> {
        let taken = self.now();
        if !taken.is_empty() {
            return taken;
        }
        self.notify.sleep(patience);
        self.now()
    }

    fn now(&self) -> BTreeSet<IncidentId> {
        std::mem::take(&mut *self.waiting.lock().unpoisoned())
    }
}
