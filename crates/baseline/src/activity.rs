//! How much somebody usually does: by the hour, in bytes, and how long it is quiet.

use serde::{Deserialize, Serialize};

use super::histogram::Histogram;
use super::settings::{HOUR, MINUTE};

/// Hours of work before an unusual one can be told.
const HOURS_TO_KNOW: u64 = 24;
/// An hour with fewer acts than this is no spike, whatever was usual.
const LEAST_SPIKE: u32 = 200;
/// A spike is so many times what the busiest hour had.
const SPIKE: u64 = 4;
/// Bytes that an hour sends at least to be told: 64 MiB.
const LEAST_BYTES: u64 = 64 << 20;
/// Pauses before silence can be told.
const PAUSES_TO_KNOW: u64 = 6;
/// The longest pause is at most so many times the usual one, for somebody who speaks regularly.
const REGULAR: u64 = 4;
/// Silence is told after so many times the longest pause.
const SILENCE: i64 = 2;
/// What a pause has to be longer by, in seconds.
const GRACE: i64 = 10 * MINUTE;

/// What is kept of amounts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Activity {
    hour: i64,
    in_hour: u32,
    sent_in_hour: u64,
    told: Told,
    hours: Histogram,
    bytes: Histogram,
    pauses: Histogram,
    last_start: i64,
    /// Bit N: something happened in hour N of the day (UTC).
    hours_of_day: u32,
}

/// What was told of the hour that runs, and of the silence that lasts.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    spike: bool,
    volume: bool,
    silence: bool,
}

/// An amount beside what is usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unusual {
    /// What it is now: acts, bytes or seconds.
    pub(crate) now: u64,
    /// The median of what was counted.
    pub(crate) usual: u64,
    /// The most that was counted.
    pub(crate) most: u64,
    /// How many amounts were counted.
    pub(crate) samples: u64,
}

impl Activity {
    /// Something was done. Tells once an hour that it is many times more than ever.
    pub(crate) fn act(&mut self, at: i64) -> Option<Unusual> {
        self.turn(at);
        self.in_hour = self.in_hour.saturating_add(1);
        if self.told.spike || self.in_hour < LEAST_SPIKE {
            return None;
        }
        let unusual = beside(&self.hours, u64::from(self.in_hour), HOURS_TO_KNOW)?;
        self.told.spike = unusual.now > upper(unusual.most) * SPIKE;
        self.told.spike.then_some(unusual)
    }

    /// A connection sent so many bytes. Tells once an hour that it is many times more than ever.
    pub(crate) fn send(&mut self, bytes: u64, at: i64) -> Option<Unusual> {
        self.turn(at);
        self.sent_in_hour = self.sent_in_hour.saturating_add(bytes);
        if self.told.volume || self.sent_in_hour < LEAST_BYTES {
            return None;
        }
        let unusual = beside(&self.bytes, self.sent_in_hour, HOURS_TO_KNOW)?;
        self.told.volume = unusual.now > upper(unusual.most).saturating_mul(SPIKE);
        self.told.volume.then_some(unusual)
    }

    /// It was started.
    pub(crate) fn start(&mut self, at: i64) {
        // Several starts within a minute are one.
        if self.last_start > 0 && at - self.last_start >= MINUTE && !self.told.silence {
            self.pauses.add(u64::try_from(at - self.last_start).unwrap_or_default());
        }
        if at - self.last_start >= MINUTE {
            self.last_start = at;
        }
        self.told.silence = false;
    }

    /// Whether it has been quiet for much longer than ever, in spite of a regular life; told once. Only time from `watched_since` on counts.
    pub(crate) fn silence(&mut self, now: i64, watched_since: i64) -> Option<Unusual> {
        let quiet = now - self.last_start.max(watched_since);
        if self.told.silence || self.last_start == 0 {
            return None;
        }
        let unusual = beside(&self.pauses, u64::try_from(quiet).ok()?, PAUSES_TO_KNOW)?;
        let most = i64::try_from(upper(unusual.most)).ok()?;
        let regular = unusual.most <= unusual.usual.saturating_mul(REGULAR);
        self.told.silence = regular && quiet > most * SILENCE + GRACE;
        self.told.silence.then_some(unusual)
    }

    /// Whether something ever happened at about this hour of the day; an hour to either side is the same, for clocks are changed in spring.
    pub(crate) fn knows_hour(&self, at: i64) -> bool {
        let hour = hour_of_day(at);
        [hour + 23, hour, hour + 1].iter().any(|hour| self.hours_of_day & (1 << (hour % 24)) != 0)
    }

    /// Something happened at this hour of the day.
    pub(crate) fn mark_hour(&mut self, at: i64) {
        self.hours_of_day |= 1 << hour_of_day(at);
    }

    /// The hour is over: what it had is counted.
    fn turn(&mut self, at: i64) {
        let hour = at.div_euclid(HOUR);
        if hour <= self.hour {
            return;
        }
        // What was told as unusual teaches nothing: otherwise the next one would be usual.
        if self.in_hour > 0 && !self.told.spike {
            self.hours.add(u64::from(self.in_hour));
        }
        if self.sent_in_hour > 0 && !self.told.volume {
            self.bytes.add(self.sent_in_hour);
        }
        (self.hour, self.in_hour, self.sent_in_hour) = (hour, 0, 0);
        (self.told.spike, self.told.volume) = (false, false);
    }
}

/// The most that an amount of the same bucket can be.
fn upper(least: u64) -> u64 {
    least.saturating_add(least / 4 + 1)
}

fn hour_of_day(at: i64) -> i64 {
    at.div_euclid(HOUR).rem_euclid(24)
}

fn beside(counted: &Histogram, now: u64, to_know: u64) -> Option<Unusual> {
    let samples = counted.total();
    (samples >= to_know).then_some(())?;
    Some(Unusual { now, usual: counted.median()?, most: counted.most()?, samples })
}

/// Amounts as they are kept on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeptActivity {
    hours: Vec<(u8, u16)>,
    bytes: Vec<(u8, u16)>,
    pauses: Vec<(u8, u16)>,
    last_start: i64,
    hours_of_day: u32,
}

impl Activity {
    pub(crate) fn keep(&self) -> KeptActivity {
        KeptActivity {
            hours: self.hours.parts().to_vec(),
            bytes: self.bytes.parts().to_vec(),
            pauses: self.pauses.parts().to_vec(),
            last_start: self.last_start,
            hours_of_day: self.hours_of_day,
        }
    }

    pub(crate) fn restore(kept: &KeptActivity) -> Self {
        Self {
            hours: Histogram::from_parts(&kept.hours),
            bytes: Histogram::from_parts(&kept.bytes),
            pauses: Histogram::from_parts(&kept.pauses),
            last_start: kept.last_start,
            hours_of_day: kept.hours_of_day,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::DAY;

    const START: i64 = 1_700_000_000;

    #[test]
    fn a_backup_that_stops_is_missed_and_one_that_is_late_is_not() {
        let mut backup = Activity::default();
        (0..10).for_each(|day| backup.start(START + day * DAY));
        let last = START + 9 * DAY;
        assert_eq!(backup.silence(last + 2 * DAY, START), None);
        let told = backup.silence(last + 3 * DAY, START).unwrap();
        assert!(told.now == 3 * DAY as u64 && told.samples == 9, "{told:?}");
        assert_eq!(backup.silence(last + 4 * DAY, START), None, "told once");
        // While nobody watched it may have run.
        let mut unwatched = Activity::restore(&backup.keep());
        assert_eq!(unwatched.silence(last + 4 * DAY, last + 3 * DAY), None);
    }

    #[test]
    fn who_comes_and_goes_at_will_is_not_missed() {
        let mut tool = Activity::default();
        [0, 1, 5, 6, 30, 31, 32, 90].iter().for_each(|hour| tool.start(START + hour * HOUR));
        assert_eq!(tool.silence(START + 300 * HOUR, START), None);
    }

    #[test]
    fn a_spike_is_many_times_the_busiest_hour_and_does_not_become_usual() {
        let mut web = Activity::default();
        for hour in 0..30 {
            (0..100).for_each(|act| assert_eq!(web.act(START + hour * HOUR + act), None));
        }
        let spike = |web: &mut Activity, hour: i64, acts: i64| (0..acts).any(|act| web.act(START + hour * HOUR + act % HOUR).is_some());
        assert!(!spike(&mut web, 31, 400), "three times is a busy day");
        assert!(spike(&mut web, 33, 2000));
        assert!(spike(&mut web, 35, 2000), "the first one taught nothing");
    }

    #[test]
    fn the_hour_of_a_change_of_clocks_is_known() {
        let mut login = Activity::default();
        login.mark_hour(START);
        assert!(login.knows_hour(START + HOUR) && login.knows_hour(START + DAY - HOUR) && !login.knows_hour(START + 3 * HOUR));
    }
}
