//! The cache into events: one file a source.

#![forbid(unsafe_code)]

mod access_keys;
mod account_book;
mod accounts;
mod attribute_memory;
mod attributes;
#[cfg(test)]
mod attributes_tests;
mod attribution;
mod backend;
mod backend_retry;
mod backlog;
mod blind_spots;
mod container_book;
mod containers;
mod credentials;
mod digest_book;
mod ebpf_events;
mod enrichment;
mod executables;
mod false_names;
mod file_class;
mod gather;
mod guarding;
mod intake;
mod kernel_programs;
mod kernel_settings;
mod ladder;
#[cfg(test)]
mod ladder_tests;
mod listening_units;
pub mod logs;
mod mounts;
mod pace;
mod persistence;
mod persistence_memory;
#[cfg(test)]
mod persistence_tests;
mod places;
mod privilege;
mod process;
mod process_cache;
mod process_connector;
mod process_ebpf;
mod process_family;
mod process_origin;
mod process_polling;
mod process_table;
#[cfg(test)]
mod real_tools_tests;
mod resolver_names;
mod roles;
mod settling;
mod sockets;
mod tampering;
#[cfg(test)]
mod tampering_tests;
#[cfg(test)]
mod test_bench;
mod traces;
mod upgrade_state;
mod watched_files;
mod watching;
#[cfg(test)]
mod writer_tests;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

pub use accounts::Accounts;
pub use attributes::Attributes;
pub use attribution::Attribution;
pub use credentials::Credentials;
pub use digest_book::Learnt;
pub use enrichment::Enrichment;
pub use kernel_programs::KernelPrograms;
pub use ladder::{Ladder, process_collectors};
pub use mounts::Mounts;
pub use persistence::Persistence;
pub use places::Places;
pub use privilege::Privileges;
pub use process_cache::ProcessCache;
pub use tampering::Tampering;
pub use traces::Traces;
pub use watched_files::{Changes, FileTouched, WatchedFiles};
pub use watching::{watch_blind_spots, watch_collectors};

use bartizan_model::{Event, Unpoisoned as _};

/// Where collectors put what they see. Never blocks, never grows without bound.
pub trait Sink: Send + Sync {
    /// Takes an event over; its id is 0 and the sink gives it the real one.
    fn emit(&self, event: Event);

    /// Takes many events over at once, in order, and leaves the room empty.
    fn emit_all(&self, events: &mut Vec<Event>) {
        events.drain(..).for_each(|event| self.emit(event));
    }

    /// Whether what is not urgent would better wait, for further on there is hardly room.
    fn is_busy(&self) -> bool {
        false
    }

    /// Tells what a hop before the sink received and lost since the last call: `kernel-ring`, `fanotify` ...
    fn account(&self, hop: &'static str, received: u64, dropped: u64);
}

/// Tells a collector to end. Cheap to clone; collectors look at it about once a second ([`Stop::LOOK`]).
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<Ending>);

#[derive(Debug, Default)]
struct Ending {
    set: AtomicBool,
    handing_over: AtomicBool,
    door: Mutex<()>,
    opened: Condvar,
}

impl Stop {
    /// Longest that a collector may wait for its source before it looks again: each look of each collector is a wake-up
    /// of an otherwise idle host.
    pub const LOOK: Duration = Duration::from_millis(900);

    /// From now on [`Stop::is_set`].
    pub fn set(&self) {
        let _door = self.0.door.lock().unpoisoned();
        self.0.set.store(true, Ordering::Relaxed);
        self.0.opened.notify_all();
    }

    /// Sleeps for so long, or until it is time to end.
    pub fn sleep(&self, time: Duration) {
        let door = self.0.door.lock().unpoisoned();
        // Whether it was the time or the end that woke us shows at the next look.
        let _woken = self.0.opened.wait_timeout_while(door, time, |()| !self.is_set());
    }

    /// Whether to end.
    pub fn is_set(&self) -> bool {
        self.0.set.load(Ordering::Relaxed)
    }

    /// The same, and another binary goes on with what is not worked off yet.
    pub fn hand_over(&self) {
        self.0.handing_over.store(true, Ordering::Relaxed);
        self.set();
    }

    /// Whether what is not worked off is left to another binary.
    pub fn is_handing_over(&self) -> bool {
        self.0.handing_over.load(Ordering::Relaxed)
    }
}

/// Why a collector cannot go on: what failed, on what, why, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {why}")]
pub struct CollectorError {
    /// What was tried, on what.
    pub what: String,
    /// Why it failed.
    pub why: String,
    /// What the owner can do about it.
    pub mend: String,
}

/// One source of events. It runs on a thread of its own until told to stop; the engine starts it again, with
/// growing pauses, when it fails.
pub trait Collector: Send {
    /// Its name on screen and in logs.
    fn name(&self) -> &'static str;

    /// Collects until `stop` is set.
    ///
    /// # Errors
    /// When the source is refused or breaks; the error is shown as a degraded part.
    fn run(&mut self, sink: &dyn Sink, stop: &Stop) -> Result<(), CollectorError>;
}
