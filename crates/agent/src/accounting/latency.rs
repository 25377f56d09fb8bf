//! How long events are on their way from the kernel to the detectors, without keeping any of them.

use std::sync::atomic::{AtomicU64, Ordering};

use bartizan_model::{Latency, Timestamp};

/// Steps between one power of two and the next: a figure is at most an eighth too high.
const STEPS: u64 = 8;
/// Powers of two told apart, from 8 µs on: up to two minutes. What took longer counts as the longest.
const OCTAVES: u64 = 24;
const BUCKETS: usize = ((OCTAVES + 1) * STEPS) as usize;

/// Counts events by how long they took. Anybody may add at any time; adding is one atomic addition.
#[derive(Debug)]
pub(super) struct Stopwatch {
    buckets: [AtomicU64; BUCKETS],
}

impl Default for Stopwatch {
    fn default() -> Self {
        Self { buckets: std::array::from_fn(|_| AtomicU64::new(0)) }
    }
}

/// The bucket of a duration: below 8 µs one for each, from there on eight for each power of two.
fn bucket(micros: u64) -> usize {
    let octave = u64::from(micros.checked_ilog2().unwrap_or(0)).saturating_sub(2);
    let index = if octave == 0 { micros } else { octave * STEPS + (micros >> (octave - 1)) - STEPS };
    usize::try_from(index).map_or(BUCKETS - 1, |index| index.min(BUCKETS - 1))
}

/// The longest duration that falls into a bucket.
fn longest(index: usize) -> u64 {
    let index = index as u64;
    match index / STEPS {
        0 => index,
        octave => ((index % STEPS + STEPS + 1) << (octave - 1)) - 1,
    }
}

impl Stopwatch {
    /// An event that happened at `then` was judged at `now`. Clocks that were set back count as no time.
    pub(super) fn add(&self, then: Timestamp, now: Timestamp) {
        let took = now.signed_duration_since(then).num_microseconds().unwrap_or(i64::MAX);
        if let Some(count) = self.buckets.get(bucket(u64::try_from(took).unwrap_or(0))) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// All events since the start.
    pub(super) fn read(&self) -> Latency {
        let counts: Vec<u64> = self.buckets.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let count = counts.iter().sum();
        Latency { median_us: at_rank(&counts, count, 50), p99_us: at_rank(&counts, count, 99), count }
    }
}

/// The duration that so many percent of the events did not exceed; 0 without events.
fn at_rank(counts: &[u64], count: u64, percent: u64) -> u64 {
    let rank = count.saturating_mul(percent).div_ceil(100);
    let mut passed = 0;
    for (index, here) in counts.iter().enumerate() {
        passed += here;
        if passed >= rank && passed > 0 {
            return longest(index);
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_is_told_at_most_an_eighth_too_high() {
        for micros in (0..100_000).chain((0..26).map(|power| 1 << power)) {
            let told = longest(bucket(micros));
            assert!(told >= micros && told - micros <= micros / 8, "{micros} told as {told}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn median_and_tail_are_told() {
        let watch = Stopwatch::default();
        assert_eq!(watch.read(), Latency { median_us: 0, p99_us: 0, count: 0 });
        let then = chrono::DateTime::UNIX_EPOCH;
        for micros in 1..=1000 {
            watch.add(then, then + chrono::TimeDelta::microseconds(micros));
        }
        watch.add(then + chrono::TimeDelta::seconds(1), then);
        let read = watch.read();
        assert_eq!(read.count, 1001);
        assert!((500..=570).contains(&read.median_us) && (990..=1120).contains(&read.p99_us), "{read:?}");
    }
}
