//! Habits that were learned elsewhere: on a sister host, or from the archive.

use std::sync::Arc;

use bartizan_model::{Habit, HabitReason, HabitState};

use super::baseline::Baseline;
use super::known::{Entry, MAX_OF_KIND};
use super::observation::MAX_VALUE;
use super::settings::Settings;

/// What became of habits from elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Adopted {
    /// Habits that count here now.
    pub adopted: u64,
    /// Habits that counted here already.
    pub known: u64,
    /// Habits that are not taken over: a person rejected them here, they were not learned there, or there is no room.
    pub left_out: u64,
}

impl Baseline {
    /// Takes over what was learned elsewhere. What a person rejected here stays rejected; what waits here counts from now on, because somebody
    /// asked for this.
    pub fn adopt(&mut self, habits: Vec<Habit>, reason: HabitReason, by: &str) -> Adopted {
        let by: Arc<str> = Arc::from(by);
        let mut done = Adopted::default();
        for habit in habits {
            let fits = habit.value.as_bytes().len() <= MAX_VALUE && habit.profile.exe.as_bytes().len() <= MAX_VALUE;
            if habit.state == HabitState::Learned && fits { self.adopt_one(habit, reason, &by, &mut done) } else { done.left_out += 1 }
        }
        done
    }

    fn adopt_one(&mut self, habit: Habit, reason: HabitReason, by: &Arc<str>, done: &mut Adopted) {
        let (first, last) = (habit.first.timestamp(), habit.last.timestamp());
        // What this host itself did before counts as time of learning; what another host did does not.
        if reason == HabitReason::Archive && (self.began == 0 || first < self.began) {
            self.began = first.max(1);
        }
        let id = self.by_who.get(&habit.profile).copied().unwrap_or_else(|| self.add(habit.profile, first, true));
        let next = self.next_habit;
        let Some(known) = self.profiles.get_mut(&id) else { return };
        let (count, days) = (u32::try_from(habit.count).unwrap_or(u32::MAX), u16::try_from(habit.days).unwrap_or(u16::MAX));
        (known.first, known.last) = (known.first.min(first), known.last.max(last));
        (known.count, known.days) = (known.count.max(count), known.days.max(days));
        known.changed = true;
        let place = known.place_of(habit.kind, &habit.value);
        if let Some(entry) = place.and_then(|place| known.habits.get_mut(place)) {
            return take_over(entry, first, (reason, by), done);
        }
        if known.is_crowded(habit.kind) || known.of_kind(habit.kind, HabitState::Learned).count() >= MAX_OF_KIND {
            known.crowd(habit.kind);
            done.left_out += 1;
            return;
        }
        let new = Entry::new(next, (habit.kind, habit.value), (HabitState::Learned, reason), (Arc::clone(by), first));
        known.habits.push(Entry { last, count, days, ..new });
        self.next_habit += 1;
        done.adopted += 1;
    }

    /// A baseline that learns from events of the past and tells nothing: for [`Baseline::adopt`].
    pub fn of_the_past(settings: Settings) -> Self {
        Self::new(Settings { learn_for: i64::MAX / 4, ..settings })
    }
}

/// A habit that is here already.
fn take_over(entry: &mut Entry, first: i64, (reason, by): (HabitReason, &Arc<str>), done: &mut Adopted) {
    match entry.state {
        HabitState::Learned => done.known += 1,
        HabitState::Rejected => done.left_out += 1,
        HabitState::Waiting => {
            (entry.state, entry.reason, entry.by, entry.changed) = (HabitState::Learned, reason, Arc::clone(by), true);
            entry.first = entry.first.min(first);
            done.adopted += 1;
        }
    }
}
