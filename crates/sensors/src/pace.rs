//! Whether things come as a flood, counted over short windows; and costly work that others can ask for, done so often at most.

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

/// Work that is done when somebody asked for it, at once or as soon as so much time has passed since the last time.
#[derive(Debug)]
pub(super) struct Turn {
    least: Duration,
    last: Option<Instant>,
    asked: bool,
}

impl Turn {
    pub(super) fn every(least: Duration) -> Self {
        Self { least, last: None, asked: false }
    }

    /// It is to be done.
    pub(super) fn ask(&mut self) {
        self.asked = true;
    }

    /// It is to be done once more, that time from now.
    pub(super) fn ask_again(&mut self, now: Instant) {
        (self.asked, self.last) = (true, Some(now));
    }

    /// Whether to do it now; then it is done.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let due = self.asked && self.last.is_none_or(|last| now.saturating_duration_since(last) >= self.least);
        if due {
            (self.asked, self.last) = (false, Some(now));
        }
        due
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

    #[test]
    fn work_that_is_asked_for_all_the_time_is_done_at_once_and_then_in_its_turn() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut turn = Turn::every(Duration::from_secs(10));
        assert!(!turn.is_due(at(0)), "nobody asked");
        let done = (1..=30).filter(|second| {
            turn.ask();
            turn.is_due(at(*second))
        });
        assert_eq!(done.collect::<Vec<_>>(), [1, 11, 21]);
        assert!(turn.is_due(at(31)), "what was asked for meanwhile is not forgotten");
        assert!(!turn.is_due(at(99)));
    }
}
