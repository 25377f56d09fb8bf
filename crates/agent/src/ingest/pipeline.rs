//! The sentence this program is made of: collect, detect, correlate, judge, respond, publish.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::collectors::tell_of_ended_outages;
use super::coverage::{Coverage, GAPS, WATCHED_UNTIL};
use super::exceptions::Exceptions;
use super::logs::{LogJudge, LogRounds};
use super::loss_report::Covered;
use super::losses::LossBook;
use super::{Ingest, Lanes};
use crate::accounting::Beat;
use crate::console::Console;
use crate::knowledge::Knowledge;
use crate::record::Record;
use crate::response::{PendingCase, Response};
use crate::schedule::due;
use bartizan_config::Policy;
use bartizan_detect::correlator::{Correlator, IncidentUpdate};
use bartizan_detect::detectors::DetectorSet;
use bartizan_model::{Event, EventKind, Incident, IncidentId, IncidentState, Loss, Posture, Proof, Signal, Source, Timestamp};
use bartizan_sys::process_stat::is_running;
use bartizan_sys::sched;

/// Events taken from the lanes at once: an urgent one waits for no more than these, some 200 microseconds.
const BATCH: usize = 64;
/// Longest wait for the first event of a batch.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often losses are looked for.
const LOSS_PERIOD: Duration = Duration::from_secs(1);
/// How often confidence decays and quiet incidents close.
const DECAY: Duration = Duration::from_secs(10);
/// How often it is looked who has fallen silent.
const SILENCE: Duration = Duration::from_secs(60);
/// How often it is looked whether failed collectors work again, and whether gaps are to be written down.
const OUTAGES: Duration = Duration::from_secs(5);
/// How often it is written down that we watch: after a crash no more than this counts as unwatched without need.
const REMEMBER: Duration = Duration::from_secs(30);
/// Longest that the last events wait altogether for a recorder that has no room: its disk may hang.
const LAST_PATIENCE: Duration = Duration::from_secs(10);

/// The pipeline: one thread, so that every event is judged in one order.
pub(crate) struct Pipeline {
    pub(super) detectors: DetectorSet,
    pub(super) correlator: Correlator,
    pub(super) logs: LogJudge,
    pub(super) log_rounds: LogRounds,
    pub(super) exceptions: Exceptions,
    losses: LossBook,
    coverage: Coverage,
    /// Until when the next run shall believe that somebody watched, once the agent ends.
    pub(super) watched_until: Option<Timestamp>,
    pub(super) ties: Ties,
    rounds: Rounds,
    /// Until when the last events wait for the recorder.
    recorder_until: Option<Instant>,
}

/// Where the pipeline's results go.
pub(crate) struct Ties {
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) response: Arc<Response>,
    pub(crate) console: Arc<Console>,
}

/// When what happens by the clock happened last.
struct Rounds {
    losses: Instant,
    decayed: Instant,
    silence: Instant,
    outages: Instant,
    remembered: Instant,
}

impl Pipeline {
    pub(crate) fn new(detectors: DetectorSet, (correlator, logs): (Correlator, LogJudge), coverage: Coverage, ties: Ties) -> Self {
        let now = Instant::now();
        let rounds = Rounds { losses: now, decayed: now, silence: now, outages: now, remembered: now };
        let losses = LossBook::new(chrono::Utc::now());
        let log_rounds = LogRounds::default();
        let pipeline = Self {
            detectors,
            correlator,
            logs,
            log_rounds,
            exceptions: Exceptions::default(),
            losses,
            coverage,
            watched_until: None,
            ties,
            rounds,
            recorder_until: None,
        };
        pipeline.show_coverage();
        pipeline
    }

    /// Takes a changed policy over.
    pub(super) fn set_policy(&mut self, policy: &Policy) {
        self.correlator.set_policy(policy);
        self.logs.set_policy(policy);
        self.exceptions.set_policy(policy);
    }

    /// Takes other rules, indicator lists and switches into use.
    pub(super) fn set_knowledge(&mut self, knowledge: Knowledge) {
        knowledge.teach(&mut self.detectors);
    }

    fn lanes(&self) -> &Lanes {
        &self.ties.ingest.lanes
    }

    /// Runs until the lanes are closed and empty: it outlives everybody who puts something in.
    pub(crate) fn run(mut self) {
        sched::step_forward();
        let ingest = Arc::clone(&self.ties.ingest);
        self.remember();
        let mut more = false;
        loop {
            let batch = ingest.lanes.take(BATCH, if more { Duration::ZERO } else { PATIENCE });
            let closed = ingest.lanes.is_closed();
            ingest.pipeline.work_off(&mut self);
            if batch.is_empty() && closed && ingest.logs.queue.is_empty() {
                break;
            }
            if closed {
                self.await_recorder();
            }
            for event in batch {
                self.take(event);
            }
            more = self.read_logs();
            self.by_the_clock();
            ingest.lanes.set_downstream_busy(ingest.recorder.is_busy());
            ingest.accounting.beat(Beat::Pipeline);
        }
        self.remember_logins();
        self.keep_habits();
        self.remember();
    }

    /// What is due at this moment.
    fn by_the_clock(&mut self) {
        self.admit_losses();
        if due(&mut self.rounds.decayed, DECAY) {
            self.decay(chrono::Utc::now());
            self.logs_by_the_clock();
        }
        if due(&mut self.rounds.silence, SILENCE) {
            self.detectors.tick(chrono::Utc::now(), &is_running).into_iter().for_each(|signal| self.join(signal, false));
        }
        if due(&mut self.rounds.outages, OUTAGES) {
            let ingest = &self.ties.ingest;
            tell_of_ended_outages(&ingest.outages, &ingest.troubles, &*ingest.lanes);
            self.remember_gaps();
        }
        if due(&mut self.rounds.remembered, REMEMBER) {
            self.remember();
        }
        self.ties.ingest.evicted.store(self.correlator.evicted(), Ordering::Relaxed);
    }

    /// Lets confidence fade and quiet incidents close.
    pub(super) fn decay(&mut self, now: Timestamp) {
        let changed = self.correlator.tick(now);
        changed.iter().for_each(|incident| self.ties.console.incident(incident, &[]));
    }

    /// At the end nothing is urgent any more: what is left waits for its place in the archive rather than being dropped.
    fn await_recorder(&mut self) {
        let patience = *self.recorder_until.get_or_insert_with(|| Instant::now() + LAST_PATIENCE);
        while self.ties.ingest.recorder.is_busy() && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// A sensor's own word about its losses is told with the count of its hop, and once.
    fn take(&mut self, event: Event) {
        if let EventKind::Loss { loss } = &event.kind {
            if self.losses.hint(loss).is_some() {
                self.admit(event);
            }
            return;
        }
        self.step(event);
    }

    pub(super) fn step(&mut self, event: Event) {
        let accounting = Arc::clone(&self.ties.ingest.accounting);
        accounting.counters.count_event();
        let (process, now) = (event.behind().map(|process| &**process), chrono::Utc::now());
        let mut signals = self.detectors.observe(&event);
        signals.iter_mut().for_each(|signal| self.exceptions.mark(signal, process, now));
        signals.iter().filter(|signal| signal.excepted.is_some()).for_each(|signal| self.detectors.give_back(signal, &event));
        let mut unusual = self.detectors.deviations(&event, &signals);
        unusual.iter_mut().for_each(|signal| self.exceptions.mark(signal, process, now));
        signals.extend(unusual);
        let changed = self.logs.tree_changed(&event, &signals).filter(|signal| !self.detectors.is_off(&signal.detector));
        signals.extend(changed.map(|mut signal| {
            self.exceptions.mark(&mut signal, process, now);
            signal
        }));
        let judged = !signals.is_empty();
        if judged {
            accounting.judged(&event);
            self.ties.response.alert();
        }
        signals.into_iter().for_each(|signal| self.join(signal, false));
        self.ties.console.event(&event);
        if accounting.keeps(&event, judged) {
            self.ties.ingest.recorder.keep_all([&event]);
        }
    }

    /// A signal joins its incident; `is_news` shows the alert again to whoever has seen it.
    pub(super) fn join(&mut self, signal: Signal, is_news: bool) {
        if signal.excepted.is_some() {
            return self.set_aside(signal);
        }
        self.ties.ingest.recorder.keep(Record::Signal(Box::new(signal.clone())));
        self.ties.console.signal(&signal);
        let beside = self.detectors.beside(&signal);
        self.take_in(signal, is_news);
        if let Some(mut listed) = beside {
            self.exceptions.mark(&mut listed, None, chrono::Utc::now());
            self.join(listed, false);
        }
    }

    fn take_in(&mut self, signal: Signal, is_news: bool) {
        let IncidentUpdate { incident, opened, merged } = self.correlator.join(signal);
        if opened {
            self.ties.ingest.accounting.counters.count_incident();
        }
        self.ties.console.incident(&incident, &merged);
        if incident.state == IncidentState::Contained && !self.ties.console.is_held(incident.id) {
            // Something new of it runs: what was done before does not hold that.
            self.reopen(incident.id);
        }
        if is_news {
            self.ties.console.alert_again(&incident)
        } else {
            self.ties.console.alert_about(&incident)
        }
        // The judging itself reads the host and may change it: the court does that, on a thread of its own.
        let case = self.case(incident);
        self.ties.response.add_case(case, &merged);
    }

    /// An incident for the court, with what is proven of it where that may lead to an action.
    pub(super) fn case(&self, incident: Incident) -> PendingCase {
        let may_act = incident.posture >= Posture::Contain || self.correlator.has_sources(incident.id);
        let proof = if may_act { self.correlator.proof(incident.id) } else { Proof::default() };
        PendingCase { incident, proof }
    }

    /// A loss is an event of its own, and taints every incident that it overlaps.
    fn admit_losses(&mut self) {
        if self.rounds.losses.elapsed() < LOSS_PERIOD && !self.losses.is_hinted() {
            return;
        }
        self.rounds.losses = Instant::now();
        let at = chrono::Utc::now();
        let lost = self.losses.read(self.ties.ingest.loss_readings(), at);
        // A loss is shown as degraded for a minute; the counts and the gap stay.
        if lost.is_empty() && at - self.coverage.since() > chrono::Duration::minutes(1) {
            self.ties.ingest.troubles.report("events", None);
        }
        for loss in lost {
            let id = self.lanes().claim_id();
            self.admit(Event { id, at, kind: EventKind::Loss { loss }, process: None, source: Source::Agent, complete: true });
        }
    }

    fn admit(&mut self, event: Event) {
        if let EventKind::Loss { loss } = &event.kind {
            self.missed(loss, event.at);
            for incident in self.correlator.loss(loss, event.at) {
                self.ties.console.incident(&incident, &[]);
                self.ties.response.renew_case(self.case(incident));
            }
        }
        self.step(event);
    }

    /// Events were lost, or nobody watched: whoever watches "without a gap" does so only from then on.
    fn missed(&mut self, loss: &Loss, at: Timestamp) {
        self.coverage.admit(loss, at);
        self.show_coverage();
        if loss.count > 0 {
            let (count, hop, time) = (loss.count, &loss.hop, at.format("%H:%M:%S"));
            let trouble = format!("{count} lost at {hop} at {time}; incidents of that time are marked incomplete");
            self.ties.ingest.troubles.report("events", Some(trouble));
        }
    }

    fn show_coverage(&self) {
        self.ties.ingest.covered.show(Covered { since: self.coverage.since(), gaps: self.coverage.gaps() });
    }

    /// Writes down how far somebody watched, for the next run.
    fn remember(&mut self) {
        let until = self.watched_until.unwrap_or_else(chrono::Utc::now);
        self.ties.ingest.recorder.keep(Record::Note(WATCHED_UNTIL, until.to_rfc3339()));
        self.remember_gaps();
    }

    /// Writes down the gaps when there are new ones.
    fn remember_gaps(&mut self) {
        if let Some(gaps) = self.coverage.unsaved() {
            self.ties.ingest.recorder.keep(Record::Note(GAPS, gaps));
        }
    }

    /// An action or a person dealt with an incident.
    pub(super) fn set_state(&mut self, id: IncidentId, state: IncidentState) {
        if let Some(incident) = self.correlator.set_state(id, state) {
            self.ties.console.incident(&incident, &[]);
        }
    }

    /// An action was taken for an incident: it is contained when nothing of it runs that no action holds.
    pub(super) fn acted_on(&mut self, id: IncidentId) {
        if self.ties.console.is_held(id) {
            self.set_state(id, IncidentState::Contained);
        } else {
            self.reopen(id);
        }
    }

    pub(super) fn reopen(&mut self, id: IncidentId) {
        if self.correlator.get(id).is_some_and(|incident| incident.state == IncidentState::Contained) {
            self.set_state(id, IncidentState::Open);
        }
    }

    pub(super) fn restore(&mut self, incidents: Vec<(Incident, Vec<Signal>)>) {
        for (incident, signals) in incidents {
            if self.correlator.get(incident.id).is_none() {
                self.correlator.restore(incident, signals);
            }
        }
    }
}
