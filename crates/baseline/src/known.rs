//! What is known of one profile: its habits, since when, and how far it can be judged by.

use std::sync::Arc;

use bartizan_model::{HabitKind, HabitReason, HabitState, HostText, Maturity, Profile};

use super::activity::Activity;
use super::deviation::DeviationKind;
use super::intervals::Intervals;
use super::settings::DAY;

/// Habits of one kind that a profile may have: with more, a new one does not stand out.
pub(crate) const MAX_OF_KIND: usize = 64;
/// Habits that wait for a person, of one profile.
pub(crate) const MAX_WAITING: usize = 32;
/// Not seen for so long, what a profile does not do is known no more, in seconds.
const STALE: i64 = 30 * DAY;
/// Seen so often, or on two days, a profile is not new.
const OFTEN: u32 = 10;

/// One habit in memory.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) id: u64,
    pub(crate) kind: HabitKind,
    pub(crate) value: HostText,
    pub(crate) state: HabitState,
    pub(crate) reason: HabitReason,
    pub(crate) by: Arc<str>,
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) count: u32,
    pub(crate) days: u16,
    pub(crate) changed: bool,
    /// Of a destination outside: when it was called.
    pub(crate) calls: Option<Box<Intervals>>,
    /// When it was told last, in seconds since 1970; 0 when never.
    pub(crate) told: i64,
}

impl Entry {
    /// Seen for the first time.
    pub(crate) fn new(
        id: u64,
        (kind, value): (HabitKind, HostText),
        (state, reason): (HabitState, HabitReason),
        (by, at): (Arc<str>, i64),
    ) -> Self {
        Self { id, kind, value, state, reason, by, first: at, last: at, count: 1, days: 1, changed: true, calls: None, told: 0 }
    }

    /// Seen once more.
    pub(crate) fn seen(&mut self, at: i64) {
        if at.div_euclid(DAY) != self.last.div_euclid(DAY) {
            self.days = self.days.saturating_add(1);
        }
        self.last = self.last.max(at);
        self.count = self.count.saturating_add(1);
        self.changed = true;
    }
}

/// One profile in memory.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) who: Arc<Profile>,
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) count: u32,
    pub(crate) days: u16,
    pub(crate) habits: Vec<Entry>,
    /// Bit N: too many habits of the kind with this number.
    crowded: u8,
    /// It may teach by itself what it does: it was there while learning, was installed, or a person approved it.
    pub(crate) trusted: bool,
    pub(crate) activity: Activity,
    /// The event of its newest start.
    pub(crate) last_start: u64,
    /// Deviations told in the hour that runs, of each kind.
    pub(crate) told: (i64, [u8; DeviationKind::COUNT]),
    pub(crate) changed: bool,
}

impl Known {
    pub(crate) fn new(who: Arc<Profile>, at: i64, trusted: bool) -> Self {
        Self {
            who,
            first: at,
            last: at,
            count: 0,
            days: 1,
            habits: Vec::new(),
            crowded: 0,
            trusted,
            activity: Activity::default(),
            last_start: 0,
            told: (0, [0; DeviationKind::COUNT]),
            changed: true,
        }
    }

    /// Seen once more.
    pub(crate) fn seen(&mut self, at: i64) {
        if at.div_euclid(DAY) != self.last.div_euclid(DAY) {
            self.days = self.days.saturating_add(1);
        }
        self.last = self.last.max(at);
        self.count = self.count.saturating_add(1);
        self.changed = true;
    }

    pub(crate) fn maturity(&self, now: i64, learn_for: i64) -> Maturity {
        if now - self.last > STALE {
            Maturity::Stale
        } else if self.count < OFTEN && self.days < 2 {
            Maturity::New
        } else if now - self.first < learn_for {
            Maturity::Learning
        } else {
            Maturity::Known
        }
    }

    pub(crate) fn place_of(&self, kind: HabitKind, value: &HostText) -> Option<usize> {
        self.habits.iter().position(|entry| entry.kind == kind && entry.value == *value)
    }

    pub(crate) fn of_kind(&self, kind: HabitKind, state: HabitState) -> impl Iterator<Item = &Entry> {
        self.habits.iter().filter(move |entry| entry.kind == kind && entry.state == state)
    }

    /// The place of the habit that makes room for another one that waits: the mildest, of those the one seen least, of those the oldest.
    /// `None` when none is as mild as `reason`.
    fn mildest(&self, reason: HabitReason) -> Option<usize> {
        let waiting = self.habits.iter().enumerate().filter(|(_, entry)| entry.state == HabitState::Waiting);
        let (place, entry) =
            waiting.max_by_key(|(_, entry)| (entry.reason.rank(), std::cmp::Reverse((entry.count, entry.last, entry.id))))?;
        (entry.reason.rank() >= reason.rank()).then_some(place)
    }

    /// Keeps a habit where there is room for it; gives what had to make room. `Err` when there is none.
    pub(crate) fn keep(&mut self, entry: Entry) -> Result<Option<u64>, ()> {
        match entry.state {
            HabitState::Learned if self.of_kind(entry.kind, HabitState::Learned).count() >= MAX_OF_KIND => {
                self.crowd(entry.kind);
                Err(())
            }
            HabitState::Waiting if self.habits.iter().filter(|kept| kept.state == HabitState::Waiting).count() >= MAX_WAITING => {
                let place = self.mildest(entry.reason).ok_or(())?;
                let gone = self.habits.get_mut(place).map(|kept| std::mem::replace(kept, entry).id);
                Ok(gone)
            }
            HabitState::Learned | HabitState::Waiting | HabitState::Rejected => {
                self.habits.push(entry);
                Ok(None)
            }
        }
    }

    pub(crate) fn is_crowded(&self, kind: HabitKind) -> bool {
        self.crowded & bit(kind) != 0
    }

    pub(crate) fn crowd(&mut self, kind: HabitKind) {
        self.crowded |= bit(kind);
        self.changed = true;
    }

    /// A kind has room again once half of its habits were not seen for a month, or were rejected: those not seen are forgotten. Gives which.
    pub(crate) fn make_room(&mut self, now: i64) -> Vec<u64> {
        let mut gone = Vec::new();
        for kind in HabitKind::ALL {
            if !self.is_crowded(kind) {
                continue;
            }
            let given_up = |entry: &Entry| now - entry.last > STALE && entry.reason != HabitReason::Reviewed;
            let live = self.of_kind(kind, HabitState::Learned).filter(|entry| !given_up(entry)).count();
            if live > MAX_OF_KIND / 2 {
                continue;
            }
            let of_it = |entry: &Entry| entry.kind == kind && entry.state == HabitState::Learned && given_up(entry);
            gone.extend(self.habits.extract_if(.., |entry| of_it(entry)).map(|entry| entry.id));
            (self.crowded, self.changed) = (self.crowded & !bit(kind), true);
        }
        gone
    }

    pub(crate) fn crowded_bits(&self) -> u8 {
        self.crowded
    }

    pub(crate) fn with_crowded_bits(mut self, bits: u8) -> Self {
        self.crowded = bits;
        self
    }

    /// How likely the next one of a kind is a new one: the share of those seen once (Good 1953, "The population frequencies of species"), or of
    /// the days that brought a new one, whichever is more; 1 when nothing was seen. Who calls one place a thousand times a day and a new one
    /// every day is expected to call a new one.
    pub(crate) fn chance_of_new(&self, kind: HabitKind) -> f64 {
        let (mut once, mut all) = (1u64, 1u64);
        // Whatever became of an older content of a program: that it changes often is what counts.
        for entry in
            self.habits.iter().filter(|entry| entry.kind == kind && (kind == HabitKind::Program || entry.state == HabitState::Learned))
        {
            once += u64::from(entry.count == 1);
            all += u64::from(entry.count);
        }
        // Who never did a thing of this kind did it none of so many times.
        let all = if all == 1 && kind != HabitKind::Program { u64::from(self.count).max(1) } else { all };
        (once as f64 / all as f64).max(self.days_with_new(kind)).min(1.0)
    }

    /// The share of days after the first that brought a new habit of a kind, learned or only late; two days more are counted, so that it says
    /// little about somebody who is not known for long.
    fn days_with_new(&self, kind: HabitKind) -> f64 {
        let late = |entry: &&Entry| entry.state == HabitState::Learned || entry.reason == HabitReason::Late;
        let day = |at: i64| at.div_euclid(DAY);
        let of_kind = self.habits.iter().filter(|entry| entry.kind == kind).filter(late);
        let mut days: Vec<i64> = of_kind.map(|entry| day(entry.first)).filter(|first| *first > day(self.first)).collect();
        days.sort_unstable();
        days.dedup();
        days.len() as f64 / (f64::from(self.days) + 2.0)
    }
}

fn bit(kind: HabitKind) -> u8 {
    match kind {
        HabitKind::Program => 1,
        HabitKind::Child => 2,
        HabitKind::Listener => 4,
        HabitKind::Destination => 8,
        HabitKind::Place => 16,
        HabitKind::Login => 32,
    }
}
