//! Starting: the parts are put together, what an earlier life left behind is settled, then the threads begin.

use std::path::Path;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::accounting;
use crate::alerts;
use crate::assemble::{self, Assembled, Past};
use crate::exceptions;
use crate::fim::live::Comparing;
use crate::health;
use crate::ingest::{self, LOGS_READ, Pipeline, unwatched};
use crate::parts::Parts;
use crate::policy_words::{self, POLICY_WORDS};
use crate::response::Response;
use crate::stop::Threads;
use crate::switches::SWITCHED_OFF;
use crate::upkeep::{self, Keeper};
use bartizan_config::Settings;
use bartizan_responder::ActError;
use bartizan_sensors::{Attribution, Changes, Collector, Places, Tampering, WatchedFiles};
use bartizan_store::StoreError;
use bartizan_store::ledger::LedgerError;
use bartizan_sys::reexec::{self, UpgradeState};
use bartizan_sys::{descriptors, umask};

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
    /// Another agent works there.
    #[error("another agent uses {0}: attach to it with `bartizan attach`, or choose another directory with --data")]
    InUse(std::path::PathBuf),
    /// The kernel gives no thread.
    #[error("cannot start: {0}")]
    Host(#[from] std::io::Error),
}

/// Puts everything together and starts the threads.
pub(crate) fn start(settings: Settings, legacy: Option<UpgradeState>) -> Result<(Arc<Parts>, Threads), EngineError> {
    let mut assembled = assemble::assemble(settings, legacy)?;
    let parts = Arc::clone(&assembled.parts);
    own_rights(&parts);
    recall(&parts, &mut assembled);
    let threads = threads(&parts, assembled)?;
    if let Some(off) = parts.troubles.all().remove(SWITCHED_OFF) {
        // Like what is switched off while it runs: the log says what this run never reported.
        parts.response.audit(chrono::Utc::now(), "agent", "switches.in-force", "policy", &format!("switched off from the start: {off}"));
    }
    let (version, rung, mode) = (env!("CARGO_PKG_VERSION"), parts.ladder.rung().noun(), parts.response.standing().mode);
    tracing::info!(version, rung, %mode, pid = std::process::id(), data = %parts.settings.data.display(), "bartizan watches");
    Ok((parts, threads))
}

/// Without root the agent still watches what it may, and says what it cannot do.
fn own_rights(parts: &Parts) {
    let limit = descriptors::limit();
    if limit < descriptors::ENOUGH {
        let trouble = format!(
            "only {limit} files may be open at once: some sensors may find none; raise LimitNOFILE (ulimit -Hn) to {}",
            descriptors::ENOUGH
        );
        parts.troubles.report("descriptors", Some(trouble));
    }
    let uid = umask::own_uid();
    if uid != 0 {
        let trouble = format!(
            "uid {uid} is not root: short-lived processes and other users' files are not seen, nothing can be blocked or frozen; run it as root"
        );
        parts.troubles.report("rights", Some(trouble));
    }
}

/// What earlier runs left behind comes back on screen and before the correlator, their actions are settled, and it is said what
/// no run saw.
fn recall(parts: &Parts, assembled: &mut Assembled) {
    match upkeep::restored(&parts.archives, &parts.console, false) {
        Ok(incidents) => incidents.into_iter().for_each(|(incident, signals)| assembled.correlator.restore(incident, signals)),
        Err(error) => parts.troubles.report("archive", Some(error.to_string())),
    }
    let Past { unwatched: loss, watched_until } = &assembled.past;
    if let Some(loss) = loss {
        // Before the sensors: the first event of this run says what no run saw.
        parts.ingest.emit(unwatched(loss.clone()));
    }
    if !parts.settings.only_watches {
        parts.troubles.report(POLICY_WORDS, policy_words::told(&parts.settings.policy));
        parts.response.settle(&mut assembled.decider);
    }
    match upkeep::begin_run(&parts.ledger, *watched_until) {
        Ok(Some(alarm)) => {
            tracing::warn!(alarm = %alarm, "the previous run was killed or crashed");
            parts.ingest.alarm(alarm);
        }
        Ok(None) => {}
        Err(error) => tracing::warn!(%error, "the next run will not know how this one ended"),
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body)
}

/// Starts every thread of the agent. The sensors come last, when somebody is there to take what they see.
fn threads(parts: &Arc<Parts>, assembled: Assembled) -> Result<Threads, EngineError> {
    let Assembled { correlator, coverage, decider, books, timers, writer, far_end, .. } = assembled;
    let policy = &parts.settings.policy;
    parts.accounting.threads_start();
    let keeper = Keeper::new(&parts.upkeep, &parts.console, &parts.accounting.counters);
    let limits = (parts.settings.store_max_bytes, parts.settings.store_max_age);
    let recorder = spawn("recorder", move || upkeep::record_all(&far_end, writer, limits, keeper))?;
    let ties = assemble::pipeline_ties(parts);
    parts.ingest.set_exceptions(exceptions::in_force(parts));
    let pipeline = Pipeline::new(assemble::detectors(parts), (correlator, assemble::log_judge(parts)), coverage, ties);
    let pipeline = spawn("pipeline", move || pipeline.run())?;
    let mut workers = Vec::new();
    let response = || Arc::clone(&parts.response);
    let court = response();
    workers.push(spawn("court", move || court.sit(decider))?);
    let reconciler = response();
    workers.push(spawn("reconciler", move || reconciler.keep_true())?);
    let (feed, stop, whole) = (Arc::clone(&parts.console), parts.life.stop.clone(), Arc::downgrade(parts));
    workers.push(spawn("publisher", move || feed.run(&stop, || Weak::upgrade(&whole).map(|parts| health::measure(&parts))))?);
    let (accounts, ties) = (Arc::clone(&parts.accounting), accounting_ties(parts));
    workers.push(spawn("accounting", move || accounts.run(books, &ties))?);
    let keeper = Arc::clone(&parts.upkeep);
    workers.push(spawn("upkeep", move || keeper.run(timers))?);
    let keeper = tell_people(parts)?;
    if !parts.settings.only_watches {
        let (probes, stop) = (response(), parts.life.stop.clone());
        workers.push(spawn("probes", move || upkeep::run_probes(&probes, &stop))?);
        let guard = response();
        workers.push(spawn("table-watch", move || guard.watch_table())?);
    }
    let lifeline = response();
    workers.push(spawn("lifeline", move || lifeline.keep_lifeline())?);
    let (names, stop) = (Arc::downgrade(&parts.response), parts.life.stop.clone());
    // Nobody waits for its end: a resolver that does not answer would hold the agent for seconds.
    drop(spawn("time-servers", move || keep_names(&names, &stop))?);
    let places = Places::under(Path::new("/")).remembering(&parts.settings.data);
    let watchers = bartizan_sensors::watch_collectors(policy, &places, &parts.processes);
    let own: Box<dyn Collector> = Box::new(watch_over_ourselves(parts));
    let logs = (!parts.settings.only_watches).then(|| logs(parts));
    for collector in watchers.into_iter().chain([own]).chain(files(parts)).chain(logs).chain(parts.ladder.collectors()) {
        workers.push(parts.ingest.watch(collector, &parts.life.stop)?);
    }
    Ok(Threads { workers, pipeline, recorder, keeper })
}

/// Who sends messages to people, who writes down what waits, and the sign of life.
fn tell_people(parts: &Arc<Parts>) -> std::io::Result<JoinHandle<()>> {
    let settings = &parts.settings.alerts;
    let alerts = Arc::clone(&parts.alerts);
    let keeper = spawn("alert-keeper", move || alerts.keep())?;
    alerts::send_all(&parts.alerts, &settings.sinks)?;
    if let Some(url) = settings.heartbeat.clone() {
        let (every, stop, troubles, whole) =
            (settings.heartbeat_every, parts.life.stop.clone(), Arc::clone(&parts.troubles), Arc::downgrade(parts));
        let stuck = move || Weak::upgrade(&whole).and_then(|parts| parts.accounting.stuck(parts.response.moved()));
        // Nobody waits for its end: it may hang in a name server.
        drop(spawn("heartbeat", move || alerts::run_heartbeat(url, every, &stop, &troubles, stuck))?);
    }
    Ok(keeper)
}

/// What watches the files of the baseline, and what compares them with it.
fn files(parts: &Parts) -> [Box<dyn Collector>; 2] {
    let changes: Arc<dyn Changes> = parts.files.clone();
    let touches = WatchedFiles::new(changes, Attribution::from_cache(Arc::clone(&parts.processes)));
    [Box::new(touches), Box::new(Comparing(Arc::clone(&parts.files)))]
}

/// What follows the logs. Without the archive nothing is known of an earlier run: they are read from now on.
fn logs(parts: &Parts) -> Box<dyn Collector> {
    let read = parts.archives.ask(|archive| archive.meta(LOGS_READ)).ok().flatten();
    ingest::log_follower(&parts.ingest, &parts.settings, read.as_deref(), &parts.life.stop)
}

fn accounting_ties(parts: &Parts) -> accounting::Ties {
    let response = Arc::clone(&parts.response);
    accounting::Ties {
        stop: parts.life.stop.clone(),
        troubles: Arc::clone(&parts.troubles),
        ingest: Arc::clone(&parts.ingest),
        moved: Box::new(move || response.moved()),
    }
}

fn keep_names(response: &Weak<Response>, stop: &bartizan_sensors::Stop) {
    while let Some(response) = response.upgrade().filter(|_| !stop.is_set()) {
        response.ask_names();
        drop(response);
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Who touches our records, settings, unit and program.
fn watch_over_ourselves(parts: &Parts) -> Tampering {
    let who = Attribution::from_cache(Arc::clone(&parts.processes));
    let program = reexec::own_path().ok();
    Tampering::new(&parts.settings.data, parts.settings.file(), program, Path::new("/"), who)
}
