//! How many within the last so many seconds: two buckets, the older fading as the newer fills. Exact until the first bucket is full.

use serde::{Deserialize, Serialize};

use super::is_ahead;

/// A count over a sliding time.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(in super::super) struct Window {
    start: u32,
    now: u16,
    before: u16,
}

impl Window {
    /// Adds some at a time, in a window of `within` seconds.
    pub(in super::super) fn add(&mut self, at: u32, within: u32, count: u32) {
        self.turn(at, within);
        self.now = self.now.saturating_add(u16::try_from(count).unwrap_or(u16::MAX));
    }

    /// How many there were within the last `within` seconds.
    pub(in super::super) fn count(&self, at: u32, within: u32) -> u32 {
        let mut copy = *self;
        copy.turn(at, within);
        if copy.before == 0 {
            return u32::from(copy.now);
        }
        let gone = at.saturating_sub(copy.start).min(within);
        let left = u64::from(copy.before) * u64::from(within - gone) / u64::from(within.max(1));
        u32::from(copy.now) + u32::try_from(left).unwrap_or(u32::MAX)
    }

    /// Opens the bucket of this time. Lines that come late count in the one that is open; one that a clock opened which ran far ahead is void.
    fn turn(&mut self, at: u32, within: u32) {
        let (gone, within) = (at.saturating_sub(self.start), within.max(1));
        // Nearly always; a division costs more than all else here.
        if gone < within {
            if is_ahead(self.start, at) {
                *self = Self { start: at, now: 0, before: 0 };
            }
            return;
        }
        match gone / within {
            // The first one begins with its first count, so that nothing fades before the window is over.
            _ if self.now == 0 && self.before == 0 => self.start = at,
            1 => (self.start, self.before, self.now) = (self.start + within, self.now, 0),
            _ => (self.start, self.before, self.now) = (at, 0, 0),
        }
    }
}

/// `estimate` for 64 places, by how many are taken: it is asked for at each failed login.
const ESTIMATES: [u16; 65] = [
    0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 15, 16, 17, 18, 20, 21, 23, 24, 25, 27, 28, 30, 32, 33, 35, 37, 39, 40, 42, 44, 46, 48, 51,
    53, 55, 58, 60, 63, 65, 68, 71, 74, 78, 81, 85, 89, 93, 97, 102, 107, 113, 119, 126, 133, 142, 151, 163, 177, 196, 222, 266, 266,
];

/// About how many different ones within the last so many seconds: a bit each (linear counting, Whang 1990), in two generations.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(in super::super) struct Distinct {
    now: u64,
    before: u64,
}

impl Distinct {
    /// Adds one, by a hash of it.
    pub(in super::super) fn add(&mut self, hash: u64) {
        self.now |= 1 << (hash >> 58);
    }

    /// A generation is over; `twice`: so is the one before.
    pub(in super::super) fn turn(&mut self, twice: bool) {
        (self.before, self.now) = (if twice { 0 } else { self.now }, 0);
    }

    /// About how many; from about 150 on it says 266.
    pub(in super::super) fn count(&self) -> u32 {
        ESTIMATES.get((self.now | self.before).count_ones() as usize).copied().map_or(0, u32::from)
    }
}

/// The same for more of them: good up to some thousands.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct ManyDistinct {
    bits: Vec<u64>,
    /// How many are set: counting them at each failed login would cost more than the rest of it.
    ones: u32,
}

impl ManyDistinct {
    /// For about `words` x 200 different ones.
    pub(in super::super) fn new(words: usize) -> Self {
        Self { bits: vec![0; words.next_power_of_two()], ones: 0 }
    }

    /// Adds one, by a hash of it.
    pub(in super::super) fn add(&mut self, hash: u64) {
        let places = self.bits.len() as u64 * 64;
        // The high half: the low one chose the place in a table.
        let place = ((u128::from(hash) * u128::from(places)) >> 64) as u64;
        if let Some(word) = self.bits.get_mut((place / 64) as usize) {
            let bit = 1 << (place % 64);
            self.ones += u32::from(*word & bit == 0);
            *word |= bit;
        }
    }

    /// Whether there are about so many: cheap while there are far fewer.
    pub(in super::super) fn reaches(&self, many: u32) -> bool {
        // Up to four fifths full, no more than twice as many came as there are bits.
        self.ones * 2 >= many && self.count() >= many
    }

    /// About how many.
    pub(in super::super) fn count(&self) -> u32 {
        let places = u32::try_from(self.bits.len() * 64).unwrap_or(u32::MAX);
        estimate(places.saturating_sub(self.ones), places)
    }

    /// Forgets all.
    pub(in super::super) fn clear(&mut self) {
        self.bits.fill(0);
        self.ones = 0;
    }

    /// Bytes.
    pub(in super::super) fn memory(&self) -> usize {
        self.bits.len() * 8
    }
}

/// n = -m ln(zeros / m)
fn estimate(zeros: u32, places: u32) -> u32 {
    let (zeros, places) = (f64::from(zeros.max(1)), f64::from(places));
    (places * (places / zeros).ln()).round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_counts_what_is_in_it_and_forgets_the_rest() {
        let mut window = Window::default();
        for at in 1000..1010 {
            window.add(at, 600, 1);
        }
        assert_eq!((window.count(1010, 600), window.count(1599, 600)), (10, 10), "none fades before the window is over");
        assert_eq!((window.count(1900, 600), window.count(2200, 600)), (5, 0), "half a window later, and a whole one");
        window.add(1900, 600, 1);
        window.add(900, 600, 1);
        assert_eq!(window.count(1900, 600), 7, "a line that comes late");
    }

    #[test]
    fn a_window_of_a_clock_that_ran_years_ahead_begins_anew_and_a_late_line_changes_nothing() {
        let (year, day) = (365 * 86_400, 86_400);
        let mut window = Window::default();
        window.add(2 * year, 600, 5);
        window.add(2 * year - day, 600, 1);
        assert_eq!(window.count(2 * year, 600), 6, "a line of yesterday comes late");
        assert_eq!(window.count(year, 600), 0, "the clock was set back");
        window.add(year, 600, 2);
        assert_eq!((window.count(year, 600), window.count(year + 1200, 600)), (2, 0));
    }

    #[test]
    fn different_ones_are_counted_about_right_and_equal_ones_once() {
        let hash = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (n << 60);
        let (mut few, mut many) = (Distinct::default(), ManyDistinct::new(64));
        for n in 0..10 {
            (0..3).for_each(|_| few.add(hash(n)));
        }
        (1..=1000).for_each(|n| many.add(hash(n)));
        assert!((8..=12).contains(&few.count()), "{}", few.count());
        assert!((900..=1100).contains(&many.count()), "{}", many.count());
        for taken in 0..=64_u32 {
            assert_eq!(u32::from(ESTIMATES[taken as usize]), estimate(64 - taken, 64), "{taken}");
        }
        assert!(many.reaches(900) && !many.reaches(1200));
        few.turn(false);
        few.turn(false);
        assert_eq!(few.count(), 0);
    }
}
