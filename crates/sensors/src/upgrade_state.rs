//! What one binary of the agent leaves to the next: the open rings, what was taken out of them and not yet worked off,
//! and the process table, so that late events still find who did them.

use serde::{Deserialize, Serialize};

use super::ProcessCache;
use super::intake::Intake;
use super::process_cache::Kept;
use bartizan_sys::bpf::{self, Counters, Sensor};
use bartizan_sys::reexec::UpgradeState;

/// Counted up when the lines of the state change.
const FORM: u32 = 2;

/// The first line of the state, as JSON. The second is the process table, which takes long to write and to read; after it
/// come raw records.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    /// [`FORM`] of the binary that wrote it; one that knew no such number cannot be read.
    form: u32,
    /// Which kernel programs wrote the records.
    object: String,
    /// What was already told of the kernel's counters.
    told: Counters,
    udp: Result<(), String>,
    absent: Vec<String>,
}

/// Writes down what the next binary needs.
pub(super) fn write(intake: &mut Intake, cache: &ProcessCache) -> Vec<u8> {
    // The cache first: the ring is read meanwhile. From `finish` on it fills until the next binary reads it.
    let cache = serde_json::to_vec(&cache.kept()).unwrap_or_default();
    intake.ordinary.finish();
    let head = Head {
        form: FORM,
        object: bpf::object_name(),
        told: intake.ordinary.told(),
        udp: intake.programs.udp().map_err(str::to_owned),
        absent: intake.programs.absent().to_vec(),
    };
    let mut state = serde_json::to_vec(&head).unwrap_or_default();
    state.push(b'\n');
    state.extend(cache);
    state.push(b'\n');
    while let Some(chunk) = intake.ordinary.backlog().take(std::time::Duration::ZERO) {
        state.extend(chunk);
    }
    state
}

/// Goes on where an earlier binary left off: reads its rings from this moment, and fills the cache with what it knew.
///
/// # Errors
/// Why not; its programs are detached then, and others must be loaded.
pub(super) fn adopt(legacy: UpgradeState, cache: &ProcessCache) -> Result<Intake, String> {
    let (head, rest) = split_line(&legacy.state).ok_or("the state of the earlier binary is cut")?;
    let (known, records) = split_line(rest).ok_or("the state of the earlier binary is cut")?;
    let head: Head = serde_json::from_slice(head).map_err(|e| format!("the state of the earlier binary cannot be read: {e}"))?;
    if head.form != FORM {
        return Err("the earlier binary left its state in another form".to_owned());
    }
    if head.object != bpf::object_name() {
        return Err("the earlier binary had other kernel programs".to_owned());
    }
    let sensor = Sensor::adopt(legacy.maps, legacy.links, head.udp, head.absent).map_err(|e| e.to_string())?;
    // The rings are read from here on, while the cache is still being filled.
    let intake = Intake::start(sensor, records.to_vec(), head.told).map_err(|e| format!("starting a thread: {e}"))?;
    match serde_json::from_slice::<Vec<Kept>>(known) {
        Ok(known) => cache.restore(known),
        Err(error) => tracing::warn!(%error, "the processes that the earlier binary knew cannot be read; /proc tells of those that live"),
    }
    Ok(intake)
}

/// The first line without its end, and what follows.
fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (line, rest) = bytes.split_at(end);
    Some((line, rest.get(1..)?))
}
