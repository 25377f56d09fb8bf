//! What people see of a baseline, and what they decide about it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bartizan_model::{
    BaselineReview, BaselineStatus, BaselineVersion, Habit, HabitId, HabitKind, HabitReason, HabitState, Maturity, Timestamp,
};

use super::baseline::Baseline;
use super::known::{Entry, Known};

/// Habits of a kind that a review lists at most.
const LISTED: usize = 200;
/// Crowded profiles that the status names.
const MAX_CROWDED: usize = 50;

fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_timestamp(seconds, 0).unwrap_or_default()
}

fn row(known: &Known, entry: &Entry) -> Habit {
    Habit {
        id: HabitId(entry.id),
        profile: bartizan_model::Profile::clone(&known.who),
        kind: entry.kind,
        value: entry.value.clone(),
        state: entry.state,
        reason: entry.reason,
        by: entry.by.to_string(),
        first: moment(entry.first),
        last: moment(entry.last),
        count: entry.count.into(),
        days: entry.days.into(),
    }
}

/// Whoever may run here may teach what it does, and whoever may not teaches nothing.
fn trust_by_program(known: &mut Known) {
    let may_run = known.of_kind(HabitKind::Program, HabitState::Learned).next().is_some();
    known.trusted = may_run;
}

impl Baseline {
    /// Habits that somebody wants to see, in the order of their names.
    pub fn habits(&self, wanted: impl Fn(&Habit) -> bool, after: HabitId, limit: usize) -> Vec<Habit> {
        let all = self.profiles.values().flat_map(|known| known.habits.iter().map(move |entry| (known, entry)));
        let mut found: Vec<(&Known, &Entry)> = all.filter(|(_, entry)| entry.id > after.0).collect();
        found.sort_unstable_by_key(|(_, entry)| entry.id);
        found.into_iter().map(|(known, entry)| row(known, entry)).filter(|habit| wanted(habit)).take(limit).collect()
    }

    /// How far learning has come.
    pub fn status(&self, now: Timestamp, version: Option<BaselineVersion>) -> BaselineStatus {
        let at = now.timestamp();
        let of = |state| self.profiles.values().map(|known| known.habits.iter().filter(|entry| entry.state == state).count() as u64).sum();
        let maturity = |maturity| {
            let is = |known: &&Known| known.maturity(at, self.settings.learn_for) == maturity;
            (maturity, self.profiles.values().filter(is).count() as u64)
        };
        let crowded = self.profiles.values().flat_map(|known| {
            let kinds = HabitKind::ALL.into_iter().filter(|kind| known.is_crowded(*kind));
            kinds.map(move |kind| (bartizan_model::Profile::clone(&known.who), kind))
        });
        let mut crowded: Vec<_> = crowded.collect();
        crowded.sort_unstable();
        crowded.truncate(MAX_CROWDED);
        let began = (self.began > 0).then(|| moment(self.began));
        BaselineStatus {
            began,
            ends: began.map(|_| moment(self.began + self.settings.learn_for)),
            version,
            profiles: [Maturity::New, Maturity::Learning, Maturity::Known, Maturity::Stale].map(maturity).to_vec(),
            learned: of(HabitState::Learned),
            waiting: of(HabitState::Waiting),
            rejected: of(HabitState::Rejected),
            crowded,
            evicted: self.evicted,
        }
    }

    /// What waits for a person, worst first, and what was learned since the last review, newest first.
    pub fn review(&self, now: Timestamp, (version, since): (Option<BaselineVersion>, Option<Timestamp>)) -> BaselineReview {
        let all = || self.profiles.values().flat_map(|known| known.habits.iter().map(move |entry| (known, entry)));
        let mut waiting: Vec<_> = all().filter(|(_, entry)| entry.state == HabitState::Waiting).collect();
        waiting.sort_unstable_by_key(|(known, entry)| {
            (entry.reason.rank(), Arc::clone(&known.who), entry.kind, std::cmp::Reverse(entry.last))
        });
        let is_new = |entry: &Entry| since.is_none_or(|since| entry.first >= since.timestamp());
        let mut learned: Vec<_> = all().filter(|(_, entry)| entry.state == HabitState::Learned && is_new(entry)).collect();
        learned.sort_unstable_by_key(|(_, entry)| std::cmp::Reverse((entry.first, entry.id)));
        let rows = |found: &[(&Known, &Entry)]| found.iter().take(LISTED).map(|(known, entry)| row(known, entry)).collect::<Vec<_>>();
        BaselineReview {
            status: self.status(now, version),
            since,
            more: waiting.len().saturating_sub(LISTED) as u64,
            more_learned: learned.len().saturating_sub(LISTED) as u64,
            waiting: rows(&waiting),
            learned: rows(&learned),
        }
    }

    /// A person says what is normal. Nothing is changed when one of them is not there.
    ///
    /// # Errors
    /// The first name that is nobody's.
    pub fn decide(&mut self, ids: &[HabitId], normal: bool, by: &str) -> Result<Vec<Habit>, HabitId> {
        let places = self.places(ids)?;
        let by: Arc<str> = Arc::from(by);
        let state = if normal { HabitState::Learned } else { HabitState::Rejected };
        let mut decided = Vec::new();
        for (profile, place) in places {
            let Some(known) = self.profiles.get_mut(&profile) else { continue };
            known.changed = true;
            let Some(entry) = known.habits.get_mut(place) else { continue };
            let is_program = entry.kind == HabitKind::Program;
            (entry.state, entry.reason, entry.by, entry.changed) = (state, HabitReason::Reviewed, Arc::clone(&by), true);
            if is_program {
                trust_by_program(known);
            }
            decided.push((profile, place));
        }
        let rows = decided.into_iter().filter_map(|(profile, place)| {
            let known = self.profiles.get(&profile)?;
            Some(row(known, known.habits.get(place)?))
        });
        Ok(rows.collect())
    }

    /// Where these habits are.
    fn places(&self, ids: &[HabitId]) -> Result<Vec<(u64, usize)>, HabitId> {
        let wanted: HashSet<u64> = ids.iter().map(|id| id.0).collect();
        let mut places = HashMap::new();
        for (profile, known) in &self.profiles {
            let here = known.habits.iter().enumerate().filter(|(_, entry)| wanted.contains(&entry.id));
            places.extend(here.map(|(place, entry)| (entry.id, (*profile, place))));
        }
        ids.iter().map(|id| places.get(&id.0).copied().ok_or(*id)).collect()
    }

    /// Makes habits count as they did once; those that were not there then wait for a person. Gives how many changed.
    pub fn revert(&mut self, states: &HashMap<u64, HabitState>, by: &str) -> u64 {
        let by: Arc<str> = Arc::from(by);
        let mut count = 0;
        for known in self.profiles.values_mut() {
            for entry in &mut known.habits {
                let state = states.get(&entry.id).copied().unwrap_or(HabitState::Waiting);
                if entry.state == state {
                    continue;
                }
                (entry.state, entry.reason, entry.by, entry.changed) = (state, HabitReason::Reviewed, Arc::clone(&by), true);
                known.changed = true;
                count += 1;
            }
            if known.habits.iter().any(|entry| entry.kind == HabitKind::Program && entry.reason == HabitReason::Reviewed) {
                trust_by_program(known);
            }
        }
        count
    }
}
