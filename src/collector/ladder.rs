//! The ladder of sensors: the best rung that works here, chosen by trying; when it breaks, the next.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::intake::Intake;
use super::process::ProcessCollector;
use super::sockets::{SocketCollector, SocketWatch};
use super::{Collector, CollectorError, Sink, Stop, World, blind_spots, process_connector, process_ebpf, process_polling};
use crate::config::policy::Roles;
use crate::host::bpf::{self, Counters, Sensor};
use crate::host::proc_connector::Connector;
use crate::host::reexec::Legacy;
use crate::host::sock_diag::{SockDiagError, Socket};
use crate::model::{BlindSpot, ProcessKey, Rung};

/// Best first.
const RUNGS: [Rung; 3] = [Rung::Ebpf, Rung::ProcessConnector, Rung::Procfs];

/// The sensors of processes and sockets in use. Clones are the same ladder.
#[derive(Clone)]
pub struct Ladder(Arc<Steps>);

/// Where on the ladder we stand; shared by its collectors.
pub(super) struct Steps {
    pub(super) world: Arc<World>,
    /// The only rung to use, when one is forced.
    force: Option<Rung>,
    state: Mutex<State>,
    sockets: Mutex<SocketWatch>,
}

struct State {
    rung: Rung,
    /// Open and gathering, while no collector has it.
    door: Option<Door>,
    /// A collector has the door.
    running: bool,
    /// Why UDP is not seen, when it is not.
    no_udp: Option<String>,
    /// Why better rungs are not in use.
    refused: Vec<(Rung, String)>,
}

/// A rung's open door to the kernel.
enum Door {
    Ebpf(Box<Intake>),
    ProcessConnector(Connector),
    Procfs,
}

/// Opens the best rung that works (or the forced one, for tests), then reads the present world and its listeners, in
/// this order, so that nothing falls between. Takes some 100 ms.
/// What an earlier binary left open is used before anything is opened anew.
pub fn process_collectors(roles: &Roles, force: Option<Rung>, world: Arc<World>, legacy: Option<Legacy>) -> Ladder {
    world.set_roles(roles);
    let mut state = State { rung: force.unwrap_or(Rung::Procfs), door: None, running: false, no_udp: None, refused: Vec::new() };
    match legacy.map(|legacy| super::legacy::adopt(legacy, &world)) {
        Some(Ok(intake)) => (state.rung, state.door) = (Rung::Ebpf, Some(Door::Ebpf(Box::new(intake)))),
        Some(Err(why)) => {
            tracing::warn!(why, "the earlier binary's sensors cannot be used; events between it and this one are lost");
            state.climb(allowed(force), open);
        }
        None => state.climb(allowed(force), open),
    }
    world.reconcile();
    let steps = Steps { world, force, state: Mutex::new(state), sockets: Mutex::default() };
    // A refusal shows when the socket collector runs.
    let _refused = steps.poll_sockets(true);
    Ladder(Arc::new(steps))
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
        blind_spots::of(state.rung, &state.refused, state.no_udp.as_deref(), self.0.world.evicted())
    }

    /// What the next binary needs to go on without a gap, once the collectors have ended; `None` on a rung that keeps
    /// nothing in the kernel.
    pub fn hand_over(&self) -> Option<Vec<u8>> {
        let mut state = self.0.state();
        let Some(Door::Ebpf(intake)) = &mut state.door else { return None };
        Some(super::legacy::write(intake, &self.0.world))
    }

    /// One collector of processes and one of sockets. Each runs on a thread of its own.
    pub fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![Box::new(ProcessCollector(self.0.clone())), Box::new(SocketCollector(self.0.clone()))]
    }
}

fn allowed(force: Option<Rung>) -> impl Iterator<Item = Rung> {
    RUNGS.into_iter().filter(move |rung| force.is_none_or(|force| force == *rung))
}

fn open(rung: Rung) -> Result<Door, String> {
    match rung {
        Rung::Ebpf => {
            let sensor = Sensor::load().map_err(|e| e.to_string())?;
            let intake = Intake::start(sensor, Vec::new(), Counters::default()).map_err(|e| format!("starting a thread: {e}"))?;
            Ok(Door::Ebpf(Box::new(intake)))
        }
        Rung::ProcessConnector => Connector::open().map(Door::ProcessConnector).map_err(|e| e.to_string()),
        Rung::Procfs => Ok(Door::Procfs),
    }
}

impl Door {
    fn no_udp(&self) -> Option<String> {
        match self {
            Self::Ebpf(intake) => intake.programs.udp().err().map(str::to_owned),
            Self::ProcessConnector(_) | Self::Procfs => Some("only eBPF sees UDP".to_owned()),
        }
    }

    fn run(&mut self, world: &World, sink: &dyn Sink, stop: &Stop) -> Result<(), String> {
        match self {
            Self::Ebpf(intake) => process_ebpf::run(intake, world, sink, stop),
            Self::ProcessConnector(connector) => process_connector::run(connector, world, sink, stop),
            Self::Procfs => process_polling::run(world, sink, stop),
        }
    }
}

impl State {
    /// Takes the first of these rungs that opens.
    fn climb(&mut self, rungs: impl IntoIterator<Item = Rung>, mut open: impl FnMut(Rung) -> Result<Door, String>) {
        for rung in rungs {
            match open(rung) {
                Ok(door) => {
                    self.no_udp = door.no_udp();
                    (self.rung, self.door) = (rung, Some(door));
                    return;
                }
                Err(why) => self.refuse(rung, why),
            }
        }
    }

    fn refuse(&mut self, rung: Rung, why: String) {
        self.refused.retain(|(known, _)| *known != rung);
        self.refused.push((rung, why));
    }
}

impl Steps {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn rung(&self) -> Rung {
        self.state().rung
    }

    pub(super) fn poll_sockets(&self, with_connections: bool) -> Result<Vec<(Socket, Option<ProcessKey>)>, SockDiagError> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner).poll(&self.world, with_connections)
    }

    /// Runs the present rung until told to stop. When it fails, steps down and tells why; the next call runs the
    /// next rung.
    pub(super) fn run(&self, sink: &dyn Sink, stop: &Stop) -> Result<(), CollectorError> {
        let (rung, ready) = {
            let mut state = self.state();
            state.running = true;
            (state.rung, state.door.take())
        };
        let outcome = ready.map_or_else(|| open(rung), Ok).and_then(|mut door| door.run(&self.world, sink, stop).map(|()| door));
        let mut state = self.state();
        state.running = false;
        let why = match outcome {
            Ok(door) => {
                state.door = Some(door); // a later run goes on where this one ended
                return Ok(());
            }
            Err(why) => why,
        };
        state.refuse(rung, why.clone());
        state.climb(allowed(self.force).filter(|next| *next > rung), open);
        drop(state);
        self.world.reconcile();
        let mend = "the next rung of sensors takes over; `bartizan doctor` says what it cannot see".to_owned();
        Err(CollectorError { what: format!("sensor of processes ({})", rung.noun()), why, mend })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State { rung: Rung::Procfs, door: None, running: false, no_udp: None, refused: Vec::new() }
    }

    #[test]
    fn a_refused_rung_gives_way_to_the_next() {
        let mut state = state();
        state.climb(allowed(None), |rung| if rung == Rung::Ebpf { Err("no".to_owned()) } else { Ok(Door::Procfs) });
        assert_eq!((state.rung, state.refused), (Rung::ProcessConnector, vec![(Rung::Ebpf, "no".to_owned())]));
    }

    #[test]
    fn a_rung_that_breaks_while_running_is_left() {
        struct Nowhere;
        impl Sink for Nowhere {
            fn emit(&self, _: crate::model::Event) {}
            fn account(&self, _: &'static str, _: u64, _: u64) {}
        }
        // A connector that is none: its descriptor does not answer as one.
        let broken = Door::ProcessConnector(Connector::broken());
        let steps = Steps {
            world: Arc::new(World::default()),
            force: None,
            state: Mutex::new(State { rung: Rung::ProcessConnector, door: Some(broken), ..state() }),
            sockets: Mutex::default(),
        };
        let error = steps.run(&Nowhere, &Stop::default()).unwrap_err();
        assert!(error.what.contains("process connector"), "{error}");
        assert_eq!(steps.rung(), Rung::Procfs);
        let stop = Stop::default();
        stop.set();
        assert_eq!(steps.run(&Nowhere, &stop), Ok(()));
    }
}
