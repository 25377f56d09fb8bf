//! The ladder of sensors: the best rung that works here, chosen by trying; when it breaks, the next.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::process::ProcessCollector;
use super::{Collector, CollectorError, Sink, Stop, World, process_ebpf};
use crate::config::policy::Roles;
use crate::host::bpf::{self, Sensor};
use crate::model::{BlindSpot, Rung};

/// Best first.
const RUNGS: [Rung; 1] = [Rung::Ebpf];

/// The sensors of processes and sockets in use.
#[derive(Clone)]
pub struct Ladder(Arc<Steps>);

/// Where on the ladder we stand; shared by its collectors.
pub(super) struct Steps {
    pub(super) world: Arc<World>,
    state: Mutex<State>,
}

struct State {
    rung: Rung,
    /// Open and gathering, while no collector has it.
    door: Option<Door>,
    /// A collector has the door.
    running: bool,
    /// Why better rungs are not in use.
    refused: Vec<(Rung, String)>,
}

/// A rung's open door to the kernel.
enum Door {
    Ebpf(Box<Sensor>),
}

/// Opens the best rung that works (or the forced one, for tests), then reads the present world from /proc, in this
/// order, so that nothing falls between the two.
pub fn process_collectors(roles: &Roles, force: Option<Rung>, world: Arc<World>) -> Ladder {
    world.set_roles(roles);
    let mut state = State { rung: Rung::Procfs, door: None, running: false, refused: Vec::new() };
    let wanted = RUNGS.into_iter().filter(|rung| force.is_none_or(|force| force == *rung));
    state.climb(wanted, open);
    world.reconcile();
    Ladder(Arc::new(Steps { world, state: Mutex::new(state) }))
}

impl Ladder {
    /// The rung in use.
    pub fn rung(&self) -> Rung {
        self.0.rung()
    }

    /// How the eBPF object in this program was made: `built`, `prebuilt`, `none`.
    pub fn bpf_object(&self) -> &'static str {
        bpf::ORIGIN
    }

    /// Whether the rung is open: false only when a forced rung was refused.
    pub fn is_open(&self) -> bool {
        let state = self.0.state();
        state.door.is_some() || state.running
    }

    /// What cannot be seen, why, and what would mend it.
    pub fn blind_spots(&self) -> Vec<BlindSpot> {
        Vec::new()
    }

    /// One collector of processes and one of sockets. Each runs on a thread of its own.
    pub fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![Box::new(ProcessCollector(self.0.clone()))]
    }
}

impl State {
    /// Takes the first of these rungs that opens.
    fn climb(&mut self, rungs: impl IntoIterator<Item = Rung>, mut open: impl FnMut(Rung) -> Result<Door, String>) {
        for rung in rungs {
            match open(rung) {
                Ok(door) => {
                    (self.rung, self.door) = (rung, Some(door));
                    return;
                }
                Err(why) => self.refused.push((rung, why)),
            }
        }
    }
}

fn open(rung: Rung) -> Result<Door, String> {
    match rung {
        Rung::Ebpf => Sensor::load().map(|sensor| Door::Ebpf(Box::new(sensor))).map_err(|e| e.to_string()),
        Rung::ProcessConnector | Rung::Procfs => Err("not there yet".to_owned()),
    }
}

impl Steps {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn rung(&self) -> Rung {
        self.state().rung
    }

    /// Runs the present rung until told to stop.
    pub(super) fn run(&self, sink: &dyn Sink, stop: &Stop) -> Result<(), CollectorError> {
        let door = self.state().door.take();
        match door {
            Some(Door::Ebpf(mut sensor)) => process_ebpf::run(&mut sensor, &self.world, sink, stop),
            None => Err(CollectorError { what: "processes".to_owned(), why: "no sensor".to_owned(), mend: "run as root".to_owned() }),
        }
    }
}
