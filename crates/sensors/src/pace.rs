//! Whether things come as a flood: counted over short windows.

use std::time::{Duration, Instant};

/// Over what time they are counted.
pub(super) const WINDOW: Duration = Duration::from_millis(50);

/// How fast they come.
#[derive(Debug)]
pub(super) struct Pace {
    /// So many in one window are a flood.
    most: usize,
    since: Instant,
    count: usize,
    flood: bool,
}

impl Pace {
    /// More than so many a second are a flood.
    pub(super) fn new(most_a_second: usize, now: Instant) -> Self {
        let most = most_a_second * WINDOW.as_millis() as usize / 1000;
        Self { most, since: now, count: 0, flood: false }
    }

    /// So many more came.
    pub(super) fn count(&mut self, count: usize, now: Instant) {
        let passed = now.duration_since(self.since);
        self.count += count;
        if passed >= WINDOW {
            self.flood = self.count * WINDOW.as_millis() as usize > self.most * passed.as_millis() as usize;
            (self.since, self.count) = (now, 0);
        } else {
            self.flood |= self.count > self.most;
        }
    }

    /// Whether the last ones came as a flood.
    pub(super) fn is_flood(&self) -> bool {
        self.flood
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_a_flood_until_a_calm_window_has_passed() {
        let begun = Instant::now();
        let at = |milliseconds| begun + Duration::from_millis(milliseconds);
        let mut pace = Pace::new(1_000, begun);
        pace.count(50, at(10));
        assert!(!pace.is_flood(), "as many as may be");
        pace.count(1, at(20));
        assert!(pace.is_flood(), "one more");
        pace.count(0, at(60));
        assert!(!pace.is_flood(), "51 in 60 ms are 850 a second");
    }
}
