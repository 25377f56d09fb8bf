//! The sentence this program is made of: collect, detect, correlate, judge, respond, publish.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::record::Record;
use super::shared::{Shared, lock};
use crate::correlator::IncidentUpdate;
use crate::detector::Panel;
use crate::model::{Event, EventKind, Loss, Signal, Source, Timestamp};

/// Events taken from the lanes at once: an urgent one waits for no more than these, some 200 microseconds.
const BATCH: usize = 64;
/// Longest wait for the first event of a batch.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often losses are looked for.
const LOSS_PERIOD: Duration = Duration::from_secs(1);

/// The pipeline: one thread, so that every event is judged in one order.
pub(super) struct Pipeline {
    shared: Arc<Shared>,
    panel: Panel,
    losses_known: u64,
    losses_read: Instant,
}

impl Pipeline {
    pub(super) fn new(shared: Arc<Shared>, panel: Panel) -> Self {
        Self { shared, panel, losses_known: 0, losses_read: Instant::now() }
    }

    /// Runs until the agent stops and the lanes are empty.
    pub(super) fn run(mut self) {
        loop {
            let batch = self.shared.lanes.take(BATCH, PATIENCE);
            if batch.is_empty() && self.shared.stop.is_set() {
                return;
            }
            for event in batch {
                self.step(event);
            }
            self.admit_losses();
            self.shared.pulse();
        }
    }

    fn step(&mut self, event: Event) {
        self.shared.totals.count_event();
        for signal in self.panel.observe(&event) {
            self.join(signal);
        }
        lock(&self.shared.live).event(&event);
        lock(&self.shared.publisher).event(&event);
        self.shared.recorder.keep_all([&event]);
    }

    fn join(&mut self, signal: Signal) {
        self.shared.recorder.keep(Record::Signal(Box::new(signal.clone())));
        lock(&self.shared.live).signal(&signal);
        let update = lock(&self.shared.correlator).join(signal);
        self.tell(&update);
        // The judging itself reads the host and may change it: the desk does that, off this thread.
        self.shared.docket.add(update.incident.id);
    }

    fn tell(&self, update: &IncidentUpdate) {
        if update.opened {
            self.shared.totals.count_incident();
        }
        self.shared.incident_changed(&update.incident, &update.merged);
        self.shared.alert_about(&update.incident);
    }

    /// A loss is an event of its own, and taints every incident that it overlaps.
    fn admit_losses(&mut self) {
        if self.losses_read.elapsed() < LOSS_PERIOD {
            return;
        }
        self.losses_read = Instant::now();
        let hops = self.shared.event_hops();
        let lost: u64 = hops.iter().map(|hop| hop.dropped).sum();
        if lost <= self.losses_known {
            self.shared.nothing_missed_lately();
            return;
        }
        let count = lost - self.losses_known;
        self.losses_known = lost;
        let worst = hops.into_iter().max_by_key(|hop| hop.dropped).map(|hop| hop.hop).unwrap_or_default();
        let at: Timestamp = chrono::Utc::now();
        self.shared.missed(&worst, count, at);
        for incident in lock(&self.shared.correlator).loss(&worst, count, at) {
            self.shared.incident_changed(&incident, &[]);
        }
        let kind = EventKind::Loss { loss: Loss::new(&worst, count) };
        let event = Event { id: self.shared.lanes.claim_id(), at, kind, process: None, source: Source::Agent, complete: true };
        self.step(event);
    }
}
