//! Incidents that wait for the court. The same incident waits once, however often it changes, so a flood of
//! signals makes the docket no longer than the list of incidents.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::model::IncidentId;

/// The waiting list.
#[derive(Debug, Default)]
pub(super) struct Docket {
    waiting: Mutex<BTreeSet<IncidentId>>,
    came: Condvar,
}

impl Docket {
    /// Puts an incident on the list.
    pub(super) fn add(&self, id: IncidentId) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        self.came.notify_one();
    }

    /// Takes the whole list; waits up to `patience` for the first entry.
    pub(super) fn take(&self, patience: Duration) -> BTreeSet<IncidentId> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.is_empty() {
            waiting = self.came.wait_timeout(waiting, patience).unwrap_or_else(PoisonError::into_inner).0;
        }
        std::mem::take(&mut *waiting)
    }
}
