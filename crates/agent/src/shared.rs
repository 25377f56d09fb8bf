//! What the threads of the agent share, and the few things they all do to it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::watch;

use super::coverage::Coverage;
use super::gauge::Gauge;
use super::given_up::{Controls, GivenUp};
use super::governor::Governor;
use super::lanes::Lanes;
use super::latency::Stopwatch;
use super::live::Live;
use super::notify::Notify;
use super::owner::Owner;
use super::presence::{Attendance, Totals};
use super::publish::Publisher;
use super::pulses::Pulses;
use super::record::{Record, Recorder};
use super::response::Response;
use super::supervisor::Outages;
use bartizan_config::{Policy, Settings};
use bartizan_detect::correlator::Correlator;
use bartizan_model::{
    Action, Alert, AlertId, AlertState, BlindSpot, Confidence, Incident, IncidentId, IncidentState, ProcessKey, Severity, Unpoisoned as _,
};
use bartizan_outbound::{Notice, Webhook};
use bartizan_responder::Responder;
use bartizan_sensors::{Ladder, ProcessCache, Stop};
use bartizan_store::Readers;
use bartizan_store::ledger::Ledger;
use bartizan_sys::data_lock::DataLock;
use bartizan_sys::own_usage;
use bartizan_sys::reexec::Candidate;

/// Actions read from the ledger at once.
const ACTIONS: usize = 10_000;

/// A lock whose holder panicked is taken over: the rows are replaced whole, never half.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unpoisoned()
}

/// Counts for "while you were away".
#[derive(Debug, Default)]
pub(super) struct Counters {
    events: AtomicU64,
    incidents: AtomicU64,
    alerts: AtomicU64,
    actions: AtomicU64,
    lapsed: AtomicU64,
}

impl Counters {
    pub(super) fn count_event(&self) {
        self.events.fetch_add(1, Ordering::Relaxed);
    }
    pub(super) fn count_incident(&self) {
        self.incidents.fetch_add(1, Ordering::Relaxed);
    }
    pub(super) fn count_alert(&self) {
        self.alerts.fetch_add(1, Ordering::Relaxed);
    }
    pub(super) fn count_action(&self) {
        self.actions.fetch_add(1, Ordering::Relaxed);
    }
    pub(super) fn count_lapsed(&self) {
        self.lapsed.fetch_add(1, Ordering::Relaxed);
    }
    pub(super) fn read(&self) -> Totals {
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

/// Everything that the threads share.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) policy: Mutex<Policy>,
    pub(super) processes: Arc<ProcessCache>,
    pub(super) lanes: Arc<Lanes>,
    pub(super) live: Mutex<Live>,
    pub(super) publisher: Mutex<Publisher>,
    pub(super) correlator: Mutex<Correlator>,
    pub(super) response: Response,
    pub(super) responder: Responder,
    pub(super) ledger: Arc<Ledger>,
    pub(super) owner: Arc<Owner>,
    pub(super) recorder: Recorder,
    /// Absent while its disk refuses.
    pub(super) archive: Mutex<Option<Readers>>,
    pub(super) webhook: Option<Webhook>,
    pub(super) totals: Counters,
    pub(super) attendance: Mutex<Attendance>,
    pub(super) ladder: Ladder,
    /// What the watching collectors cannot see on this host.
    pub(super) watch_blind_spots: Vec<BlindSpot>,
    /// Since when somebody watches, and what was not watched.
    pub(super) coverage: Mutex<Coverage>,
    /// Collectors that failed and do not run again yet.
    pub(super) outages: Mutex<Outages>,
    /// Parts that do not work, by name: what is wrong and what to do.
    pub(super) degraded: Mutex<BTreeMap<String, String>>,
    pub(super) gauge: Mutex<Gauge>,
    /// Weighs our own cost.
    pub(super) governor: Mutex<Governor>,
    /// What is given up for it now.
    pub(super) given_up: GivenUp,
    /// Who is told of it.
    pub(super) controls: Controls,
    /// How long events of which a detector spoke were on their way.
    pub(super) latency: Stopwatch,
    pub(super) stop: Stop,
    /// Somebody asked to become the newer binary that lies where this one lay.
    pub(super) upgrade: AtomicBool,
    /// Nobody else works in the data directory.
    pub(super) _lock: DataLock,
    /// That binary, held open since it was asked what it is.
    pub(super) candidate: Mutex<Option<Candidate>>,
    /// The newer binary has the same kernel programs and can go on with their rings.
    pub(super) same_object: AtomicBool,
    /// No console of our own stands in the way of that.
    pub(super) upgradable: AtomicBool,
    /// Tells whoever awaits the end that it has come.
    pub(super) ended: watch::Sender<bool>,
    /// Wakes the publisher before its time.
    pub(super) notify: Notify,
    /// When the threads last went round that must.
    pub(super) pulses: Pulses,
    pub(super) next_alert: AtomicU64,
    /// The database files as they were opened: name and inode.
    pub(super) files: Mutex<BTreeMap<&'static str, u64>>,
}

impl Shared {
    /// Everybody is told to end, and sleepers are woken.
    pub(super) fn end(&self) {
        self.stop.set();
        self.ended.send_replace(true);
        self.notify.wake();
        self.response.nudge();
        self.owner.nudge();
    }

    /// A part does not work (or, with `None`, works again).
    pub(super) fn degrade(&self, part: &str, trouble: Option<String>) {
        let mut degraded = lock(&self.degraded);
        match trouble {
            Some(trouble) => {
                if degraded.insert(part.to_owned(), trouble.clone()).as_ref() != Some(&trouble) {
                    tracing::warn!(part, trouble, "degraded");
                }
            }
            None => {
                if degraded.remove(part).is_some() {
                    tracing::info!(part, "works again");
                }
            }
        }
    }

    /// Bytes of all databases on disk, their journals included.
    pub(super) fn disk_bytes(&self) -> u64 {
        let Ok(entries) = std::fs::read_dir(&self.settings.data) else { return 0 };
        let ours = |name: &str| name.starts_with("archive.db") || name.starts_with("ledger.db");
        let sizes =
            entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(ours)).filter_map(|entry| entry.metadata().ok());
        sizes.map(|metadata| metadata.len()).sum()
    }

    /// What the sensors cannot see: processes and sockets by the rung in use, files and accounts as found at the start.
    pub(super) fn blind_spots(&self) -> Vec<BlindSpot> {
        self.ladder.blind_spots().into_iter().chain(self.watch_blind_spots.iter().cloned()).collect()
    }

    /// Actions that may still have an effect; none, and a degraded part, when the ledger cannot be read.
    pub(super) fn active_actions(&self) -> Vec<Action> {
        self.told("ledger", self.responder.active())
    }

    /// All actions, newest first.
    pub(super) fn all_actions(&self) -> Vec<Action> {
        self.told("ledger", self.responder.actions(ACTIONS))
    }

    fn told<T: Default, E: std::fmt::Display>(&self, part: &str, result: Result<T, E>) -> T {
        match result {
            Ok(value) => value,
            Err(error) => {
                self.degrade(part, Some(error.to_string()));
                T::default()
            }
        }
    }

    /// Puts an incident on screen and on disk; `merged` are incidents that it took in.
    pub(super) fn incident_changed(&self, incident: &Incident, merged: &[IncidentId]) {
        let tree = incident.subject.map(|key| self.processes.tree(key)).unwrap_or_default();
        let mut live = lock(&self.live);
        merged.iter().for_each(|id| live.incident_gone(*id));
        let marked = live.incident(incident, &tree);
        self.refresh_processes(&mut live, &marked);
        drop(live);
        self.recorder.keep(Record::Incident(Box::new(incident.clone())));
    }

    /// Puts an action on screen.
    pub(super) fn action_changed(&self, action: &Action) {
        let tree = action.target.root().map(|root| self.processes.tree(root)).unwrap_or_default();
        let mut live = lock(&self.live);
        let marked = live.action(action, &tree);
        self.refresh_processes(&mut live, &marked);
        let holds = |other: &Action| other.incident == action.incident && other.state.is_active();
        let loose = !action.state.is_active() && !live.actions.values().any(holds);
        drop(live);
        if let Some(id) = action.incident.filter(|_| loose) {
            self.reopen(id);
        }
    }

    /// Nothing holds an incident any more: it is open again, and says so.
    fn reopen(&self, id: IncidentId) {
        let mut correlator = lock(&self.correlator);
        let contained = correlator.get(id).is_some_and(|incident| incident.state == IncidentState::Contained);
        let reopened = if contained { correlator.set_state(id, IncidentState::Open) } else { None };
        drop(correlator);
        if let Some(incident) = reopened {
            self.incident_changed(&incident, &[]);
        }
    }

    fn refresh_processes(&self, live: &mut Live, keys: &[ProcessKey]) {
        for process in keys.iter().filter_map(|key| self.processes.get(*key)) {
            live.process(&process);
        }
    }

    /// One alert an incident: raised when it first matters, then updated in place.
    pub(super) fn alert_about(&self, incident: &Incident) {
        let contain = lock(&self.policy).posture.contain;
        if incident.severity < Severity::Medium && incident.confidence < Confidence::new(contain) {
            return;
        }
        let mut live = lock(&self.live);
        let known = live.alerts.values().find(|alert| alert.incident == incident.id).cloned();
        let new = known.is_none();
        let mut alert = known.unwrap_or_else(|| Alert {
            id: AlertId(self.next_alert.fetch_add(1, Ordering::Relaxed)),
            incident: incident.id,
            at: incident.opened,
            updated: incident.updated,
            severity: incident.severity,
            sentence: String::new(),
            count: 0,
            state: AlertState::New,
            by: None,
        });
        let worse = incident.severity > alert.severity;
        alert.updated = incident.updated;
        alert.severity = incident.severity;
        alert.sentence.clone_from(&incident.sentence);
        alert.count = incident.signal_count;
        if worse {
            // What grew worse since somebody looked must be looked at again.
            (alert.state, alert.by) = (AlertState::New, None);
        }
        live.alert(&alert);
        drop(live);
        if new {
            self.totals.count_alert();
        }
        if let Some(webhook) = self.webhook.as_ref().filter(|_| new || worse) {
            webhook.offer(Notice::alert(&own_usage::host_name(), &alert, &self.active_actions()));
        }
        self.recorder.keep(Record::Alert(Box::new(alert)));
    }
}
