//! What an emergency stop voids: leave that was given before it and not used yet. Who waits for health probes with a warrant in
//! hand must not begin after everything was undone.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bartizan_model::WarrantId;

/// Whether a warrant still holds.
#[derive(Debug, Default)]
pub(super) struct Halt {
    /// Emergency stops that the court has not heard of yet.
    halted: AtomicUsize,
    /// The first warrant that holds.
    first: AtomicU64,
}

impl Halt {
    /// None holds.
    pub(super) fn begin(&self) {
        self.halted.fetch_add(1, Ordering::SeqCst);
    }

    /// Those from this one on hold, unless another stop has begun since.
    pub(super) fn end(&self, first: WarrantId) {
        self.first.fetch_max(first.0, Ordering::SeqCst);
        let _ = self.halted.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |halted| halted.checked_sub(1));
    }

    /// Whether this one is void.
    pub(super) fn voids(&self, warrant: WarrantId) -> bool {
        self.halted.load(Ordering::SeqCst) > 0 || warrant.0 < self.first.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_one_stop_does_not_lift_another() {
        let halt = Halt::default();
        halt.begin();
        halt.begin();
        halt.end(WarrantId(5));
        assert!(halt.voids(WarrantId(9)), "the other is still on its way to the court");
        halt.end(WarrantId(7));
        assert!(!halt.voids(WarrantId(9)) && halt.voids(WarrantId(6)));
    }
}
