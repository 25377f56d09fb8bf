//! A baseline as it is kept on disk: what changed since it was kept last, and all of it back again.

use std::sync::Arc;

use bartizan_model::{HabitKind, HabitReason, HabitState, HostText, Profile};
use serde::{Deserialize, Serialize};

use super::activity::{Activity, KeptActivity};
use super::baseline::Baseline;
use super::known::{Entry, Known};
use super::observation::is_outside_value;
use super::parts::{HABITS, NUMBERS};
use super::settings::Settings;

/// A profile on disk. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptProfile {
    /// Its number.
    pub id: u64,
    /// Whose it is.
    pub who: Profile,
    /// First seen.
    pub first: i64,
    /// Last seen.
    pub last: i64,
    /// How often.
    pub count: u32,
    /// On how many days.
    pub days: u16,
    /// Kinds of habit of which it has too many, one bit each.
    pub crowded: u8,
    /// It may teach by itself.
    pub trusted: bool,
    /// The event of its newest start.
    pub last_start: u64,
    /// How much it usually does.
    pub activity: KeptActivity,
}

/// A habit on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptHabit {
    /// Its number.
    pub id: u64,
    /// The number of its profile.
    pub profile: u64,
    /// Its kind.
    pub kind: HabitKind,
    /// What.
    pub value: HostText,
    /// Whether it counts.
    pub state: HabitState,
    /// Why.
    pub reason: HabitReason,
    /// Who decided.
    pub by: String,
    /// First seen, in seconds since 1970.
    pub first: i64,
    /// Last seen.
    pub last: i64,
    /// How often.
    pub count: u32,
    /// On how many days.
    pub days: u16,
    /// When it was reported last, in seconds since 1970; 0 when never.
    pub told: i64,
}

/// What changed since it was kept last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// When learning began, in seconds since 1970; 0 before the first event.
    pub began: i64,
    /// Profiles that are new or changed.
    pub profiles: Vec<KeptProfile>,
    /// Habits that are new or changed.
    pub habits: Vec<KeptHabit>,
    /// Profiles that were forgotten, with all their habits.
    pub gone: Vec<u64>,
    /// Habits that were forgotten, of profiles that are still there.
    pub gone_habits: Vec<u64>,
}

impl Changes {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.profiles.is_empty() && self.habits.is_empty() && self.gone.is_empty() && self.gone_habits.is_empty()
    }
}

fn keep_profile(id: u64, known: &Known) -> KeptProfile {
    KeptProfile {
        id,
        who: Profile::clone(&known.who),
        first: known.first,
        last: known.last,
        count: known.count,
        days: known.days,
        crowded: known.crowded_bits(),
        trusted: known.trusted,
        last_start: known.last_start,
        activity: known.activity.keep(),
    }
}

fn keep_habit(profile: u64, entry: &Entry) -> KeptHabit {
    KeptHabit {
        id: entry.id,
        profile,
        kind: entry.kind,
        value: entry.value.clone(),
        state: entry.state,
        reason: entry.reason,
        by: entry.by.to_string(),
        first: entry.first,
        last: entry.last,
        count: entry.count,
        days: entry.days,
        told: entry.told,
    }
}

impl Baseline {
    /// What is new since the last call; what fails to be kept goes back by [`Baseline::not_kept`].
    pub fn take_changes(&mut self) -> Changes {
        let (mut changes, mut from) = (Changes::default(), Some(0));
        while let Some(number) = from {
            from = self.take_part(number, &mut changes);
        }
        changes
    }

    /// The same in parts, each of a moment: of the profiles from this number on. Where the next part begins, if there is one.
    pub(crate) fn take_part(&mut self, from: u64, changes: &mut Changes) -> Option<u64> {
        let (gone, gone_habits) = self.gone.take();
        // All that any part hands over has a number below these.
        self.gone.handed_over((self.next_profile, self.next_habit));
        changes.began = self.began;
        changes.gone.extend(gone);
        changes.gone_habits.extend(gone_habits);
        let mut looked = 0;
        for id in from..self.next_profile {
            if looked >= HABITS || id - from >= NUMBERS {
                return Some(id);
            }
            let Some(known) = self.profiles.get_mut(&id) else { continue };
            looked += 1 + known.habits.len();
            if !std::mem::take(&mut known.changed) {
                continue;
            }
            changes.profiles.push(keep_profile(id, known));
            for entry in known.habits.iter_mut().filter(|entry| entry.changed) {
                entry.changed = false;
                changes.habits.push(keep_habit(id, entry));
            }
        }
        None
    }

    /// These changes could not be kept: everything counts as changed, and what was forgotten still has to go from the disk.
    pub fn not_kept(&mut self, changes: Changes) {
        changes.gone.into_iter().for_each(|id| self.gone.profile(id));
        self.gone.habits(changes.gone_habits);
        self.mark_all();
    }

    /// Everything counts as changed: nothing is known to be on disk.
    pub fn mark_all(&mut self) {
        for known in self.profiles.values_mut() {
            known.changed = true;
            known.habits.iter_mut().for_each(|entry| entry.changed = true);
        }
    }

    /// All of it as it was kept. A habit without its profile is left out.
    pub fn restore(settings: Settings, kept: Changes) -> Self {
        let mut baseline = Self::new(settings);
        baseline.began = kept.began;
        for profile in kept.profiles {
            baseline.next_profile = baseline.next_profile.max(profile.id + 1);
            baseline.newest = baseline.newest.max(profile.last);
            baseline.put_back(profile);
        }
        for habit in kept.habits {
            baseline.next_habit = baseline.next_habit.max(habit.id + 1);
            baseline.put_back_habit(habit);
        }
        baseline.gone.handed_over((baseline.next_profile, baseline.next_habit));
        baseline
    }

    fn put_back(&mut self, kept: KeptProfile) {
        let who = Arc::new(kept.who);
        if let Some(world) = who.container.clone().or_else(|| who.unit.as_deref().map(HostText::from)) {
            let since = self.worlds.entry(world).or_insert((kept.first, 0));
            since.0 = since.0.min(kept.first);
        }
        let mut known = Known::new(Arc::clone(&who), kept.first, kept.trusted).with_crowded_bits(kept.crowded);
        (known.last, known.count, known.days) = (kept.last, kept.count, kept.days);
        known.last_start = kept.last_start;
        known.activity = Activity::restore(&kept.activity);
        known.changed = false;
        self.by_who.insert(who, kept.id);
        self.profiles.insert(kept.id, known);
    }

    fn put_back_habit(&mut self, kept: KeptHabit) {
        let by = if *kept.by == *self.ourselves { Arc::clone(&self.ourselves) } else { Arc::from(kept.by.as_str()) };
        let Some(known) = self.profiles.get_mut(&kept.profile) else { return };
        let explained = kept.state == HabitState::Learned && known.trusted && known.who.unit.is_some();
        let calls = (kept.kind == HabitKind::Destination && !explained && is_outside_value(&kept.value)).then(Box::default);
        known.habits.push(Entry {
            id: kept.id,
            kind: kept.kind,
            value: kept.value,
            state: kept.state,
            reason: kept.reason,
            by,
            first: kept.first,
            last: kept.last,
            count: kept.count,
            days: kept.days,
            changed: false,
            calls,
            told: kept.told,
        });
    }
}
