//! Which line killed the worker: what it was reading is read again line by line, and the line that kills it alone is passed over.

use std::time::{Duration, Instant};

use super::frame::{Position, Reading};
use super::lines::CHUNK;

/// Lines of one reading when nothing is wrong.
const MANY: u32 = 4096;
/// The first pause of a source after it killed the worker; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A source that killed nobody for so long is forgiven.
const FORGIVEN: Duration = Duration::from_secs(300);

/// How the next lines of a source are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Many at once.
    Many,
    /// One by one: one of them killed the worker.
    Single,
    /// The first one is not looked at.
    PassOver,
}

/// What follows from a death.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// What was being read is read again, line by line.
    Again,
    /// The line at which it died again, alone, is set aside: it is never looked at.
    SetAside,
    /// It died without looking at any line: the source waits.
    Waits,
}

/// How carefully one source is read.
#[derive(Debug)]
pub struct Caution {
    /// Bytes that are still to be read one by one.
    left: u64,
    pass_over: bool,
    pause: Duration,
    died: Option<Instant>,
}

impl Default for Caution {
    fn default() -> Self {
        Self { left: 0, pass_over: false, pause: FIRST_PAUSE, died: None }
    }
}

impl Caution {
    /// How the next lines are read.
    pub fn pace(&self) -> Pace {
        match (self.pass_over, self.left) {
            (true, _) => Pace::PassOver,
            (false, 0) => Pace::Many,
            (false, _) => Pace::Single,
        }
    }

    /// The next reading from here.
    pub fn reading(&self, from: Position, last: bool) -> Reading {
        let pace = self.pace();
        Reading { from, lines: if pace == Pace::Many { MANY } else { 1 }, skip: pace == Pace::PassOver, last }
    }

    /// The worker read on that far and lives.
    pub fn lived(&mut self, from: Position, to: Position) {
        let read = to.offset.saturating_sub(from.offset);
        self.left = self.left.saturating_sub(read);
        // Nothing whole was there: the line is still to come.
        self.pass_over &= read == 0;
    }

    /// It died while it read.
    pub fn died(&mut self, now: Instant) -> Verdict {
        let forgiven = self.died.is_none_or(|died| now.saturating_duration_since(died) >= FORGIVEN);
        self.pause = if forgiven { FIRST_PAUSE } else { (self.pause * 2).min(LONGEST_PAUSE) };
        self.died = Some(now);
        let pace = self.pace();
        // A reading spans a chunk; what waited of a stream comes again too.
        self.left = 2 * CHUNK as u64;
        match pace {
            Pace::Many => Verdict::Again,
            Pace::Single => {
                self.pass_over = true;
                Verdict::SetAside
            }
            Pace::PassOver => Verdict::Waits,
        }
    }

    /// Until when the source waits before it may try again; others do not wait for it.
    pub fn waits_until(&self) -> Option<Instant> {
        self.died.map(|died| died + self.pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: u64) -> Position {
        Position { offset, within_cut: false }
    }

    #[test]
    fn the_line_that_kills_twice_is_passed_over_and_the_rest_is_read_as_before() {
        let (mut caution, now) = (Caution::default(), Instant::now());
        assert_eq!(caution.reading(at(7), false), Reading { from: at(7), lines: MANY, skip: false, last: false });
        assert_eq!((caution.died(now), caution.pace()), (Verdict::Again, Pace::Single));
        caution.lived(at(7), at(20));
        assert_eq!((caution.died(now), caution.pace()), (Verdict::SetAside, Pace::PassOver));
        assert!(caution.reading(at(20), false).skip);
        caution.lived(at(20), at(20));
        assert_eq!(caution.pace(), Pace::PassOver, "nothing was passed over yet");
        caution.lived(at(20), at(40));
        assert_eq!(caution.pace(), Pace::Single);
        caution.lived(at(40), at(40 + 2 * CHUNK as u64));
        assert_eq!(caution.pace(), Pace::Many);
    }

    #[test]
    fn a_source_that_kills_again_and_again_waits_ever_longer_and_is_forgiven() {
        let (mut caution, now) = (Caution::default(), Instant::now());
        let pauses: Vec<Duration> = (0..13)
            .map(|_| {
                caution.died(now);
                caution.waits_until().unwrap() - now
            })
            .collect();
        assert_eq!((pauses[0], pauses[1], pauses[12]), (FIRST_PAUSE, FIRST_PAUSE * 2, LONGEST_PAUSE));
        assert_eq!(caution.died(now), Verdict::Waits);
        let later = now + FORGIVEN;
        caution.died(later);
        assert_eq!(caution.waits_until().unwrap() - later, FIRST_PAUSE);
    }
}
