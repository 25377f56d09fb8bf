//! Our own cost against its limits: what is given up to stay within them, step by step, and taken up again.

use std::time::{Duration, Instant};

use bartizan_model::{Budget, BudgetChange};

/// Readings above a limit in a row before one more step is given up. One lies five seconds behind the other and looks ten
/// seconds back, so a step shows its effect before the next is taken.
const BAD: u32 = 2;
/// How long the cost must be low before one step is taken up again.
const GOOD: Duration = Duration::from_secs(30);
/// Low is this part of the limit: what is taken up again must not at once be too much.
const ROOMY_CPU: f64 = 0.8;
/// The same for memory, which is seldom given back whole.
const ROOMY_MEMORY: f64 = 0.95;

/// Work that can be given up, in the order in which it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// Digests of programs, and which package owns them.
    Hashing,
    /// Names of destinations and containers.
    Names,
    /// Forks and exits in the archive; the world and the detectors still get them.
    ForksAndExits,
    /// Nine of ten ordinary execs in the archive; never one that matters for security.
    OrdinaryExecs,
    /// Looking at sockets as often as usual.
    Polling,
}

impl Step {
    /// All, first given up first.
    pub(super) const ALL: [Self; 5] = [Self::Hashing, Self::Names, Self::ForksAndExits, Self::OrdinaryExecs, Self::Polling];

    /// What is given up, in words.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Hashing => "digests and packages of programs",
            Self::Names => "names of destinations and containers",
            Self::ForksAndExits => "forks, exits and ends of connections in the archive",
            Self::OrdinaryExecs => "nine of ten ordinary execs in the archive",
            Self::Polling => "frequent looks at sockets",
        }
    }
}

/// What the agent may cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Limits {
    /// Percent of one core over ten seconds.
    pub(crate) cpu_percent: f64,
    /// Resident bytes.
    pub(crate) rss_bytes: u64,
}

/// What it costs now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Reading {
    /// Percent of one core over the last ten seconds.
    pub(super) cpu_percent: f64,
    /// Resident bytes.
    pub(super) rss_bytes: u64,
}

/// Decides; others do. Time is an argument.
#[derive(Debug)]
pub(super) struct Governor {
    limits: Limits,
    steps: Vec<Step>,
    level: usize,
    bad: u32,
    good_since: Option<Instant>,
}

impl Governor {
    /// With these limits; `steps` are those that can be given up in this build, in order.
    pub(super) fn new(limits: Limits, steps: Vec<Step>) -> Self {
        Self { limits, steps, level: 0, bad: 0, good_since: None }
    }

    /// Takes a reading; what changes, if anything does.
    pub(super) fn weigh(&mut self, reading: Reading, now: Instant) -> Option<BudgetChange> {
        if let Some(trouble) = self.trouble(reading) {
            self.good_since = None;
            self.bad += 1;
            if self.bad < BAD || self.level >= self.steps.len() {
                return None;
            }
            self.bad = 0;
            self.level += 1;
            return Some(self.change(trouble));
        }
        self.bad = 0;
        if self.level == 0 || !self.roomy(reading) {
            self.good_since = None;
            return None;
        }
        let since = *self.good_since.get_or_insert(now);
        if now.saturating_duration_since(since) < GOOD {
            return None;
        }
        self.good_since = Some(now);
        self.level -= 1;
        let spent = spent(reading);
        Some(self.change(format!("there is room again: {spent} for {} s", GOOD.as_secs())))
    }

    /// What is given up now.
    pub(super) fn given_up(&self) -> &[Step] {
        self.steps.get(..self.level).unwrap_or_default()
    }

    /// Limits and level, for health.
    pub(super) fn budget(&self) -> Budget {
        Budget {
            max_cpu_percent: self.limits.cpu_percent,
            max_rss_bytes: self.limits.rss_bytes,
            level: self.number(),
            given_up: self.words(),
        }
    }

    fn trouble(&self, reading: Reading) -> Option<String> {
        if reading.cpu_percent > self.limits.cpu_percent {
            let (spent, limit) = (reading.cpu_percent, self.limits.cpu_percent);
            return Some(format!("{spent:.1} % of a core over ten seconds, the limit is {limit:.0} % (max_cpu_percent)"));
        }
        (reading.rss_bytes > self.limits.rss_bytes)
            .then(|| format!("{} MiB of memory, the limit is {} MiB (max_memory)", reading.rss_bytes >> 20, self.limits.rss_bytes >> 20))
    }

    fn roomy(&self, reading: Reading) -> bool {
        reading.cpu_percent <= self.limits.cpu_percent * ROOMY_CPU
            && reading.rss_bytes as f64 <= self.limits.rss_bytes as f64 * ROOMY_MEMORY
    }

    fn change(&self, why: String) -> BudgetChange {
        BudgetChange { level: self.number(), given_up: self.words(), why }
    }

    fn number(&self) -> u8 {
        u8::try_from(self.level).unwrap_or(u8::MAX)
    }

    fn words(&self) -> Vec<String> {
        self.given_up().iter().map(|step| step.words().to_owned()).collect()
    }
}

fn spent(reading: Reading) -> String {
    format!("{:.1} % of a core and {} MiB", reading.cpu_percent, reading.rss_bytes >> 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(5);

    fn governor() -> Governor {
        Governor::new(Limits { cpu_percent: 20.0, rss_bytes: 256 << 20 }, Step::ALL.to_vec())
    }

    fn cpu(percent: f64) -> Reading {
        Reading { cpu_percent: percent, rss_bytes: 50 << 20 }
    }

    /// Levels told while the same reading comes every five seconds.
    fn levels(governor: &mut Governor, reading: Reading, from: &mut Instant, readings: u32) -> Vec<u8> {
        let one = |_| {
            *from += EVERY;
            governor.weigh(reading, *from).map(|change| change.level)
        };
        (0..readings).filter_map(one).collect()
    }

    #[test]
    fn two_bad_readings_give_up_one_step_and_half_a_good_minute_takes_one_up() {
        let (mut governor, mut now) = (governor(), Instant::now());
        assert_eq!(levels(&mut governor, cpu(20.0), &mut now, 50), [0u8; 0], "the limit itself is allowed");
        assert_eq!(levels(&mut governor, cpu(20.1), &mut now, 1), [0u8; 0], "one bad reading may be chance");
        assert_eq!(levels(&mut governor, cpu(5.0), &mut now, 1), [0u8; 0]);
        assert_eq!(levels(&mut governor, cpu(90.0), &mut now, 4), [1, 2]);
        assert_eq!(governor.given_up(), [Step::Hashing, Step::Names]);
        assert_eq!(levels(&mut governor, cpu(90.0), &mut now, 40), [3, 4, 5], "then there is nothing left");
        assert_eq!(governor.budget().given_up.len(), 5);
        assert_eq!(levels(&mut governor, cpu(17.0), &mut now, 100), [0u8; 0], "below the limit, but not by enough");
        assert_eq!(levels(&mut governor, cpu(16.0), &mut now, 6), [0u8; 0], "25 s are not 30");
        assert_eq!(levels(&mut governor, cpu(16.0), &mut now, 1), [4]);
        assert_eq!(levels(&mut governor, cpu(16.0), &mut now, 24), [3, 2, 1, 0]);
        assert_eq!(levels(&mut governor, cpu(16.0), &mut now, 24), [0u8; 0]);
    }

    #[test]
    fn a_bad_moment_ends_the_good_time() {
        let (mut governor, mut now) = (governor(), Instant::now());
        levels(&mut governor, cpu(50.0), &mut now, 2);
        levels(&mut governor, cpu(1.0), &mut now, 6);
        levels(&mut governor, cpu(18.0), &mut now, 1);
        assert_eq!(levels(&mut governor, cpu(1.0), &mut now, 6), [0u8; 0]);
        assert_eq!(levels(&mut governor, cpu(1.0), &mut now, 1), [0]);
    }

    #[test]
    fn memory_counts_too_and_the_words_say_which_limit() {
        let (mut governor, now) = (governor(), Instant::now());
        let heavy = Reading { cpu_percent: 1.0, rss_bytes: 300 << 20 };
        assert_eq!(governor.weigh(heavy, now), None);
        let change = governor.weigh(heavy, now).unwrap();
        assert_eq!(change.why, "300 MiB of memory, the limit is 256 MiB (max_memory)");
        assert_eq!(change.given_up, ["digests and packages of programs"]);
    }

    #[test]
    fn only_what_exists_is_given_up() {
        let mut governor = Governor::new(Limits { cpu_percent: 1.0, rss_bytes: 1 << 40 }, vec![Step::ForksAndExits]);
        let mut now = Instant::now();
        assert_eq!(levels(&mut governor, cpu(9.0), &mut now, 20), [1]);
        assert_eq!(governor.given_up(), [Step::ForksAndExits]);
    }
}
