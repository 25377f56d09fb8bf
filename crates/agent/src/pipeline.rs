//! The sentence this program is made of: collect, detect, correlate, judge, respond, publish.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::losses::LossBook;
use super::pulses::Part;
use super::record::Record;
use super::shared::{Shared, lock};
use bartizan_detect::correlator::IncidentUpdate;
use bartizan_detect::detectors::DetectorSet;
use bartizan_model::{Event, EventKind, Signal, Source};
use bartizan_sys::sched;

/// Events taken from the lanes at once: an urgent one waits for no more than these, some 200 microseconds.
const BATCH: usize = 64;
/// Longest wait for the first event of a batch.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often losses are looked for.
const LOSS_PERIOD: Duration = Duration::from_secs(1);
/// Longest that the last events wait altogether for a recorder that has no room: its disk may hang.
const LAST_PATIENCE: Duration = Duration::from_secs(10);

/// The pipeline: one thread, so that every event is judged in one order.
pub(super) struct Pipeline {
    shared: Arc<Shared>,
    panel: DetectorSet,
    losses: LossBook,
    losses_read: Instant,
    /// Until when the last events wait for the recorder.
    recorder_until: Option<Instant>,
}

impl Pipeline {
    pub(super) fn new(shared: Arc<Shared>, panel: DetectorSet) -> Self {
        Self { shared, panel, losses: LossBook::new(chrono::Utc::now()), losses_read: Instant::now(), recorder_until: None }
    }

    /// Runs until the lanes are closed and empty: it outlives everybody who puts something in.
    pub(super) fn run(mut self) {
        sched::step_forward();
        loop {
            let batch = self.shared.lanes.take(BATCH, PATIENCE);
            let closed = self.shared.lanes.is_closed();
            if batch.is_empty() && closed {
                return;
            }
            if closed {
                self.await_recorder();
            }
            for event in batch {
                self.take(event);
            }
            self.admit_losses();
            self.shared.lanes.set_downstream_busy(self.shared.recorder.is_busy());
            self.shared.pulses.beat(Part::Pipeline);
        }
    }

    /// At the end nothing is urgent any more: what is left waits for its place in the archive rather than being dropped.
    fn await_recorder(&mut self) {
        let patience = *self.recorder_until.get_or_insert_with(|| Instant::now() + LAST_PATIENCE);
        while self.shared.recorder.is_busy() && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// A sensor's own word about its losses is told with the count of its hop, and once.
    fn take(&mut self, event: Event) {
        match &event.kind {
            EventKind::Loss { loss } => {
                if self.losses.hint(loss).is_some() {
                    self.admit(event);
                }
            }
            _ => self.step(event),
        }
    }

    fn step(&mut self, event: Event) {
        self.shared.totals.count_event();
        let signals = self.panel.observe(&event);
        let judged = !signals.is_empty();
        if judged {
            self.shared.latency.add(event.at, chrono::Utc::now());
            self.shared.owner.alert();
        }
        signals.into_iter().for_each(|signal| self.join(signal));
        lock(&self.shared.live).event(&event);
        lock(&self.shared.publisher).event(&event);
        if self.shared.given_up.keeps(&event, judged) {
            self.shared.recorder.keep_all([&event]);
        }
    }

    fn join(&mut self, signal: Signal) {
        self.shared.recorder.keep(Record::Signal(Box::new(signal.clone())));
        lock(&self.shared.live).signal(&signal);
        let update = lock(&self.shared.correlator).join(signal);
        self.tell(&update);
        // The judging itself reads the host and may change it: the court does that, on a thread of its own.
        self.shared.response.cases.add(update.incident.id);
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
        if self.losses_read.elapsed() < LOSS_PERIOD && !self.losses.is_hinted() {
            return;
        }
        self.losses_read = Instant::now();
        let at = chrono::Utc::now();
        let lost = self.losses.read(self.shared.loss_readings(), at);
        if lost.is_empty() {
            self.shared.nothing_missed_lately();
        }
        for loss in lost {
            let id = self.shared.lanes.claim_id();
            self.admit(Event { id, at, kind: EventKind::Loss { loss }, process: None, source: Source::Agent, complete: true });
        }
    }

    fn admit(&mut self, event: Event) {
        if let EventKind::Loss { loss } = &event.kind {
            self.shared.missed(loss, event.at);
            let tainted = lock(&self.shared.correlator).loss(loss, event.at);
            tainted.iter().for_each(|incident| self.shared.incident_changed(incident, &[]));
        }
        self.step(event);
    }
}
