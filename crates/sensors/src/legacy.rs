//! What one binary of the agent leaves to the next: the open rings, what was taken out of them and not yet worked off,
//! and the process table, so that late events still find who did them.

use serde::{Deserialize, Serialize};

use super::World;
use super::intake::Intake;
use super::world::Kept;
use bartizan_sys::bpf::{self, Counters, Sensor};
use bartizan_sys::reexec::Legacy;

/// The first line of the state, as JSON; after it come raw records.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    /// Which kernel programs wrote the records.
    object: String,
    /// What was already told of the kernel's counters.
    told: Counters,
    udp: Result<(), String>,
    absent: Vec<String>,
    world: Vec<Kept>,
}

/// Writes down what the next binary needs.
pub(super) fn write(intake: &mut Intake, world: &World) -> Vec<u8> {
    let head = |intake: &Intake| Head {
        object: bpf::object_name(),
        told: intake.ordinary.told(),
        udp: intake.programs.udp().map_err(str::to_owned),
        absent: intake.programs.absent().to_vec(),
        world: world.kept(),
    };
    // The world first, which takes longest; the ring is read meanwhile.
    let world = head(intake).world;
    intake.ordinary.finish();
    let head = Head { world, ..head(intake) };
    let mut state = serde_json::to_vec(&head).unwrap_or_default();
    state.push(b'\n');
    while let Some(chunk) = intake.ordinary.backlog().take(std::time::Duration::ZERO) {
        state.extend(chunk);
    }
    state
}

/// Goes on where an earlier binary left off: reads its rings from this moment, and fills the world with what it knew.
///
/// # Errors
/// Why not; its programs are detached then, and others must be loaded.
pub(super) fn adopt(legacy: Legacy, world: &World) -> Result<Intake, String> {
    let end = legacy.state.iter().position(|byte| *byte == b'\n').ok_or("the state of the earlier binary is cut")?;
    let (head, records) = legacy.state.split_at(end);
    let head: Head = serde_json::from_slice(head).map_err(|e| format!("the state of the earlier binary cannot be read: {e}"))?;
    if head.object != bpf::object_name() {
        return Err("the earlier binary had other kernel programs".to_owned());
    }
    let sensor = Sensor::adopt(legacy.maps, legacy.links, head.udp, head.absent).map_err(|e| e.to_string())?;
    let records = records.get(1..).unwrap_or_default().to_vec();
    let intake = Intake::start(sensor, records, head.told).map_err(|e| format!("starting a thread: {e}"))?;
    world.restore(head.world);
    Ok(intake)
}
