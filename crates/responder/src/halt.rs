//! What an emergency stop voids: leave that was given before it and not used yet. Who waits for health probes with a warrant in
//! hand must not begin after everything was undone.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bartizan_model::WarrantId;

/// Whether a warrant still holds.
#[derive(Debug, Default)]
pub(super) struct Halt {
    halted: AtomicBool,
    /// The first warrant that holds.
    first: AtomicU64,
}

impl Halt {
    /// None holds.
    pub(super) fn begin(&self) {
        self.halted.store(true, Ordering::SeqCst);
    }

    /// Those from this one on hold.
    pub(super) fn end(&self, first: WarrantId) {
        self.first.fetch_max(first.0, Ordering::SeqCst);
        self.halted.store(false, Ordering::SeqCst);
    }

    /// Whether this one is void.
    pub(super) fn voids(&self, warrant: WarrantId) -> bool {
        self.halted.load(Ordering::SeqCst) || warrant.0 < self.first.load(Ordering::SeqCst)
    }
}
