//! Starting: databases, what an earlier life left behind, sensors, threads; and the first snapshot of a console.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::desk::Desk;
use super::docket::Docket;
use super::gauge::Gauge;
use super::lanes::Lanes;
use super::live::Live;
use super::owner::Owner;
use super::pipeline::Pipeline;
use super::presence::Attendance;
use super::publish::Publisher;
use super::record::{self, FarEnd, Record, Recorder};
use super::shared::{Counters, Shared, lock};
use super::{rounds, supervisor};
use crate::collector::{self, Learnt, Places, Stop, World};
use crate::config::Settings;
use crate::correlator::Correlator;
use crate::court::Court;
use crate::detector::Panel;
use crate::host::exe_hash::Content;
use crate::host::reexec::Legacy;
use crate::host::{manners, privacy, random};
use crate::model::{Approval, ApprovalId, ApprovalState, EventId, IncidentId, Timestamp};
use crate::outbound::Webhook;
use crate::protocol::{Push, Snapshot};
use crate::responder::{ActError, Responder};
use crate::store::ledger::{Ledger, LedgerError};
use crate::store::{Archive, FileDigest, Reader, StoreError, Writer};

/// Why the agent cannot do its work at all.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal of actions cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// What an earlier life left behind cannot be settled.
    #[error("cannot settle the actions of an earlier run: {0}")]
    Recovery(ActError),
    /// Nothing could be done or undone.
    #[error("cannot prepare to act: {0}")]
    Responder(ActError),
    /// The webhook cannot be used.
    #[error(transparent)]
    Webhook(#[from] crate::outbound::WebhookError),
    /// The kernel gives no randomness or no thread.
    #[error("cannot start: {0}")]
    Host(#[from] std::io::Error),
}

/// The running threads: the recorder ends after all others.
pub(super) struct Threads {
    pub(super) workers: Vec<JoinHandle<()>>,
    pub(super) recorder: JoinHandle<()>,
}

/// Wires everything together and starts the threads.
pub(super) fn start(settings: Settings, legacy: Option<Legacy>) -> Result<(Arc<Shared>, Threads), EngineError> {
    let policy = settings.policy.clone();
    let world = Arc::new(World::new(&policy.roles));
    // The sensors first: from here on nothing is missed while the rest is made ready.
    let ladder = collector::process_collectors(&policy.roles, settings.rung, Arc::clone(&world), legacy);
    let archive = Archive::open(&settings.data)?;
    let ledger = Arc::new(Ledger::open(&settings.data, chrono::Utc::now())?);
    let reader = archive.reader()?;
    let watching = Mutex::new((ladder.rung(), chrono::Utc::now()));
    let key = random::key()?;
    let court = Court::new(&policy, key, ledger.next_warrant_id()?);
    let owner = Arc::new(Owner::new(policy.protected.addresses.clone()));
    let responder = responder(&settings, Arc::clone(&ledger), &court, &owner, &world).map_err(EngineError::Responder)?;
    let mode = reader.meta("mode")?.and_then(|mode| mode.parse().ok()).unwrap_or(policy.mode.initial);
    let desk = Desk::new(court, mode, pending(&reader)?, ApprovalId(reader.max_approval_id()?.0 + 1), policy.actions.question_lapses);
    let correlator = Correlator::new(&policy, IncidentId(reader.max_incident_id()?.0 + 1));
    let away: Option<Timestamp> = reader.meta("away_since")?.and_then(|at| at.parse().ok());
    let (recorder, far_end) = Recorder::new();
    let first_event = EventId(reader.max_event_id()?.0 + 1);
    let next_alert = AtomicU64::new(reader.max_alert_id()?.0 + 1);
    let inode = |name: &'static str| std::fs::metadata(settings.data.join(name)).map(|metadata| (name, metadata.ino())).ok();
    let files = ["archive.db", "ledger.db"].into_iter().filter_map(inode).collect();
    let shared = Arc::new(Shared {
        world,
        lanes: Arc::new(Lanes::new(settings.lanes, first_event)),
        live: Mutex::new(Live::default()),
        publisher: Mutex::new(Publisher::default()),
        correlator: Mutex::new(correlator),
        docket: Docket::default(),
        desk: Mutex::new(desk),
        responder,
        ledger,
        owner,
        recorder,
        archive: Mutex::new(reader),
        webhook: settings.webhook.as_deref().map(hook).transpose()?,
        totals: Counters::default(),
        attendance: Mutex::new(Attendance::since(away)),
        ladder,
        watch_blind_spots: collector::watch_blind_spots(),
        watching,
        degraded: Mutex::new(BTreeMap::new()),
        gauge: Mutex::new(Gauge::default()),
        stop: Stop::default(),
        upgrade: AtomicBool::new(false),
        same_object: AtomicBool::new(false),
        upgradable: AtomicBool::new(false),
        pulse: Mutex::new(Instant::now()),
        next_alert,
        files,
        policy: Mutex::new(policy),
        settings,
    });
    if let Some(notice) = archive.notice() {
        shared.degrade("archive", Some(notice.to_owned()));
    }
    if let Some(notice) = shared.ledger.notice() {
        shared.degrade("ledger", Some(notice.to_owned()));
    }
    own_rights(&shared);
    restore(&shared)?;
    settle(&shared)?;
    keep_digests(&shared);
    let writer = archive.writer()?;
    let threads = threads(&shared, writer, far_end)?;
    Ok((shared, threads))
}

/// What becomes known of an executable is known of earlier events about it too.
fn keep_digests(shared: &Arc<Shared>) {
    let keeper = Arc::downgrade(shared); // the shared state holds the world, which would hold it
    shared.world.enrichment().on_digest(move |learnt| {
        let Some(shared) = keeper.upgrade() else { return };
        let Learnt { content, sha256, package } = learnt.clone();
        let Content { device, inode, changed } = content;
        shared.recorder.keep(Record::Digest(FileDigest { device, inode, changed, sha256: Some(sha256), package }));
    });
}

/// The webhook, with a thread of its own that delivers. It ends with the process: what waits then is in the archive.
fn hook(url: &str) -> Result<Webhook, EngineError> {
    let (webhook, delivery) = Webhook::new(url)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("webhook".to_owned()).spawn(move || runtime.block_on(delivery.run()))?;
    Ok(webhook)
}

/// Questions that an earlier life asked and nobody has answered.
fn pending(reader: &Reader) -> Result<Vec<Approval>, StoreError> {
    Ok(reader.approvals(1_000)?.records.into_iter().filter(|approval| approval.state == ApprovalState::Pending).collect())
}

fn responder(
    settings: &Settings,
    ledger: Arc<Ledger>,
    court: &Court,
    owner: &Arc<Owner>,
    world: &Arc<World>,
) -> Result<Responder, ActError> {
    let (owner, world) = (Arc::clone(owner), Arc::clone(world));
    Responder::new(ledger, &settings.runtime, court.verifier(), Box::new(move || owner.lifeline()), Box::new(move |root| world.tree(root)))
}

/// Puts back on screen what the archive remembers, and open incidents before the correlator.
fn restore(shared: &Shared) -> Result<(), EngineError> {
    let archive = lock(&shared.archive);
    let mut live = lock(&shared.live);
    let mut correlator = lock(&shared.correlator);
    let signals = archive.signals(2_000)?.records;
    for incident in archive.incidents(200)?.records.into_iter().rev() {
        let own = signals.iter().rev().filter(|signal| incident.signals.contains(&signal.id)).cloned().collect();
        live.incident(&incident, &[]);
        correlator.restore(incident, own);
    }
    signals.iter().rev().for_each(|signal| live.signal(signal));
    archive.alerts(200)?.records.iter().rev().for_each(|alert| live.alert(alert));
    archive.approvals(100)?.records.iter().rev().for_each(|approval| live.approval(approval));
    Ok(())
}

/// Without root the agent still watches what it may, and says what it cannot do.
fn own_rights(shared: &Shared) {
    let uid = privacy::own_uid();
    if uid != 0 {
        let trouble = format!(
            "uid {uid} is not root: short-lived processes and other users' files are not seen, nothing can be blocked or frozen; run it as root"
        );
        shared.degrade("rights", Some(trouble));
    }
}

/// Settles what an earlier life began: every action gets an owner again or is undone, none is done twice.
fn settle(shared: &Shared) -> Result<(), EngineError> {
    let changed = shared.responder.recover(chrono::Utc::now()).map_err(EngineError::Recovery)?;
    for action in &changed {
        tracing::info!(action = %action.id, state = action.state.noun(), "settled after restart");
    }
    shared.all_actions().iter().rev().for_each(|action| shared.action_changed(action));
    Ok(())
}

/// Starts every thread of the agent. The sensors come last, when somebody is there to take what they see.
fn threads(shared: &Arc<Shared>, writer: Writer, far_end: FarEnd) -> Result<Threads, EngineError> {
    let policy = lock(&shared.policy).clone();
    let spawn = |name: &str, body: Box<dyn FnOnce() + Send>| std::thread::Builder::new().name(name.to_owned()).spawn(body);
    let mut threads = Vec::new();
    let (recording, limits) = (Arc::clone(shared), (shared.settings.store_max_bytes, shared.settings.store_max_age));
    let recorder = spawn("recorder", Box::new(move || record_all(&recording, &far_end, writer, limits)))?;
    let known = shared.world.known_listeners();
    for (flow, owner) in &known {
        let process = owner.and_then(|key| shared.world.get(key));
        lock(&shared.live).socket(flow, true, process.as_deref(), chrono::Utc::now());
    }
    let known: Vec<_> = known
        .into_iter()
        .map(|(flow, owner)| (flow, owner.and_then(|key| shared.world.get(key)).map(|process| process.exe.clone())))
        .collect();
    let pipeline = Pipeline::new(Arc::clone(shared), Panel::new(&policy, &known));
    threads.push(spawn("pipeline", Box::new(move || pipeline.run()))?);
    let court = Arc::clone(shared);
    threads.push(spawn("court", Box::new(move || rounds::sit(&court)))?);
    let crier = Arc::clone(shared);
    threads.push(spawn("crier", Box::new(move || rounds::cry(&crier)))?);
    let places = Places::under(Path::new("/")).remembering(&shared.settings.data);
    let watchers = collector::watch_collectors(&policy, &places, &shared.world);
    for collector in watchers.into_iter().chain(shared.ladder.collectors()) {
        threads.push(supervisor::watch(Arc::clone(shared), collector)?);
    }
    Ok(Threads { workers: threads, recorder })
}

fn record_all(shared: &Shared, far_end: &FarEnd, writer: Writer, limits: (u64, Duration)) {
    // What is written a little later is as good; what is sensed or judged later is not.
    manners::step_aside();
    record::write(far_end, writer, limits, |lost, trouble| {
        shared.recorder.failed(lost);
        shared.degrade("archive", trouble.map(|error| error.to_string()));
    });
}

/// Everything that a console shows now, and every delta after it.
pub(super) fn snapshot(shared: &Shared, arriving: bool) -> (Snapshot, tokio::sync::broadcast::Receiver<Arc<Push>>) {
    let health = rounds::measure(shared);
    let presence = if arriving { lock(&shared.attendance).arrive(shared.totals.read()) } else { None };
    let living = shared.world.living();
    let mut live = lock(&shared.live);
    live.watch(true);
    let changes = live.drain();
    let mut publisher = lock(&shared.publisher);
    publisher.delta(changes);
    let receiver = publisher.listen();
    let snapshot = Snapshot {
        seq: publisher.seq(),
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
