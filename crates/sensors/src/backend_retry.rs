//! When a better rung is tried again: soon at first, ever more rarely while it stays refused or breaks again.

use std::time::{Duration, Instant};

/// First pause before a better rung is tried again; doubled each time up to five minutes.
pub(super) const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// A rung that held this long is forgiven its earlier failures.
const FORGIVEN: Duration = Duration::from_secs(300);

/// How patient we are by now. Time is an argument.
#[derive(Debug)]
pub(super) struct BackendRetry {
    first: Duration,
    pause: Duration,
    /// When the rung in use was reached by climbing.
    reached: Option<Instant>,
}

impl BackendRetry {
    /// With this first pause.
    pub(super) fn new(first: Duration) -> Self {
        Self { first, pause: first, reached: None }
    }

    /// How long to wait before better rungs are tried.
    pub(super) fn pause(&self) -> Duration {
        self.pause
    }

    /// They were tried and refused.
    pub(super) fn refused(&mut self) {
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    /// One of them opened.
    pub(super) fn reached(&mut self, now: Instant) {
        self.reached = Some(now);
    }

    /// The rung in use broke.
    pub(super) fn broke(&mut self, now: Instant) {
        match self.reached.take() {
            Some(reached) if now.saturating_duration_since(reached) < FORGIVEN => self.refused(),
            _ => self.pause = self.first,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_five_minutes_and_are_forgiven() {
        let mut climbing = BackendRetry::new(FIRST_PAUSE);
        let now = Instant::now();
        let mut pauses = vec![climbing.pause().as_secs()];
        for _ in 0..6 {
            climbing.refused();
            pauses.push(climbing.pause().as_secs());
        }
        assert_eq!(pauses, [10, 20, 40, 80, 160, 300, 300]);
        climbing.reached(now);
        climbing.broke(now + Duration::from_secs(299));
        assert_eq!(climbing.pause().as_secs(), 300, "it opens and breaks: no reason for haste");
        climbing.reached(now);
        climbing.broke(now + Duration::from_secs(300));
        assert_eq!(climbing.pause().as_secs(), 10);
        climbing.broke(now);
        assert_eq!(climbing.pause().as_secs(), 10, "the rung of the start broke for the first time");
    }
}
