//! Starting: databases, what an earlier life left behind, sensors, threads; and the first snapshot of a console.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::coverage::Coverage;
use super::gauge::Gauge;
use super::given_up::{Controls, GivenUp};
use super::governor::{Governor, Limits};
use super::lanes::Lanes;
use super::latency::Stopwatch;
use super::live::Live;
use super::notify::Notify;
use super::owner::Owner;
use super::pipeline::Pipeline;
use super::presence::Attendance;
use super::publish::Publisher;
use super::pulses::Pulses;
use super::record::{FarEnd, Record, Recorder};
use super::response::{Decider, Questions, Response};
use super::seen_logins::{self, SeenLogins};
use super::shared::{Counters, Shared, lock};
use super::{archiving, policy_words, response, rounds, run_mark, supervisor, table_watch};
use bartizan_config::{Policy, Settings};
use bartizan_court::Court;
use bartizan_detect::correlator::Correlator;
use bartizan_detect::detectors::DetectorSet;
use bartizan_model::{ApprovalId, EventId, IncidentId, Mode};
use bartizan_outbound::Webhook;
use bartizan_protocol::{Push, Snapshot};
use bartizan_responder::{ActError, Responder, Ties};
use bartizan_sensors::{Attribution, Collector, Places, ProcessCache, Sink, Stop, Tampering};
use bartizan_store::ledger::{Ledger, LedgerError};
use bartizan_store::{FileDigest, Readers, StoreError, Writer};
use bartizan_sys::data_lock::DataLock;
use bartizan_sys::reexec::{self, UpgradeState};
use bartizan_sys::{descriptors, disk_space, umask};

/// Why the agent cannot do its work at all.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal of actions cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Nothing could be done or undone.
    #[error("cannot prepare to act: {0}")]
    Responder(ActError),
    /// The webhook cannot be used.
    #[error(transparent)]
    Webhook(#[from] bartizan_outbound::WebhookError),
    /// Another agent works there.
    #[error("another agent uses {0}: attach to it with `bartizan attach`, or choose another directory with --data")]
    InUse(std::path::PathBuf),
    /// The kernel gives no thread.
    #[error("cannot start: {0}")]
    Host(#[from] std::io::Error),
}

/// How long an agent that was there before may take to be gone.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bounds of what the ledger sets aside, in bytes.
const LARGEST_RESERVE: u64 = 4 << 20;
const SMALLEST_RESERVE: u64 = 256 << 10;

/// The running threads: the pipeline ends after the workers, the recorder after the pipeline.
pub(super) struct Threads {
    pub(super) workers: Vec<JoinHandle<()>>,
    pub(super) pipeline: JoinHandle<()>,
    pub(super) recorder: JoinHandle<()>,
}

/// Wires everything together and starts the threads.
pub(super) fn start(settings: Settings, legacy: Option<UpgradeState>) -> Result<(Arc<Shared>, Threads), EngineError> {
    let policy = settings.policy.clone();
    let held = DataLock::take_within(&settings.data, PATIENCE)?.ok_or_else(|| EngineError::InUse(settings.data.clone()))?;
    let processes = Arc::new(ProcessCache::new(&policy.roles));
    // The sensors first: from here on nothing is missed while the rest is made ready.
    let ladder = bartizan_sensors::process_collectors(&policy.roles, settings.rung, Arc::clone(&processes), legacy);
    let ledger = Arc::new(Ledger::open(&settings.data, chrono::Utc::now())?);
    let reserved = ledger.reserve(reserve_of(&settings));
    let archiving::Opened { reader, writer, past, notice } = archiving::open(&settings.data, &ledger)?;
    let watched_until = past.watched_until;
    let (mut coverage, mut unwatched) = Coverage::resume(past.gaps.as_deref(), &past.losses, watched_until, chrono::Utc::now());
    if ladder.is_continued() {
        coverage.go_on();
        unwatched = None;
    }
    let court = Court::new(&policy, ledger.next_warrant_id()?);
    let users = settings.access.operators.iter().chain(&settings.access.admins).copied().collect();
    // Without the archive nobody is remembered: the logs of logins are left.
    let seen = reader.as_ref().and_then(|reader| reader.meta(seen_logins::KEY).ok().flatten());
    let seen = SeenLogins::load(seen.as_deref());
    let owner = Arc::new(Owner::new(policy.protected.addresses.clone()).used_by(users).remembering(seen));
    let first_event = EventId(past.numbers.events + 1);
    let lanes = Arc::new(Lanes::new(settings.lanes, first_event));
    let ties = ties(&policy, &owner, &processes, &lanes);
    let responder = Responder::new(Arc::clone(&ledger), &settings.runtime, ties).map_err(EngineError::Responder)?;
    let mode = past.mode(&ledger).unwrap_or(policy.mode.initial);
    let questions = Questions::new(past.pending, ApprovalId(past.numbers.approvals + 1), policy.actions.question_lapses);
    let correlator = Correlator::new(&policy, IncidentId(past.numbers.incidents + 1));
    let (recorder, far_end) = Recorder::new();
    let limits = Limits { cpu_percent: settings.max_cpu_percent as f64, rss_bytes: settings.max_memory };
    let controls = controls(&ladder, &processes);
    let next_alert = AtomicU64::new(past.numbers.alerts + 1);
    let shared = Arc::new(Shared {
        processes,
        lanes,
        live: Mutex::new(Live::default()),
        publisher: Mutex::new(Publisher::default()),
        correlator: Mutex::new(correlator),
        response: Response::new(mode),
        responder,
        ledger,
        owner,
        recorder,
        archive: Mutex::new(reader.map(Readers::new)),
        webhook: settings.webhook.as_deref().map(|url| hook(url, settings.webhook_format)).transpose()?,
        totals: Counters::default(),
        attendance: Mutex::new(Attendance::since(past.away_since)),
        ladder,
        watch_blind_spots: bartizan_sensors::watch_blind_spots(),
        coverage: Mutex::new(coverage),
        outages: Mutex::default(),
        degraded: Mutex::new(BTreeMap::new()),
        gauge: Mutex::new(Gauge::default()),
        governor: Mutex::new(Governor::new(limits, controls.steps())),
        given_up: GivenUp::default(),
        controls,
        latency: Stopwatch::default(),
        stop: Stop::default(),
        upgrade: AtomicBool::new(false),
        candidate: Mutex::default(),
        _lock: held,
        same_object: AtomicBool::new(false),
        upgradable: AtomicBool::new(false),
        ended: tokio::sync::watch::Sender::new(false),
        notify: Notify::default(),
        pulses: Pulses::default(),
        next_alert,
        files: Mutex::default(),
        policy: Mutex::new(policy),
        settings,
    });
    ["archive.db", "ledger.db"].into_iter().for_each(|name| shared.note_file(name));
    shared.degrade("archive", notice);
    shared.degrade("journal", shared.ledger.trouble());
    shared.degrade("ledger reserve", reserved.err().map(|error| error.to_string()));
    if let Some(notice) = shared.ledger.notice() {
        shared.degrade("ledger", Some(notice.to_owned()));
    }
    own_rights(&shared);
    keep_digests(&shared);
    if let Err(error) = archiving::restore(&shared) {
        shared.degrade("archive", Some(error.to_string()));
    }
    if let Some(loss) = unwatched {
        // Before the sensors: the first event of this run says what no run saw.
        shared.lanes.emit(supervisor::unwatched(loss));
    }
    let mut decider = Decider::new(Arc::clone(&shared), court, mode, questions, &lock(&shared.policy));
    if !shared.settings.only_watches {
        settle(&shared, &mut decider);
    }
    match run_mark::begin(&shared.ledger, watched_until) {
        Ok(Some(alarm)) => {
            tracing::warn!(alarm = %alarm, "the run before this one did not end by itself");
            shared.lanes.emit(supervisor::alarmed(alarm));
        }
        Ok(None) => {}
        Err(error) => tracing::warn!(%error, "the next run will not know how this one ended"),
    }
    let threads = threads(&shared, decider, writer, far_end)?;
    let (version, rung, mode) = (env!("CARGO_PKG_VERSION"), shared.ladder.rung().noun(), shared.response.standing().mode);
    tracing::info!(version, rung, %mode, pid = std::process::id(), data = %shared.settings.data.display(), "bartizan watches");
    Ok((shared, threads))
}

/// Who pauses for the budget.
fn controls(ladder: &bartizan_sensors::Ladder, processes: &Arc<ProcessCache>) -> Controls {
    let (sockets, executables, names) = (ladder.clone(), Arc::clone(processes), Arc::clone(processes));
    Controls {
        hashing: Some(Box::new(move |pause| executables.enrichment().pause_hashing(pause))),
        names: Some(Box::new(move |pause| names.enrichment().pause_names(pause))),
        polling: Some(Box::new(move |rarely| sockets.poll_rarely(rarely))),
    }
}

/// What becomes known of an executable is kept for the events that came before.
fn keep_digests(shared: &Arc<Shared>) {
    let keeper = Arc::downgrade(shared);
    shared.processes.enrichment().on_digest(move |learnt| {
        let digest = FileDigest {
            device: learnt.content.device,
            inode: learnt.content.inode,
            changed: learnt.content.changed,
            sha256: Some(learnt.sha256),
            package: learnt.package.clone(),
        };
        if let Some(shared) = keeper.upgrade() {
            shared.recorder.keep(Record::Digest(digest));
        }
    });
}

/// The webhook, with a thread of its own that delivers. It ends with the process: what waits then is in the archive.
fn hook(url: &str, format: bartizan_config::WebhookFormat) -> Result<Webhook, EngineError> {
    let (webhook, delivery) = Webhook::new(url, format)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("webhook".to_owned()).spawn(move || runtime.block_on(delivery.run()))?;
    Ok(webhook)
}

/// What the responder asks the rest of the agent, and tells it.
fn ties(policy: &Policy, owner: &Arc<Owner>, processes: &Arc<ProcessCache>, lanes: &Arc<Lanes>) -> Ties {
    let (owner, processes, lanes) = (Arc::clone(owner), Arc::clone(processes), Arc::clone(lanes));
    Ties {
        lifeline: Box::new(move || owner.lifeline()),
        again: bartizan_responder::second_look(),
        tree: Box::new(move |root| processes.tree(root)),
        alarm: Box::new(move |alarm| lanes.emit(supervisor::alarmed(alarm))),
        policy: policy.clone(),
    }
}

/// Without root the agent still watches what it may, and says what it cannot do.
fn own_rights(shared: &Shared) {
    let limit = descriptors::limit();
    if limit < descriptors::ENOUGH {
        let trouble = format!(
            "only {limit} files may be open at once: some sensors may find none; raise LimitNOFILE (ulimit -Hn) to {}",
            descriptors::ENOUGH
        );
        shared.degrade("descriptors", Some(trouble));
    }
    let uid = umask::own_uid();
    if uid != 0 {
        let trouble = format!(
            "uid {uid} is not root: short-lived processes and other users' files are not seen, nothing can be blocked or frozen; run it as root"
        );
        shared.degrade("rights", Some(trouble));
    }
}

/// Settles what an earlier life began: every action gets an owner again or is undone, none is done twice. What cannot be
/// settled now is told, and tried again by the reconciler.
fn settle(shared: &Shared, decider: &mut Decider) {
    shared.degrade(policy_words::POLICY_WORDS, policy_words::told(&lock(&shared.policy)));
    // Everything was undone while no agent ran: nothing of it is taken for drift.
    rounds::obey_emergency_script(shared, |by| {
        let before = decider.mode();
        decider.set_mode(Mode::Paranoid);
        response::mode_changed(shared, before, Mode::Paranoid, &by.to_string());
        response::undo_everything(shared, by)
    });
    match shared.responder.recover(chrono::Utc::now()) {
        Ok(changed) => changed.iter().for_each(|action| {
            tracing::info!(action = %action.id, state = action.state.noun(), "settled after restart");
        }),
        Err(error) => shared.degrade("reconciler", Some(format!("the actions of an earlier run are not all settled: {error}"))),
    }
    shared.degrade("table of our name", shared.responder.table_trouble());
    shared.all_actions().iter().rev().for_each(|action| shared.action_changed(action));
}

/// Room that the ledger sets aside for a day without any: a sixteenth of its disk, 4 MiB at most.
pub(super) fn reserve_of(settings: &Settings) -> u64 {
    let disk = disk_space::total(&settings.data).map_or(LARGEST_RESERVE, |total| total / 16);
    disk.clamp(SMALLEST_RESERVE, LARGEST_RESERVE)
}

/// Starts every thread of the agent. The sensors come last, when somebody is there to take what they see.
fn threads(shared: &Arc<Shared>, decider: Decider, writer: Option<Writer>, far_end: FarEnd) -> Result<Threads, EngineError> {
    let policy = lock(&shared.policy).clone();
    let spawn = |name: &str, body: Box<dyn FnOnce() + Send>| std::thread::Builder::new().name(name.to_owned()).spawn(body);
    let mut threads = Vec::new();
    let (recording, limits) = (Arc::clone(shared), (shared.settings.store_max_bytes, shared.settings.store_max_age));
    let recorder = spawn("recorder", Box::new(move || archiving::record_all(&recording, &far_end, writer, limits)))?;
    let known = shared.processes.known_listeners();
    for (flow, owner) in &known {
        let process = owner.and_then(|key| shared.processes.get(key));
        lock(&shared.live).socket(flow, true, process.as_deref(), chrono::Utc::now());
    }
    let known: Vec<_> = known
        .into_iter()
        .map(|(flow, owner)| (flow, owner.and_then(|key| shared.processes.get(key)).map(|process| process.exe.clone())))
        .collect();
    let pipeline = Pipeline::new(Arc::clone(shared), DetectorSet::new(&policy, &known));
    let pipeline = spawn("pipeline", Box::new(move || pipeline.run()))?;
    let court = Arc::clone(shared);
    threads.push(spawn("court", Box::new(move || rounds::sit(&court, decider)))?);
    let caretaker = Arc::clone(shared);
    threads.push(spawn("reconciler", Box::new(move || rounds::care(&caretaker)))?);
    let crier = Arc::clone(shared);
    threads.push(spawn("publisher", Box::new(move || rounds::cry(&crier)))?);
    if !shared.settings.only_watches {
        let nurse = Arc::clone(shared);
        threads.push(spawn("probes", Box::new(move || rounds::nurse(&nurse)))?);
        let guard = Arc::clone(shared);
        threads.push(spawn("table-watch", Box::new(move || table_watch::watch(&guard)))?);
    }
    let keeper = Arc::clone(shared);
    let body = move || {
        let note = |seen| keeper.recorder.keep(Record::Note(seen_logins::KEY, seen));
        keeper.owner.keep(|| keeper.stop.is_set(), |unknown| keeper.degrade("lifeline", unknown), note);
    };
    threads.push(spawn("lifeline", Box::new(body))?);
    let names = Arc::downgrade(shared);
    // Nobody waits for its end: a resolver that does not answer would hold the agent for seconds.
    drop(spawn("time-servers", Box::new(move || keep_names(&names)))?);
    let places = Places::under(Path::new("/")).remembering(&shared.settings.data);
    let watchers = bartizan_sensors::watch_collectors(&policy, &places, &shared.processes);
    let own: Box<dyn Collector> = Box::new(watch_over_ourselves(shared));
    for collector in watchers.into_iter().chain([own]).chain(shared.ladder.collectors()) {
        threads.push(supervisor::watch(Arc::clone(shared), collector)?);
    }
    Ok(Threads { workers: threads, pipeline, recorder })
}

fn keep_names(shared: &std::sync::Weak<Shared>) {
    while let Some(shared) = shared.upgrade().filter(|shared| !shared.stop.is_set()) {
        shared.owner.ask_names();
        drop(shared);
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Who touches our records, settings, unit and program.
fn watch_over_ourselves(shared: &Shared) -> Tampering {
    let who = Attribution::from_cache(Arc::clone(&shared.processes));
    let program = reexec::own_path().ok();
    Tampering::new(&shared.settings.data, shared.settings.file(), program, Path::new("/"), who)
}

/// Everything that a console shows now, and every delta after it.
pub(super) fn snapshot(shared: &Shared, arriving: bool) -> (Snapshot, tokio::sync::broadcast::Receiver<Arc<Push>>) {
    let health = rounds::measure(shared);
    let presence = if arriving { lock(&shared.attendance).arrive(shared.totals.read()) } else { None };
    let living = shared.processes.living();
    let mut live = lock(&shared.live);
    live.watch(true);
    let changes = live.drain();
    let mut publisher = lock(&shared.publisher);
    publisher.delta(changes);
    let receiver = publisher.listen();
    shared.notify.wake();
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
