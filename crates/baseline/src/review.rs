//! What people see of a baseline, and what they decide about it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bartizan_model::{BaselineStatus, BaselineVersion, Habit, HabitId, HabitKind, HabitReason, HabitState, Maturity, Profile, Timestamp};

use super::baseline::Baseline;
use super::known::{Entry, Known};

/// Habits of a kind that a review lists at most.
pub(crate) const LISTED: usize = 200;
/// Crowded profiles that the status names.
const MAX_CROWDED: usize = 50;

fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_timestamp(seconds, 0).unwrap_or_default()
}

pub(crate) fn row(known: &Known, entry: &Entry) -> Habit {
    Habit {
        id: HabitId(entry.id),
        profile: Profile::clone(&known.who),
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

/// What the status counts of one profile.
#[derive(Debug)]
pub(crate) struct Counted {
    maturity: Maturity,
    learned: u64,
    waiting: u64,
    rejected: u64,
    crowded: Vec<(Arc<Profile>, HabitKind)>,
}

pub(crate) fn counted(known: &Known, (at, learn_for): (i64, i64)) -> Counted {
    let of = |state| known.habits.iter().filter(|entry| entry.state == state).count() as u64;
    let crowded = HabitKind::ALL.into_iter().filter(|kind| known.is_crowded(*kind));
    Counted {
        maturity: known.maturity(at, learn_for),
        learned: of(HabitState::Learned),
        waiting: of(HabitState::Waiting),
        rejected: of(HabitState::Rejected),
        crowded: crowded.map(|kind| (Arc::clone(&known.who), kind)).collect(),
    }
}

pub(crate) fn status_of(
    each: Vec<Counted>,
    (began, learn_for, evicted): (i64, i64, u64),
    version: Option<BaselineVersion>,
) -> BaselineStatus {
    let sum = |of: &dyn Fn(&Counted) -> u64| each.iter().map(of).sum();
    let maturity = |maturity| (maturity, sum(&|one| u64::from(one.maturity == maturity)));
    let (learned, waiting, rejected) = (sum(&|one| one.learned), sum(&|one| one.waiting), sum(&|one| one.rejected));
    let profiles = [Maturity::New, Maturity::Learning, Maturity::Known, Maturity::Stale].map(maturity).to_vec();
    let mut crowded: Vec<_> = each.iter().flat_map(|one| &one.crowded).collect();
    crowded.sort_unstable();
    crowded.truncate(MAX_CROWDED);
    let started = (began > 0).then(|| moment(began));
    BaselineStatus {
        began: started,
        ends: started.map(|_| moment(began + learn_for)),
        version,
        profiles,
        learned,
        waiting,
        rejected,
        crowded: crowded.into_iter().map(|(who, kind)| (Profile::clone(who), *kind)).collect(),
        evicted,
    }
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
        let learn_for = self.settings.learn_for;
        let each = self.profiles.values().map(|known| counted(known, (now.timestamp(), learn_for))).collect();
        status_of(each, (self.began, learn_for, self.evicted), version)
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
