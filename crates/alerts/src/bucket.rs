//! How many parcels one sink may be sent: a few at once, then one in each pause.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use bartizan_model::Timestamp;

/// So many at once; the last one is kept for a summary.
pub(crate) const BURST: u32 = 4;
/// How long until one more may be sent.
const PAUSE: TimeDelta = TimeDelta::minutes(1);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bucket {
    left: u32,
    filled: Timestamp,
}

impl Bucket {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { left: BURST, filled: now }
    }

    pub(crate) fn left(&self) -> u32 {
        self.left
    }

    pub(crate) fn take(&mut self) {
        self.left = self.left.saturating_sub(1);
    }

    /// When a parcel may be sent. The last one of a burst waits for what follows, so that its summary says more, unless it is `urgent`.
    pub(crate) fn free_at(&self, urgent: bool) -> Timestamp {
        match self.left {
            0 => self.filled + PAUSE,
            1 if !urgent => self.filled + PAUSE / 2,
            _ => Timestamp::MIN_UTC,
        }
    }

    pub(crate) fn fill(&mut self, now: Timestamp) {
        let pauses = (now - self.filled).num_seconds() / PAUSE.num_seconds();
        if pauses > 0 {
            self.left = self.left.saturating_add(u32::try_from(pauses).unwrap_or(u32::MAX)).min(BURST);
        }
        // A full burst begins with its first parcel; a clock that was set back begins anew.
        if pauses > 0 || self.left == BURST || now < self.filled {
            self.filled = now;
        }
    }
}
