//! Which line killed the worker: what it was reading is read again line by line, and the line that kills it alone is passed over.

use std::time::{Duration, Instant};

use super::frame::{Position, Reading};
use super::lines::CHUNK;

/// Lines of one reading when nothing is wrong.
const MANY: u32 = 4096;
/// The pause of a file after it killed the worker, while it gets on.
const SHORT_PAUSE: Duration = Duration::from_millis(50);
/// The pause of one that killed it more than `BURST` times within `WINDOW`: somebody writes such lines on purpose.
const PAUSE: Duration = Duration::from_secs(1);
const BURST: u32 = 32;
const WINDOW: Duration = Duration::from_secs(60);
/// No pause is longer; that of one that does not get on is doubled up to here.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Deaths in a row, without a line read in between, that are nobody's fault: who ends the worker from outside is root or the kernel, but one
/// that was taken over may end itself so.
const EXCUSED: u32 = 3;

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
    /// It was ended from outside: what was being read is read again as before.
    Excused,
    /// What was being read is read again, line by line.
    Again,
    /// The line at which it died again, alone, is set aside: it is never looked at.
    SetAside,
    /// It died without looking at any line: the source waits.
    Waits,
}

/// How carefully one file or stream is read.
#[derive(Debug)]
pub struct Caution {
    /// Bytes that are still to be read one by one.
    left: u64,
    pass_over: bool,
    pause: Duration,
    died: Option<Instant>,
    excused: u32,
    /// Deaths since the beginning of this window.
    deaths: u32,
    window: Option<Instant>,
}

impl Default for Caution {
    fn default() -> Self {
        Self { left: 0, pass_over: false, pause: SHORT_PAUSE, died: None, excused: 0, deaths: 0, window: None }
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
        if read > 0 {
            self.excused = 0;
        }
    }

    /// It died while it read. `earned` as in [`Died`](super::Died).
    pub fn died(&mut self, now: Instant, earned: bool) -> Verdict {
        self.died = Some(now);
        if !earned && self.excused < EXCUSED {
            self.excused += 1;
            self.pause = SHORT_PAUSE;
            return Verdict::Excused;
        }
        let pace = self.pace();
        self.pause = match pace {
            Pace::PassOver => (self.pause * 2).clamp(PAUSE, LONGEST_PAUSE),
            Pace::Many | Pace::Single if self.count(now) > BURST => PAUSE,
            Pace::Many | Pace::Single => SHORT_PAUSE,
        };
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

    fn count(&mut self, now: Instant) -> u32 {
        if self.window.is_none_or(|begun| now.saturating_duration_since(begun) >= WINDOW) {
            (self.window, self.deaths) = (Some(now), 0);
        }
        self.deaths += 1;
        self.deaths
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
        assert_eq!((caution.died(now, true), caution.pace()), (Verdict::Again, Pace::Single));
        caution.lived(at(7), at(20));
        assert_eq!((caution.died(now, true), caution.pace()), (Verdict::SetAside, Pace::PassOver));
        assert!(caution.reading(at(20), false).skip);
        caution.lived(at(20), at(20));
        assert_eq!(caution.pace(), Pace::PassOver, "nothing was passed over yet");
        caution.lived(at(20), at(40));
        assert_eq!(caution.pace(), Pace::Single);
        caution.lived(at(40), at(40 + 2 * CHUNK as u64));
        assert_eq!(caution.pace(), Pace::Many);
    }

    #[test]
    fn an_end_from_outside_blames_no_line_unless_it_comes_again_and_again() {
        let (mut caution, now) = (Caution::default(), Instant::now());
        for _ in 0..EXCUSED {
            assert_eq!((caution.died(now, false), caution.pace()), (Verdict::Excused, Pace::Many));
        }
        caution.lived(at(0), at(9));
        assert_eq!((caution.died(now, false), caution.pace()), (Verdict::Excused, Pace::Many), "a line was read in between");
        let verdicts: Vec<_> = (0..4).map(|_| caution.died(now, false)).collect();
        assert_eq!(verdicts, [Verdict::Excused, Verdict::Excused, Verdict::Again, Verdict::SetAside]);
    }

    #[test]
    fn one_that_gets_on_waits_little_and_one_that_does_not_ever_longer() {
        let (mut caution, now) = (Caution::default(), Instant::now());
        let pause = |caution: &Caution, now: Instant| caution.waits_until().unwrap() - now;
        for line in 0..u64::from(BURST) / 2 {
            assert_eq!(
                (caution.died(now, true), pause(&caution, now)),
                (if line == 0 { Verdict::Again } else { Verdict::SetAside }, SHORT_PAUSE)
            );
            caution.lived(at(line), at(line + 1));
        }
        let many: Vec<Duration> = (0..BURST)
            .map(|line| {
                caution.died(now, true);
                caution.lived(at(u64::from(line)), at(u64::from(line) + 1));
                pause(&caution, now)
            })
            .collect();
        assert_eq!((many[0], many[BURST as usize - 1]), (SHORT_PAUSE, PAUSE), "a flood of such lines");
        let later = now + WINDOW;
        caution.died(later, true);
        assert_eq!(pause(&caution, later), SHORT_PAUSE);
        let pauses: Vec<Duration> = (0..8)
            .map(|_| {
                assert_eq!(caution.died(later, true), Verdict::Waits);
                pause(&caution, later)
            })
            .collect();
        assert_eq!((pauses[0], pauses[1], pauses[7]), (PAUSE, PAUSE * 2, LONGEST_PAUSE));
    }
}
