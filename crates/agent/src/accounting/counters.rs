//! Running totals since the agent started. Anybody counts; counting is one atomic addition.

use std::sync::atomic::{AtomicU64, Ordering};

/// The totals as they are at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Events.
    pub(crate) events: u64,
    /// Incidents opened.
    pub(crate) incidents: u64,
    /// Alerts raised.
    pub(crate) alerts: u64,
    /// Actions taken.
    pub(crate) actions: u64,
    /// Questions that lapsed unanswered.
    pub(crate) lapsed: u64,
}

/// The counters.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    events: AtomicU64,
    incidents: AtomicU64,
    alerts: AtomicU64,
    actions: AtomicU64,
    lapsed: AtomicU64,
}

impl Counters {
    pub(crate) fn count_event(&self) {
        self.events.fetch_add(1, Ordering::Relaxed);
    }
    pub(crate) fn count_incident(&self) {
        self.incidents.fetch_add(1, Ordering::Relaxed);
    }
    pub(crate) fn count_alert(&self) {
        self.alerts.fetch_add(1, Ordering::Relaxed);
    }
    pub(crate) fn count_action(&self) {
        self.actions.fetch_add(1, Ordering::Relaxed);
    }
    pub(crate) fn count_lapsed(&self) {
        self.lapsed.fetch_add(1, Ordering::Relaxed);
    }
    pub(crate) fn read(&self) -> Totals {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Totals {
            events: read(&self.events),
            incidents: read(&self.incidents),
            alerts: read(&self.alerts),
            actions: read(&self.actions),
            lapsed: read(&self.lapsed),
        }
    }
}
