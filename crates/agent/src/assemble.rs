//! Puts the parts together: opens the databases and the sensors, and gives each part what it needs of the others.

use std::sync::Arc;
use std::time::Duration;

use crate::accounting::{self, Accounting, Books, Controls};
use crate::alerts::Alerts;
use crate::archive::Archives;
use crate::console::{self, Console};
use crate::fim::live::Live;
use crate::ingest::{self, Coverage, HabitKeeper, Ingest, Lanes, LogJudge, alarmed};
use crate::knowledge::Knowledge;
use crate::life::Life;
use crate::parts::Parts;
use crate::past;
use crate::record::{FarEnd, Record, Recorder};
use crate::response::{self, ACCEPTED_LOGINS, AcceptedLogins, Decider, Owner, Questions, Response, SEEN_LOGINS, SeenLogins};
use crate::start::EngineError;
use crate::troubles::Troubles;
use crate::upkeep::{self, Opened, Timers, Upkeep};
use bartizan_config::{Policy, RuleFolders, Settings};
use bartizan_court::Court;
use bartizan_detect::correlator::Correlator;
use bartizan_detect::detectors::DetectorSet;
use bartizan_guard::administrators;
use bartizan_model::{ApprovalId, EventId, IncidentId, Loss, Mode, Timestamp};
use bartizan_responder::{Responder, Ties};
use bartizan_sensors::{Ladder, ProcessCache, Sink};
use bartizan_store::ledger::Ledger;
use bartizan_store::{FileDigest, Writer};
use bartizan_sys::data_lock::DataLock;
use bartizan_sys::random;
use bartizan_sys::reexec::UpgradeState;

/// How long an agent that was there before may take to be gone.
const PATIENCE: Duration = Duration::from_secs(2);

/// The parts, and what each thread will own.
pub(crate) struct Assembled {
    pub(crate) parts: Arc<Parts>,
    pub(crate) correlator: Correlator,
    pub(crate) coverage: Coverage,
    pub(crate) decider: Decider,
    pub(crate) books: Books,
    pub(crate) timers: Timers,
    pub(crate) writer: Option<Writer>,
    pub(crate) far_end: FarEnd,
    pub(crate) past: Past,
}

/// What is to be told of earlier runs.
pub(crate) struct Past {
    /// The time in which nobody watched.
    pub(crate) unwatched: Option<Loss>,
    /// When an earlier run is known to have watched last.
    pub(crate) watched_until: Option<Timestamp>,
}

/// What stands before any part: the databases and the sensors are open, and this directory is ours.
struct Ground {
    settings: Arc<Settings>,
    life: Life,
    troubles: Arc<Troubles>,
    processes: Arc<ProcessCache>,
    ladder: Ladder,
    ledger: Arc<Ledger>,
    archives: Arc<Archives>,
    recorder: Arc<Recorder>,
    alerts: Arc<Alerts>,
    owner: Arc<Owner>,
    lock: DataLock,
}

/// Puts everything together; no thread runs yet but those of the sensors.
pub(crate) fn assemble(settings: Settings, legacy: Option<UpgradeState>) -> Result<Assembled, EngineError> {
    let (ground, Opened { writer, past, .. }, far_end) = Ground::open(settings, legacy)?;
    let policy = ground.settings.policy.clone();
    let (coverage, unwatched) = ground.coverage(&past);
    let lanes = Arc::new(Lanes::new(ground.settings.lanes, EventId(past.numbers.events + 1)));
    let (accounting, books) = ground.accounting();
    let console = ground.console(past.away_since, past.numbers.alerts + 1, &accounting);
    let habits = HabitKeeper::open(&ground.settings.data, Arc::clone(&ground.troubles));
    let ingest = Ingest::new(Arc::clone(&lanes), Arc::clone(&accounting), Arc::clone(&ground.recorder), habits);
    let ingest = Arc::new(ingest);
    let mode = past.mode(&ground.ledger).unwrap_or(policy.mode.initial);
    let response = ground.response(mode, &lanes, (&ingest, &console, &accounting))?;
    let questions = Questions::new(past.pending, ApprovalId(past.numbers.approvals + 1), policy.actions.question_lapses);
    let court = Court::new(&policy, ground.ledger.next_warrant_id()?);
    let decider = Decider::new(Arc::clone(&response), court, mode, questions, &policy);
    decider.publish();
    let (upkeep, timers) = ground.upkeep(&ingest, &response);
    let correlator = Correlator::new(&policy, IncidentId(past.numbers.incidents + 1));
    let past = Past { unwatched, watched_until: past.watched_until };
    let Ground { settings, life, troubles, processes, ladder, ledger, archives, recorder, alerts, lock, .. } = ground;
    let watch_blind_spots = bartizan_sensors::watch_blind_spots();
    let files = Arc::new(Live::new(&settings.data, RuleFolders::of(&settings)));
    let parts = Parts {
        ingest,
        response,
        console,
        accounting,
        upkeep,
        settings,
        life,
        troubles,
        processes,
        ladder,
        watch_blind_spots,
        ledger,
        archives,
        recorder,
        alerts,
        exceptions_turn: std::sync::Mutex::new(()),
        files,
        _lock: lock,
    };
    Ok(Assembled { parts: Arc::new(parts), correlator, coverage, decider, books, timers, writer, far_end, past })
}

impl Ground {
    fn open(settings: Settings, legacy: Option<UpgradeState>) -> Result<(Self, Opened, FarEnd), EngineError> {
        let (settings, troubles) = (Arc::new(settings), Arc::<Troubles>::default());
        let roles = &settings.policy.roles;
        let lock = DataLock::take_within(&settings.data, PATIENCE)?.ok_or_else(|| EngineError::InUse(settings.data.clone()))?;
        let processes = Arc::new(ProcessCache::new(roles));
        // The sensors first: from here on nothing is missed while the rest is made ready.
        let ladder = bartizan_sensors::process_collectors(roles, settings.rung, Arc::clone(&processes), legacy);
        let ledger = Arc::new(Ledger::open(&settings.data, chrono::Utc::now())?);
        let reserved = ledger.reserve(upkeep::reserve_of(&settings));
        let mut opened = upkeep::open(&settings.data, &ledger)?;
        report_opened(&troubles, &ledger, opened.notice.take(), reserved.err().map(|error| error.to_string()));
        // Without the archive nobody is remembered: the logs of logins are left.
        let kept = |key| opened.reader.as_ref().and_then(|reader| reader.meta(key).ok().flatten());
        let (seen, accepted) = (SeenLogins::load(kept(SEEN_LOGINS).as_deref()), AcceptedLogins::load(kept(ACCEPTED_LOGINS).as_deref()));
        let owner = Arc::new(owner(&settings).remembering(seen, accepted));
        let (recorder, far_end) = Recorder::new();
        let recorder = Arc::new(recorder);
        keep_digests(&processes, &recorder);
        let alerts = Arc::new(Alerts::open(&settings, &troubles));
        let archives = Arc::new(Archives::new(opened.reader.take()));
        let life = Life::new();
        Ok((Self { settings, life, troubles, processes, ladder, ledger, archives, recorder, alerts, owner, lock }, opened, far_end))
    }

    /// What was watched so far, and the time since an earlier run in which nobody did.
    fn coverage(&self, past: &past::Past) -> (Coverage, Option<Loss>) {
        let (mut coverage, unwatched) = Coverage::resume(past.gaps.as_deref(), &past.losses, past.watched_until, chrono::Utc::now());
        if self.ladder.is_continued() {
            coverage.go_on();
            return (coverage, None);
        }
        (coverage, unwatched)
    }

    fn accounting(&self) -> (Arc<Accounting>, Books) {
        let limits = accounting::Limits { cpu_percent: self.settings.max_cpu_percent as f64, rss_bytes: self.settings.max_memory };
        let (accounting, books) = Accounting::new(limits, controls(&self.ladder, &self.processes));
        (Arc::new(accounting), books)
    }

    fn console(&self, left: Option<Timestamp>, next_alert: u64, accounting: &Accounting) -> Arc<Console> {
        let ties = console::Ties {
            processes: Arc::clone(&self.processes),
            counters: Arc::clone(&accounting.counters),
            recorder: Arc::clone(&self.recorder),
            alerts: Arc::clone(&self.alerts),
        };
        Arc::new(Console::new(&self.settings.policy, left, next_alert, ties))
    }

    fn response(
        &self,
        mode: Mode,
        lanes: &Arc<Lanes>,
        (ingest, console, accounting): (&Arc<Ingest>, &Arc<Console>, &Arc<Accounting>),
    ) -> Result<Arc<Response>, EngineError> {
        let hand = ties(&self.settings.policy, &self.owner, &self.processes, lanes);
        let responder = Responder::new(Arc::clone(&self.ledger), &self.settings.runtime, hand).map_err(EngineError::Responder)?;
        let ties = response::Ties {
            settings: Arc::clone(&self.settings),
            stop: self.life.stop.clone(),
            troubles: Arc::clone(&self.troubles),
            processes: Arc::clone(&self.processes),
            ledger: Arc::clone(&self.ledger),
            recorder: Arc::clone(&self.recorder),
            alerts: Arc::clone(&self.alerts),
            ingest: Arc::clone(ingest),
            console: Arc::clone(console),
            accounting: Arc::clone(accounting),
        };
        Ok(Arc::new(Response::new(mode, responder, Arc::clone(&self.owner), ties)))
    }

    fn upkeep(&self, ingest: &Arc<Ingest>, response: &Arc<Response>) -> (Arc<Upkeep>, Timers) {
        let (upkeep, timers) = Upkeep::new(upkeep::Ties {
            settings: Arc::clone(&self.settings),
            stop: self.life.stop.clone(),
            troubles: Arc::clone(&self.troubles),
            ledger: Arc::clone(&self.ledger),
            archives: Arc::clone(&self.archives),
            recorder: Arc::clone(&self.recorder),
            ingest: Arc::clone(ingest),
            response: Arc::clone(response),
        });
        (Arc::new(upkeep), timers)
    }
}

fn report_opened(troubles: &Troubles, ledger: &Ledger, notice: Option<String>, reserve: Option<String>) {
    troubles.report("archive", notice);
    troubles.report("journal", ledger.trouble());
    troubles.report("ledger reserve", reserve);
    if let Some(notice) = ledger.notice() {
        troubles.report("ledger", Some(notice.to_owned()));
    }
}

/// Whom never to cut off.
fn owner(settings: &Settings) -> Owner {
    let users = settings.access.operators.iter().chain(&settings.access.admins).copied().collect();
    Owner::new(settings.policy.protected.addresses.clone()).used_by(users)
}

/// What the responder asks the rest of the agent, and tells it.
fn ties(policy: &Policy, owner: &Arc<Owner>, processes: &Arc<ProcessCache>, lanes: &Arc<Lanes>) -> Ties {
    let (owner, processes, lanes) = (Arc::clone(owner), Arc::clone(processes), Arc::clone(lanes));
    Ties {
        lifeline: Box::new(move || owner.lifeline()),
        again: bartizan_responder::second_look(),
        tree: Box::new(move |root| processes.tree(root)),
        alarm: Box::new(move |alarm| lanes.emit(alarmed(alarm))),
        policy: policy.clone(),
    }
}

/// Who pauses for the budget.
fn controls(ladder: &Ladder, processes: &Arc<ProcessCache>) -> Controls {
    let (sockets, executables, names) = (ladder.clone(), Arc::clone(processes), Arc::clone(processes));
    Controls {
        hashing: Some(Box::new(move |pause| executables.enrichment().pause_hashing(pause))),
        names: Some(Box::new(move |pause| names.enrichment().pause_names(pause))),
        polling: Some(Box::new(move |rarely| sockets.poll_rarely(rarely))),
    }
}

/// What becomes known of an executable is kept for the events that came before.
fn keep_digests(processes: &ProcessCache, recorder: &Arc<Recorder>) {
    let recorder = Arc::downgrade(recorder);
    processes.enrichment().on_digest(move |learnt| {
        let digest = FileDigest {
            device: learnt.content.device,
            inode: learnt.content.inode,
            changed: learnt.content.changed,
            sha256: Some(learnt.sha256),
            package: learnt.package.clone(),
        };
        if let Some(recorder) = recorder.upgrade() {
            recorder.keep(Record::Digest(digest));
        }
    });
}

/// What is judged of logs: as an earlier run left it. Without its memory and the kernel's random numbers an attacker might choose addresses
/// that crowd others out of a table, and nothing worse.
pub(crate) fn log_judge(parts: &Parts) -> LogJudge {
    let memory = parts.archives.ask(|archive| archive.meta(ingest::LOGINS)).ok().flatten();
    let seed = random::key().ok().and_then(|key| Some(u64::from_le_bytes(*key.first_chunk()?))).unwrap_or_default();
    LogJudge::new(&parts.settings.policy, seed, memory.as_deref(), administrators::named())
}

/// Where the pipeline's results go.
pub(crate) fn pipeline_ties(parts: &Parts) -> ingest::Ties {
    ingest::Ties { ingest: Arc::clone(&parts.ingest), response: Arc::clone(&parts.response), console: Arc::clone(&parts.console) }
}

/// The detectors, which know the listeners that were there before; those are on screen from the beginning.
pub(crate) fn detectors(parts: &Parts) -> DetectorSet {
    let known: Vec<_> = parts.processes.known_listeners();
    let known: Vec<_> = known.into_iter().map(|(flow, owner)| (flow, owner.and_then(|key| parts.processes.get(key)))).collect();
    parts.console.listeners(&known);
    let known: Vec<_> = known.into_iter().map(|(flow, process)| (flow, process.map(|process| process.exe.clone()))).collect();
    let policy = &parts.settings.policy;
    let mut detectors = DetectorSet::new(policy, &known);
    let (knowledge, said) = Knowledge::read(parts, policy);
    said.iter().for_each(|said| tracing::info!("{said}"));
    knowledge.teach(&mut detectors);
    let habits = &parts.ingest.habits;
    detectors.set_baseline(ingest::baseline_settings(policy).map(|settings| habits.load(settings, chrono::Utc::now())));
    detectors
}
