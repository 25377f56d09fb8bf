//! The console feed: the rows that consoles show, who looks at them, and what they are told. The rows are a table that others
//! report changes to: a change takes microseconds, and nobody waits for anything while it is made. A thread sends the changes.

mod alerts;
mod belonging;
mod live;
mod presence;
mod publish;
mod sockets;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::broadcast::Receiver;

use live::Live;
use presence::Attendance;
use publish::Publisher;

use crate::accounting::Counters;
use crate::alerts::Alerts;
use crate::notify::Notify;
use crate::record::{Record, Recorder};
use crate::schedule::due;
use bartizan_config::Policy;
use bartizan_model::{
    Action, Alert, Approval, ApprovalState, Event, Flow, Health, Incident, IncidentId, Process, ProcessKey, Signal, Timestamp,
    Unpoisoned as _,
};
use bartizan_protocol::{Push, Snapshot};
use bartizan_sensors::{ProcessCache, Stop};

/// Between two deltas: fast enough to feel live, slow enough to be cheap over SSH.
const DELTA: Duration = Duration::from_millis(200);
/// How often health is measured while somebody looks.
const HEALTH: Duration = Duration::from_secs(1);
/// How long the thread sleeps with nobody to tell.
const ALONE: Duration = Duration::from_secs(5);

/// The rows, and the number of the last delta.
#[derive(Debug)]
struct Rows {
    live: Live,
    seq: u64,
    /// From this confidence on there is an alert about an incident, however little severe.
    contain: f64,
}

/// What the archive remembers of earlier runs.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    pub(crate) signals: Vec<Signal>,
    pub(crate) incidents: Vec<Incident>,
    pub(crate) alerts: Vec<Alert>,
    pub(crate) approvals: Vec<Approval>,
}

/// The console feed, as all others know it.
pub(crate) struct Console {
    rows: Mutex<Rows>,
    publisher: Publisher,
    attendance: Mutex<Attendance>,
    notify: Notify,
    next_alert: AtomicU64,
    processes: Arc<ProcessCache>,
    counters: Arc<Counters>,
    recorder: Arc<Recorder>,
    /// Those who are told elsewhere.
    alerts: Arc<Alerts>,
}

/// What the console feed needs of others.
pub(crate) struct Ties {
    pub(crate) processes: Arc<ProcessCache>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) alerts: Arc<Alerts>,
}

impl Console {
    /// Empty; `left` is when the last console of an earlier run did, `next_alert` the number of the next alert.
    pub(crate) fn new(policy: &Policy, left: Option<Timestamp>, next_alert: u64, ties: Ties) -> Self {
        let Ties { processes, counters, recorder, alerts } = ties;
        Self {
            rows: Mutex::new(Rows { live: Live::default(), seq: 0, contain: policy.posture.contain }),
            publisher: Publisher::default(),
            attendance: Mutex::new(Attendance::since(left)),
            notify: Notify::default(),
            next_alert: AtomicU64::new(next_alert),
            processes,
            counters,
            recorder,
            alerts,
        }
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unpoisoned()
    }

    /// Takes a changed policy over.
    pub(crate) fn set_policy(&self, policy: &Policy) {
        self.rows().contain = policy.posture.contain;
    }

    /// Takes one event into the rows, and sends it to those who follow.
    pub(crate) fn event(&self, event: &Event) {
        self.rows().live.event(event);
        self.publisher.event(event);
    }

    /// Listeners that were there before.
    pub(crate) fn listeners(&self, known: &[(Flow, Option<Arc<Process>>)]) {
        let mut rows = self.rows();
        known.iter().for_each(|(flow, process)| rows.live.socket(flow, true, process.as_deref(), chrono::Utc::now()));
    }

    /// A detection.
    pub(crate) fn signal(&self, signal: &Signal) {
        self.rows().live.signal(signal);
    }

    /// Puts an incident on screen and on disk; `merged` are incidents that it took in.
    pub(crate) fn incident(&self, incident: &Incident, merged: &[IncidentId]) {
        let tree = incident.subject.map(|key| self.processes.tree(key)).unwrap_or_default();
        let mut rows = self.rows();
        merged.iter().for_each(|id| rows.live.incident_gone(*id));
        let marked = rows.live.incident(incident, &tree);
        self.refresh_processes(&mut rows.live, &marked);
        drop(rows);
        self.recorder.keep(Record::Incident(Box::new(incident.clone())));
    }

    /// Puts a question on screen and on disk.
    pub(crate) fn approval(&self, approval: &Approval) {
        self.rows().live.approval(approval);
        self.recorder.keep(Record::Approval(Box::new(approval.clone())));
    }

    /// Puts an action on screen; the incident that nothing holds any more, if so.
    pub(crate) fn action(&self, action: &Action) -> Option<IncidentId> {
        let tree = action.target.root().map(|root| self.processes.tree(root)).unwrap_or_default();
        let mut rows = self.rows();
        let marked = rows.live.action(action, &tree);
        self.refresh_processes(&mut rows.live, &marked);
        let holds = |other: &Action| other.incident == action.incident && other.state.is_active();
        let loose = !action.state.is_active() && !rows.live.actions.values().any(holds);
        action.incident.filter(|_| loose)
    }

    fn refresh_processes(&self, live: &mut Live, keys: &[ProcessKey]) {
        for process in keys.iter().filter_map(|key| self.processes.get(*key)) {
            live.process(&process);
        }
    }

    /// Puts on screen what the archive remembers and nobody knows yet; gives the incidents that were new, oldest first, with
    /// their signals. `late` tells that this run has begun already.
    pub(crate) fn restore(&self, remembered: Remembered, late: bool) -> Vec<(Incident, Vec<Signal>)> {
        let Remembered { signals, incidents, alerts, approvals } = remembered;
        let mut rows = self.rows();
        let live = &mut rows.live;
        let mut restored = Vec::new();
        for incident in incidents.into_iter().rev() {
            if !live.incidents.contains_key(&incident.id) {
                let own = signals.iter().rev().filter(|signal| incident.signals.contains(&signal.id)).cloned().collect();
                live.incident(&incident, &[]);
                restored.push((incident, own));
            }
        }
        let new: Vec<_> = signals.iter().rev().filter(|signal| !live.signals.iter().any(|known| known.id == signal.id)).collect();
        new.into_iter().for_each(|signal| live.signal(signal));
        for alert in alerts.iter().rev() {
            if !live.alerts.contains_key(&alert.id) {
                live.alert(alert);
            }
        }
        // A question that the response of this run does not know cannot be answered: it is not shown as if it could.
        let shown = approvals.iter().rev().filter(|approval| !late || approval.state != ApprovalState::Pending);
        shown.for_each(|approval| live.approval(approval));
        restored
    }

    /// Incidents, newest first; with an `id` that one, if it is among the rows.
    pub(crate) fn incidents(&self, id: Option<IncidentId>) -> Vec<Incident> {
        let rows = self.rows();
        rows.live.incidents.values().rev().filter(|incident| id.is_none_or(|id| incident.id == id)).cloned().collect()
    }

    /// Whether an action may still have an effect.
    pub(crate) fn has_active_actions(&self) -> bool {
        self.rows().live.actions.values().any(|action| action.state.is_active())
    }

    /// Open incidents, new alerts, waiting questions.
    pub(crate) fn open(&self) -> (u64, u64, u64) {
        self.rows().live.open()
    }

    /// Every event from now on.
    pub(crate) fn follow(&self) -> Receiver<Arc<Event>> {
        self.publisher.follow()
    }

    /// Everything that a console shows now, and every delta after it. `arriving` is true once per console: the first to come
    /// back is told what it missed.
    pub(crate) fn snapshot(&self, health: Health, arriving: bool) -> (Snapshot, Receiver<Arc<Push>>) {
        let presence = if arriving { self.attendance.lock().unpoisoned().arrive(self.counters.read()) } else { None };
        let living = self.processes.living();
        let mut rows = self.rows();
        rows.live.watch(true);
        let changes = rows.live.drain();
        rows.seq = self.publisher.delta(rows.seq, changes);
        let receiver = self.publisher.listen();
        self.notify.wake();
        let live = &rows.live;
        let snapshot = Snapshot {
            seq: rows.seq,
            health,
            presence,
            processes: living.iter().map(|process| live.process_row(process)).collect(),
            sockets: live.sockets.values().cloned().collect(),
            incidents: live.incidents.values().cloned().collect(),
            signals: live.signals.iter().cloned().collect(),
            alerts: live.alerts.values().cloned().collect(),
            approvals: live.approvals.values().cloned().collect(),
            actions: live.actions.values().cloned().collect(),
        };
        (snapshot, receiver)
    }

    /// A console left.
    pub(crate) fn left(&self) {
        let left = self.attendance.lock().unpoisoned().leave(self.counters.read(), chrono::Utc::now());
        if let Some(at) = left {
            self.recorder.keep(Record::Note("away_since", at.to_rfc3339()));
        }
    }

    /// The agent ends: consoles are told.
    pub(crate) fn goodbye(&self, reason: &str) {
        self.publisher.goodbye(reason);
    }

    /// Wakes the thread, though nothing came.
    pub(crate) fn nudge(&self) {
        self.notify.wake();
    }

    /// Sends consoles what changed since the last time.
    pub(crate) fn publish(&self) {
        let mut rows = self.rows();
        rows.live.watch(self.publisher.consoles() > 0);
        let changes = rows.live.drain();
        rows.seq = self.publisher.delta(rows.seq, changes);
    }

    /// The thread: sends the changes while somebody looks, and how the agent is.
    pub(crate) fn run(&self, stop: &Stop, measure: impl Fn() -> Option<Health>) {
        let mut measured = Instant::now();
        while !stop.is_set() {
            // A console that comes wakes it.
            self.notify.sleep(if self.publisher.consoles() > 0 { DELTA } else { ALONE });
            if self.publisher.consoles() > 0 && due(&mut measured, HEALTH) {
                let health = measure();
                self.look_at_sockets();
                health.into_iter().for_each(|health| self.rows().live.health(health));
            }
            self.publish();
        }
    }
}
