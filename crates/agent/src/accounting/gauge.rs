//! What the agent costs and how fast events come, over the last ten seconds.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How far back the rates look.
const WINDOW: Duration = Duration::from_secs(10);

/// Marks closer together than this say nothing new, however often somebody asks.
const APART: Duration = Duration::from_millis(500);

/// Measures by differences; fed at least every five seconds.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    marks: VecDeque<Mark>,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    at: Instant,
    events: u64,
    cpu: Duration,
}

impl Gauge {
    /// Takes the totals of now; returns events a second and percent of one core.
    pub(super) fn read(&mut self, at: Instant, events: u64, cpu: Duration) -> (f64, f64) {
        // The oldest mark that is kept is the youngest one that spans the window.
        while self.marks.get(1).is_some_and(|mark| at.duration_since(mark.at) >= WINDOW) {
            self.marks.pop_front();
        }
        let oldest = self.marks.front().copied();
        if self.marks.back().is_none_or(|mark| at.duration_since(mark.at) >= APART) {
            self.marks.push_back(Mark { at, events, cpu });
        }
        let Some(oldest) = oldest else { return (0.0, 0.0) };
        let seconds = at.duration_since(oldest.at).as_secs_f64();
        if seconds <= 0.0 {
            return (0.0, 0.0);
        }
        let rate = events.saturating_sub(oldest.events) as f64 / seconds;
        let cpu = cpu.saturating_sub(oldest.cpu).as_secs_f64() / seconds * 100.0;
        (rate, cpu)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_differences_over_the_window() {
        let mut gauge = Gauge::default();
        let start = Instant::now();
        assert_eq!(gauge.read(start, 0, Duration::ZERO), (0.0, 0.0));
        let (rate, cpu) = gauge.read(start + Duration::from_secs(2), 100, Duration::from_millis(20));
        assert!((rate - 50.0).abs() < 1e-9 && (cpu - 1.0).abs() < 1e-9, "{rate} {cpu}");
    }

    #[test]
    fn the_past_is_forgotten_and_many_questions_keep_few_marks() {
        let mut gauge = Gauge::default();
        let start = Instant::now();
        gauge.read(start, 0, Duration::ZERO);
        gauge.read(start + Duration::from_secs(5), 10_000, Duration::from_secs(5));
        for milli in 5_000..20_000 {
            gauge.read(start + Duration::from_millis(milli), 10_000, Duration::from_secs(5));
        }
        let (rate, cpu) = gauge.read(start + Duration::from_secs(20), 10_000, Duration::from_secs(5));
        assert!(rate.abs() < 1e-9 && cpu.abs() < 1e-9, "{rate} {cpu}");
        assert!(gauge.marks.len() < 30, "{}", gauge.marks.len());
    }
}
