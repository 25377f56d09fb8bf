//! The ladder of sensors: the best rung that works here, chosen by trying; when it breaks, the next; and up again when
//! a better one opens.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use chrono::TimeDelta;

use super::backend::{SensorBackend, open};
use super::backend_retry::{BackendRetry, FIRST_PAUSE};
use super::process::ProcessCollector;
use super::sockets::{SocketCollector, SocketWatch};
use super::{Collector, CollectorError, ProcessCache, Sink, Stop, blind_spots};
use bartizan_config::policy::Roles;
use bartizan_model::{BlindSpot, Event, EventId, EventKind, Loss, ProcessKey, Rung, Source, Timestamp, Unpoisoned as _};
use bartizan_sys::bpf;
use bartizan_sys::clock;
use bartizan_sys::reexec::UpgradeState;
use bartizan_sys::sock_diag::{SockDiagError, Socket};

/// Best first.
const RUNGS: [Rung; 3] = [Rung::Ebpf, Rung::ProcessConnector, Rung::Procfs];
/// How long a rung may have been broken before it noticed: sensors look at themselves once a second.
const UNNOTICED: TimeDelta = TimeDelta::seconds(2);
/// Naps of the one who tries better rungs, so that a stop is seen in time.
const NAP: Duration = Duration::from_millis(200);

/// The sensors of processes and sockets in use. Clones are the same ladder.
#[derive(Clone)]
pub struct Ladder(Arc<Steps>);

/// How a rung is opened.
type Opener = Box<dyn Fn(Rung) -> Result<SensorBackend, String> + Send + Sync>;

/// Where on the ladder we stand; shared by its collectors.
pub(super) struct Steps {
    pub(super) cache: Arc<ProcessCache>,
    /// The only rung to use, when one is forced.
    force: Option<Rung>,
    open: Opener,
    state: Mutex<State>,
    sockets: Mutex<SocketWatch>,
    rarely: AtomicBool,
    /// An earlier binary's rings are read on: nothing was missed between it and this one.
    continued: bool,
}

struct State {
    rung: Rung,
    /// Open and gathering, while no collector has it.
    door: Option<SensorBackend>,
    /// A collector has the door.
    running: bool,
    /// What the rung in use does not see here, and why.
    unseen: Vec<(&'static str, String)>,
    /// Why better rungs are not in use.
    refused: Vec<(Rung, String)>,
    climbing: BackendRetry,
}

/// How the run of a rung came to an end.
enum End {
    /// It was told to.
    Told(SensorBackend),
    /// It broke.
    Broke(String),
    /// A better one is open, and has been gathering since that moment.
    Outdone(Rung, SensorBackend, Timestamp),
}

/// Opens the best rung that works (or the forced one, for tests), then reads the present cache and its listeners, in
/// this order, so that nothing falls between. Takes some 100 ms.
/// What an earlier binary left open is used before anything is opened anew.
pub fn process_collectors(roles: &Roles, force: Option<Rung>, cache: Arc<ProcessCache>, legacy: Option<UpgradeState>) -> Ladder {
    cache.set_roles(roles);
    let adopted = legacy.and_then(|legacy| match super::upgrade_state::adopt(legacy, &cache) {
        Ok(intake) => Some(SensorBackend::Ebpf(Box::new(intake))),
        Err(why) => {
            tracing::warn!(why, "the earlier binary's sensors cannot be used; events between it and this one are lost");
            None
        }
    });
    Ladder(Arc::new(Steps::begin(cache, force, Box::new(open), FIRST_PAUSE, adopted)))
}

impl Ladder {
    /// The rung in use.
    pub fn rung(&self) -> Rung {
        self.0.rung()
    }

    /// Whether the rung is open; false only when a forced rung is refused.
    pub fn is_open(&self) -> bool {
        let state = self.0.state();
        state.door.is_some() || state.running
    }

    /// How the eBPF object in this program was made: `built`, `prebuilt`, `none`.
    pub fn bpf_object(&self) -> &'static str {
        bpf::ORIGIN
    }

    /// What cannot be seen now, why, and what would mend it.
    pub fn blind_spots(&self) -> Vec<BlindSpot> {
        let state = self.0.state();
        blind_spots::of(state.rung, &state.refused, &state.unseen, self.0.cache.evicted())
    }

    /// What the next binary needs to go on without a gap, once the collectors have ended; `None` on a rung that keeps
    /// nothing in the kernel.
    pub fn hand_over(&self) -> Option<Vec<u8>> {
        let mut state = self.0.state();
        let Some(SensorBackend::Ebpf(intake)) = &mut state.door else { return None };
        Some(super::upgrade_state::write(intake, &self.0.cache))
    }

    /// Why better rungs than the one in use are not, best first.
    pub fn refused(&self) -> Vec<(Rung, String)> {
        let state = self.0.state();
        let mut refused: Vec<(Rung, String)> = state.refused.iter().filter(|(rung, _)| *rung < state.rung).cloned().collect();
        refused.sort_by_key(|(rung, _)| *rung);
        refused
    }

    /// Whether an earlier binary's rings are read on, so that nothing was missed between it and this one.
    pub fn is_continued(&self) -> bool {
        self.0.continued
    }

    /// Whether only this one rung may be used.
    pub fn is_forced(&self) -> bool {
        self.0.force.is_some()
    }

    /// Looks at sockets more rarely, or as often as usual again.
    pub fn poll_rarely(&self, rarely: bool) {
        self.0.rarely.store(rarely, Ordering::Relaxed);
    }

    /// One collector of processes and one of sockets. Each runs on a thread of its own.
    pub fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![Box::new(ProcessCollector(self.0.clone())), Box::new(SocketCollector(self.0.clone()))]
    }
}

fn allowed(force: Option<Rung>) -> impl Iterator<Item = Rung> {
    RUNGS.into_iter().filter(move |rung| force.is_none_or(|force| force == *rung))
}

impl State {
    /// Takes the first of these rungs that opens; whether one did.
    fn take_first(&mut self, rungs: impl IntoIterator<Item = Rung>, open: &Opener) -> bool {
        for rung in rungs {
            match open(rung) {
                Ok(door) => {
                    self.take(rung, door);
                    return true;
                }
                Err(why) => self.refuse(rung, why),
            }
        }
        false
    }

    fn take(&mut self, rung: Rung, door: SensorBackend) {
        self.unseen = door.unseen();
        self.refused.retain(|(known, _)| *known != rung);
        (self.rung, self.door) = (rung, Some(door));
    }

    fn refuse(&mut self, rung: Rung, why: String) {
        self.refused.retain(|(known, _)| *known != rung);
        self.refused.push((rung, why));
    }
}

impl Steps {
    /// Takes over what an earlier binary left open, or opens the first rung that works; then reads the cache.
    pub(super) fn begin(
        cache: Arc<ProcessCache>,
        force: Option<Rung>,
        open: Opener,
        first_pause: Duration,
        adopted: Option<SensorBackend>,
    ) -> Self {
        let continued = adopted.is_some();
        let (rung, climbing) = (force.unwrap_or(Rung::Procfs), BackendRetry::new(first_pause));
        let mut state = State { rung, door: None, running: false, unseen: Vec::new(), refused: Vec::new(), climbing };
        match adopted {
            Some(door) => (state.rung, state.unseen, state.door) = (Rung::Ebpf, door.unseen(), Some(door)),
            // A forced rung that is refused shows as no open rung.
            None => _ = state.take_first(allowed(force), &open),
        }
        cache.reconcile();
        let (state, rarely) = (Mutex::new(state), AtomicBool::new(false));
        let steps = Self { cache, force, open, state, sockets: Mutex::default(), rarely, continued };
        // A refusal shows when the socket collector runs.
        let _refused = steps.poll_sockets(true);
        steps
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unpoisoned()
    }

    pub(super) fn rung(&self) -> Rung {
        self.state().rung
    }

    /// Whether sockets should be looked at more rarely than usual.
    pub(super) fn polls_rarely(&self) -> bool {
        self.rarely.load(Ordering::Relaxed)
    }

    pub(super) fn poll_sockets(&self, with_connections: bool) -> Result<Vec<(Socket, Option<ProcessKey>)>, SockDiagError> {
        self.sockets.lock().unpoisoned().poll(&self.cache, with_connections)
    }

    /// Runs the present rung until told to stop, and changes it when it breaks or a better one opens. Each change is a
    /// loss without a count. An error only when no rung is left; the next call tries the last one again.
    pub(super) fn run(&self, sink: &dyn Sink, stop: &Stop) -> Result<(), CollectorError> {
        self.state().running = true;
        let outcome = self.run_rungs(sink, stop);
        self.state().running = false;
        outcome
    }

    fn run_rungs(&self, sink: &dyn Sink, stop: &Stop) -> Result<(), CollectorError> {
        loop {
            let mut state = self.state();
            let (rung, ready) = (state.rung, state.door.take());
            drop(state);
            let end = match ready {
                Some(door) => self.run_one(rung, door, sink, stop),
                None => match (self.open)(rung) {
                    Ok(door) => {
                        self.cache.reconcile(); // nobody looked since it broke
                        self.run_one(rung, door, sink, stop)
                    }
                    Err(why) => End::Broke(why),
                },
            };
            match end {
                End::Told(door) => {
                    self.state().door = Some(door); // a later run goes on where this one ended
                    return Ok(());
                }
                End::Broke(why) => self.step_down(rung, why, sink)?,
                End::Outdone(better, door, since) => {
                    let mut state = self.state();
                    state.climbing.reached(Instant::now());
                    state.take(better, door);
                    drop(state);
                    self.settle_in(rung, better, since, sink);
                }
            }
        }
    }

    /// Runs one rung; beside it, unless it is the best one allowed, somebody tries the better ones.
    fn run_one(&self, rung: Rung, mut door: SensorBackend, sink: &dyn Sink, stop: &Stop) -> End {
        let better: Vec<Rung> = allowed(self.force).filter(|other| *other < rung).collect();
        let (outcome, found) = if better.is_empty() {
            (door.run(&self.cache, sink, stop), None)
        } else {
            let halt = Stop::default();
            std::thread::scope(|scope| {
                let above =
                    std::thread::Builder::new().name("c-ladder".to_owned()).spawn_scoped(scope, || self.look_up(&better, stop, &halt));
                // Without a thread nobody climbs, but somebody must pass the stop on: then the rung gets it itself.
                let told = if above.is_ok() { &halt } else { stop };
                let outcome = door.run(&self.cache, sink, told);
                halt.set();
                (outcome, above.ok().and_then(|above| above.join().ok().flatten()))
            })
        };
        match (outcome, found) {
            (_, Some((rung, door, since))) => End::Outdone(rung, door, since),
            (Ok(()), None) => End::Told(door),
            (Err(why), None) => End::Broke(why),
        }
    }

    /// Tries better rungs, with growing pauses, until one opens or the present one is to end. The present one is told to
    /// end only when the better one is open.
    fn look_up(&self, better: &[Rung], stop: &Stop, halt: &Stop) -> Option<(Rung, SensorBackend, Timestamp)> {
        loop {
            let due = Instant::now() + self.state().climbing.pause();
            while Instant::now() < due {
                if stop.is_set() {
                    halt.set();
                }
                if halt.is_set() {
                    return None;
                }
                std::thread::sleep(NAP.min(due.saturating_duration_since(Instant::now())));
            }
            for rung in better {
                let since = now();
                match (self.open)(*rung) {
                    Ok(door) => {
                        halt.set();
                        return Some((*rung, door, since));
                    }
                    Err(why) => self.state().refuse(*rung, why),
                }
            }
            self.state().climbing.refused();
        }
    }

    /// The present rung broke: takes the next one that opens.
    fn step_down(&self, rung: Rung, why: String, sink: &dyn Sink) -> Result<(), CollectorError> {
        let from = now() - UNNOTICED;
        tracing::warn!(rung = rung.noun(), why, "a rung of sensors broke");
        let mut state = self.state();
        state.climbing.broke(Instant::now());
        state.refuse(rung, why.clone());
        let found = state.take_first(allowed(self.force).filter(|next| *next > rung), &self.open);
        let next = state.rung;
        drop(state);
        if found {
            self.settle_in(rung, next, from, sink);
            return Ok(());
        }
        let mend = "it is retried automatically; `bartizan doctor` shows what is not seen until then".to_owned();
        Err(CollectorError { what: format!("sensor of processes ({})", rung.noun()), why, mend })
    }

    /// On another rung now: the cache is compared with /proc, and the change is told as a stretch that was not watched
    /// wholly.
    fn settle_in(&self, before: Rung, after: Rung, from: Timestamp, sink: &dyn Sink) {
        self.cache.reconcile();
        tracing::info!(before = before.noun(), after = after.noun(), "the sensors changed");
        let (at, hop) = (now(), format!("the sensors changed from {} to {}", before.noun(), after.noun()));
        let loss = Loss { from: Some(from.min(at)), to: Some(at), ..Loss::new(&hop, 0) };
        sink.emit(Event { id: EventId(0), at, kind: EventKind::Loss { loss }, process: None, source: Source::Agent, complete: true });
    }
}

fn now() -> Timestamp {
    clock::wall(clock::boot_ns())
}
