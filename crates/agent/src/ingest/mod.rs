//! The ingest: from what the sensors report to incidents. The pipeline's thread alone owns detectors, correlator, the account of
//! losses and of what was watched; whoever wants something of them sends it a message.

mod collectors;
mod coverage;
mod exceptions;
mod habits;
mod lanes;
mod logs;
mod loss_report;
mod losses;
mod pipeline;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

pub(crate) use coverage::{Coverage, GAPS, WATCHED_UNTIL};
pub(crate) use exceptions::Exceptions;
pub(crate) use habits::{HabitError, HabitKeeper, settings as baseline_settings};
pub(crate) use lanes::Lanes;
pub(crate) use logs::{LOGINS, READ as LOGS_READ, follower as log_follower};
pub(crate) use pipeline::{Pipeline, Ties};

use collectors::Outages;
pub(crate) use logs::LogJudge;
use logs::Logs;
use loss_report::Covered;

use crate::accounting::Accounting;
use crate::knowledge::Knowledge;
use crate::mailbox::{Mailbox, NoAnswer, Published};
use crate::record::Recorder;
use crate::troubles::Troubles;
use bartizan_config::Policy;
use bartizan_model::{
    Action, Alarm, Event, EventId, EventKind, Explanation, Incident, IncidentId, Loss, Process, Signal, Source, Timestamp,
};
use bartizan_sensors::{Collector, Sink, Stop};

/// So long a question about an incident waits for the pipeline.
const PATIENCE: Duration = Duration::from_secs(5);
/// So long whoever marked an incident waits for the mark to be on screen.
const SHOWN: Duration = Duration::from_secs(1);

/// The ingest, as all others know it.
pub(crate) struct Ingest {
    lanes: Arc<Lanes>,
    logs: Logs,
    pipeline: Mailbox<Pipeline>,
    outages: Mutex<Outages>,
    covered: Published<Covered>,
    /// Incidents forgotten because there were too many.
    evicted: AtomicU64,
    accounting: Arc<Accounting>,
    recorder: Arc<Recorder>,
    troubles: Arc<Troubles>,
    pub(crate) habits: Arc<HabitKeeper>,
}

impl Ingest {
    pub(crate) fn new(lanes: Arc<Lanes>, accounting: Arc<Accounting>, recorder: Arc<Recorder>, habits: HabitKeeper) -> Self {
        let waked = Arc::clone(&lanes);
        Self {
            lanes,
            logs: Logs::default(),
            pipeline: Mailbox::new(move || waked.wake()),
            outages: Mutex::default(),
            covered: Published::new(Covered { since: chrono::Utc::now(), gaps: Vec::new() }),
            evicted: AtomicU64::new(0),
            accounting,
            recorder,
            troubles: Arc::clone(&habits.troubles),
            habits: Arc::new(habits),
        }
    }

    /// Takes an event about the agent itself.
    pub(crate) fn emit(&self, event: Event) {
        self.lanes.emit(event);
    }

    /// Something was done to us, or by us.
    pub(crate) fn alarm(&self, alarm: Alarm) {
        self.lanes.emit(alarmed(alarm));
    }

    /// The same, by this process.
    pub(crate) fn alarm_by(&self, alarm: Alarm, process: Option<Arc<Process>>) {
        self.lanes.emit(Event { process, ..alarmed(alarm) });
    }

    /// Keeps a collector running on a thread of its own.
    pub(crate) fn watch(self: &Arc<Self>, collector: Box<dyn Collector>, stop: &Stop) -> std::io::Result<JoinHandle<()>> {
        collectors::watch(Arc::clone(self), collector, stop.clone())
    }

    /// No event comes any more: the pipeline ends when it has worked off what waits.
    pub(crate) fn close(&self) {
        self.lanes.close();
    }

    /// Takes a changed policy over.
    pub(crate) fn set_policy(&self, policy: &Policy) {
        let policy = policy.clone();
        self.pipeline.tell(move |pipeline| pipeline.set_policy(&policy));
    }

    /// Takes other rules, indicator lists and switches into use.
    pub(crate) fn set_knowledge(&self, knowledge: Knowledge) {
        self.pipeline.tell(move |pipeline| pipeline.set_knowledge(knowledge));
    }

    /// Takes other exceptions into use, before any event that comes later.
    pub(crate) fn set_exceptions(&self, exceptions: Exceptions) {
        self.pipeline.tell(move |pipeline| pipeline.set_exceptions(exceptions));
    }

    /// Why an incident scores what it scores.
    pub(crate) fn explain(&self, id: IncidentId, actions: Vec<Action>) -> Result<Option<Explanation>, NoAnswer> {
        self.pipeline.ask(PATIENCE, move |pipeline| pipeline.explain(id, &actions))
    }

    /// An action was taken for an incident, which is contained if nothing of it runs loose; returns when consoles can see it, or soon.
    pub(crate) fn acted_on(&self, id: IncidentId) {
        let _ = self.pipeline.insist(SHOWN, move |pipeline| pipeline.acted_on(id));
    }

    /// The same for whoever must not wait.
    pub(crate) fn acted_on_soon(&self, id: IncidentId) {
        self.pipeline.tell(move |pipeline| pipeline.acted_on(id));
    }

    /// Nothing holds an incident any more: if it was contained it is open again, and says so.
    pub(crate) fn held_no_more(&self, id: IncidentId) {
        self.pipeline.tell(move |pipeline| pipeline.reopen(id));
    }

    /// Incidents of earlier runs, read from an archive that can be opened only now.
    pub(crate) fn restore(&self, incidents: Vec<(Incident, Vec<Signal>)>) {
        self.pipeline.tell(move |pipeline| pipeline.restore(incidents));
    }

    /// How far somebody watched, when the agent ends: written down with the gaps when the pipeline has ended.
    pub(crate) fn watched_until(&self, until: Timestamp) {
        self.pipeline.tell(move |pipeline| pipeline.watched_until = Some(until));
    }
}

/// A stretch in which nobody watched, as the event that says so.
pub(crate) fn unwatched(loss: Loss) -> Event {
    let at = loss.to.unwrap_or_else(chrono::Utc::now);
    Event { id: EventId(0), at, kind: EventKind::Loss { loss }, process: None, source: Source::Agent, complete: true }
}

/// Something done to ourselves, as the event that says so; who did it is not known here.
pub(crate) fn alarmed(alarm: Alarm) -> Event {
    Event { id: EventId(0), at: chrono::Utc::now(), kind: EventKind::Alarm { alarm }, process: None, source: Source::Agent, complete: true }
}
