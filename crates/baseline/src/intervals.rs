//! Even intervals: whether somebody calls the same place like a clock, with or without jitter.

use super::settings::MINUTE;

/// Intervals that are looked at together.
const SAMPLES: usize = 16;
/// Calls closer together than this are one act, in seconds.
const ONE_ACT: i64 = 2;
/// Shortest period that counts, in seconds: a client that asks again each second is busy, not hiding.
const SHORTEST: u32 = 5;
/// Most spread: the median absolute deviation in percent of the median. A jitter of 50 % (Cobalt Strike, Sliver: uniform in the period) gives 25;
/// independent calls (a Poisson process) give 69.
const MAX_SPREAD: u64 = 30;

/// The newest intervals between calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Intervals {
    last: i64,
    newest: [u32; SAMPLES],
    count: u8,
}

/// Calls that come like a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Period {
    /// Median of the intervals, in seconds.
    pub(crate) seconds: u32,
    /// Median absolute deviation in percent of it.
    pub(crate) spread: u64,
}

impl Intervals {
    /// A call. Gives the period once the intervals are even; telling it begins a new count.
    pub(crate) fn call(&mut self, at: i64) -> Option<Period> {
        let since = at - std::mem::replace(&mut self.last, at);
        if self.last == since || since < ONE_ACT {
            return None;
        }
        self.newest.rotate_left(1);
        *self.newest.last_mut()? = u32::try_from(since).unwrap_or(u32::MAX);
        self.count = self.count.saturating_add(1);
        if usize::from(self.count) < SAMPLES {
            return None;
        }
        let period = self.period();
        if period.is_some() {
            self.count = 0;
        }
        period
    }

    fn period(&self) -> Option<Period> {
        let mut sorted = self.newest;
        sorted.sort_unstable();
        let median = *sorted.get(SAMPLES / 2)?;
        let mut away = sorted.map(|one| one.abs_diff(median));
        away.sort_unstable();
        let spread = u64::from(*away.get(SAMPLES / 2)?) * 100 / u64::from(median.max(1));
        (median >= SHORTEST && spread <= MAX_SPREAD).then_some(Period { seconds: median, spread })
    }
}

impl std::fmt::Display for Period {
    /// `every 5 minutes`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = i64::from(self.seconds);
        let (amount, unit) = if seconds >= 120 * MINUTE {
            (seconds / (60 * MINUTE), "hours")
        } else if seconds >= 2 * MINUTE {
            (seconds / MINUTE, "minutes")
        } else {
            (seconds, "seconds")
        };
        write!(f, "every {amount} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noise from 0 to 999 (Numerical Recipes' linear congruential generator).
    fn noise(state: &mut u64) -> i64 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from((*state >> 33) % 1000).unwrap()
    }

    fn found(seed: u64, gap: impl Fn(&mut u64) -> i64) -> bool {
        let (mut intervals, mut at, mut state) = (Intervals::default(), 1_700_000_000, seed);
        (0..40).any(|_| {
            at += gap(&mut state);
            intervals.call(at).is_some()
        })
    }

    #[test]
    fn a_beacon_is_found_with_jitter_and_chance_is_not() {
        let seeds = 0..200;
        let found_of = |gap: &dyn Fn(&mut u64) -> i64| seeds.clone().filter(|seed| found(*seed, gap)).count();
        assert_eq!(found_of(&|_| 60), 200);
        assert!(found_of(&|state| 300 - noise(state) * 60 / 1000) >= 199, "20 % jitter");
        assert!(found_of(&|state| 3600 - noise(state) * 1800 / 1000) >= 190, "50 % jitter");
        // -ln(u) of a uniform u: independent calls.
        let chance = found_of(&|state| (-(600.0 * ((noise(state) as f64 + 0.5) / 1000.0).ln())) as i64 + 3);
        assert!(chance <= 30, "{chance} of 200");
    }

    #[test]
    fn a_busy_client_is_no_beacon() {
        assert!(!found(1, |_| 1));
        assert!(!found(1, |_| 4));
    }
}
