//! What people ask of a baseline, in parts: the thread that owns it answers each in well under a millisecond, and whoever asks puts them
//! together. What is learned meanwhile may be missing from the answer.

use std::collections::HashSet;
use std::sync::Arc;

use bartizan_model::{BaselineReview, BaselineStatus, BaselineVersion, Habit, HabitKind, HabitReason, HabitState, Profile, Timestamp};

use super::baseline::Baseline;
use super::keeping::Changes;
use super::known::{Entry, Known};
use super::review::{Counted, LISTED, counted, row, status_of};

/// Habits that one part looks at, and numbers of profiles that it tries.
pub(crate) const HABITS: usize = 2_048;
pub(crate) const NUMBERS: u64 = 8_192;
/// Habits that are copied at once.
const ROWS: usize = 256;

/// Somebody who can ask the baseline where it lives.
pub trait Asked {
    /// Why there is no answer.
    type Error;

    /// Has this question answered by whoever owns the baseline.
    ///
    /// # Errors
    /// When it is not answered.
    fn ask<T: Send + 'static>(&self, question: impl FnOnce(&mut Baseline) -> T + Send + 'static) -> Result<T, Self::Error>;
}

/// Where a habit is: the numbers of its profile and its own.
type Place = (u64, u64);

impl Baseline {
    /// The next profiles by number, as far as one part goes; then where the next part begins, if there is one.
    fn part<T>(&self, from: u64, each: &dyn Fn(u64, &Known, &mut Vec<T>)) -> (Vec<T>, Option<u64>) {
        let (mut found, mut looked) = (Vec::new(), 0);
        for number in from..self.next_profile {
            if looked >= HABITS || number - from >= NUMBERS {
                return (found, Some(number));
            }
            if let Some(known) = self.profiles.get(&number) {
                looked += 1 + known.habits.len();
                each(number, known, &mut found);
            }
        }
        (found, None)
    }

    fn rows(&self, places: &[Place]) -> Vec<Habit> {
        let at = |(profile, id): &Place| {
            let known = self.profiles.get(profile)?;
            Some(row(known, known.habits.iter().find(|entry| entry.id == *id)?))
        };
        places.iter().filter_map(at).collect()
    }
}

fn all<A: Asked, T: Send + 'static>(
    asked: &A,
    each: impl Fn(u64, &Known, &mut Vec<T>) + Send + Sync + 'static,
) -> Result<Vec<T>, A::Error> {
    let (mut found, mut from, each) = (Vec::new(), Some(0), Arc::new(each));
    while let Some(number) = from {
        let each = Arc::clone(&each);
        let (part, next) = asked.ask(move |baseline| baseline.part(number, &*each))?;
        found.extend(part);
        from = next;
    }
    Ok(found)
}

fn rows<A: Asked>(asked: &A, places: &[Place]) -> Result<Vec<Habit>, A::Error> {
    let mut found = Vec::with_capacity(places.len());
    for part in places.chunks(ROWS) {
        let part = part.to_vec();
        found.extend(asked.ask(move |baseline| baseline.rows(&part))?);
    }
    Ok(found)
}

/// What is new since the last time, for whoever writes it down.
///
/// # Errors
/// When there is no answer; with it comes what was taken until then, which goes back by [`Baseline::not_kept`].
pub fn take_changes<A: Asked>(asked: &A) -> Result<Changes, (A::Error, Option<Box<Changes>>)> {
    let (mut changes, mut from, mut taken) = (Changes::default(), Some(0), false);
    while let Some(number) = from {
        let part = asked.ask(move |baseline| {
            let mut part = Changes::default();
            let next = baseline.take_part(number, &mut part);
            (part, next)
        });
        let (part, next) = part.map_err(|error| (error, taken.then(|| Box::new(std::mem::take(&mut changes)))))?;
        (taken, from) = (true, next);
        changes.began = part.began;
        changes.profiles.extend(part.profiles);
        changes.habits.extend(part.habits);
        changes.gone.extend(part.gone);
        changes.gone_habits.extend(part.gone_habits);
    }
    Ok(changes)
}

/// Which habits are looked at.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Of this kind.
    pub kind: Option<HabitKind>,
    /// In this state.
    pub state: Option<HabitState>,
    /// With one of these numbers.
    pub among: Option<Arc<HashSet<u64>>>,
    /// Beyond this number.
    pub after: u64,
}

impl Wanted {
    fn has(&self, entry: &Entry) -> bool {
        entry.id > self.after
            && self.kind.is_none_or(|kind| entry.kind == kind)
            && self.state.is_none_or(|state| entry.state == state)
            && self.among.as_ref().is_none_or(|among| among.contains(&entry.id))
    }
}

/// Habits that somebody wants to see, in the order of their numbers, at most so many; `shown` is asked of each by the one who asks.
///
/// # Errors
/// When there is no answer.
pub fn list<A: Asked>(asked: &A, wanted: Wanted, shown: &dyn Fn(&Habit) -> bool, limit: usize) -> Result<Vec<Habit>, A::Error> {
    let mut places: Vec<Place> = all(asked, move |number, known, found| {
        found.extend(known.habits.iter().filter(|entry| wanted.has(entry)).map(|entry| (number, entry.id)));
    })?;
    places.sort_unstable_by_key(|(_, id)| *id);
    let mut found = Vec::new();
    for part in places.chunks(ROWS) {
        if found.len() >= limit {
            break;
        }
        found.extend(rows(asked, part)?.into_iter().filter(shown));
    }
    found.truncate(limit);
    Ok(found)
}

/// How far learning has come.
///
/// # Errors
/// When there is no answer.
pub fn status<A: Asked>(asked: &A, now: Timestamp, version: Option<BaselineVersion>) -> Result<BaselineStatus, A::Error> {
    let (settings, began, evicted) = asked.ask(|baseline| (baseline.settings, baseline.began, baseline.evicted))?;
    let (at, learn_for) = (now.timestamp(), settings.learn_for);
    let each = all(asked, move |_, known, found: &mut Vec<Counted>| found.push(counted(known, (at, learn_for))))?;
    Ok(status_of(each, (began, learn_for, evicted), version))
}

/// A habit as far as its place in a review needs it.
struct Waits {
    who: Arc<Profile>,
    place: Place,
    kind: HabitKind,
    state: HabitState,
    reason: HabitReason,
    first: i64,
    last: i64,
}

/// What waits for a person, worst first, and what was learned since the last review, newest first.
///
/// # Errors
/// When there is no answer.
pub fn review<A: Asked>(
    asked: &A,
    now: Timestamp,
    (version, since): (Option<BaselineVersion>, Option<Timestamp>),
) -> Result<BaselineReview, A::Error> {
    let is_new = move |entry: &Entry| since.is_none_or(|since| entry.first >= since.timestamp());
    let found = all(asked, move |number, known, found: &mut Vec<Waits>| {
        let listed = known.habits.iter().filter(|entry| match entry.state {
            HabitState::Waiting => true,
            HabitState::Learned => is_new(entry),
            HabitState::Rejected => false,
        });
        found.extend(listed.map(|entry| Waits {
            who: Arc::clone(&known.who),
            place: (number, entry.id),
            kind: entry.kind,
            state: entry.state,
            reason: entry.reason,
            first: entry.first,
            last: entry.last,
        }));
    })?;
    let (mut waiting, mut learned): (Vec<Waits>, Vec<Waits>) = found.into_iter().partition(|one| one.state == HabitState::Waiting);
    waiting.sort_unstable_by(|a, b| {
        let of = |one: &Waits| (one.reason.rank(), one.kind, std::cmp::Reverse(one.last));
        let (a_key, b_key) = (of(a), of(b));
        (a_key.0, &a.who, a_key.1, a_key.2).cmp(&(b_key.0, &b.who, b_key.1, b_key.2))
    });
    learned.sort_unstable_by_key(|one| std::cmp::Reverse((one.first, one.place.1)));
    let shown = |found: &[Waits]| rows(asked, &found.iter().take(LISTED).map(|one| one.place).collect::<Vec<_>>());
    Ok(BaselineReview {
        status: status(asked, now, version)?,
        since,
        more: waiting.len().saturating_sub(LISTED) as u64,
        more_learned: learned.len().saturating_sub(LISTED) as u64,
        waiting: shown(&waiting)?,
        learned: shown(&learned)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;
    use bartizan_model::{HabitId, HostText};
    use std::cell::RefCell;
    use std::convert::Infallible;

    struct Desk(RefCell<Baseline>, RefCell<usize>);

    impl Asked for Desk {
        type Error = Infallible;

        fn ask<T: Send + 'static>(&self, question: impl FnOnce(&mut Baseline) -> T + Send + 'static) -> Result<T, Infallible> {
            *self.1.borrow_mut() += 1;
            Ok(question(&mut self.0.borrow_mut()))
        }
    }

    #[test]
    fn parts_put_together_are_the_whole() {
        let mut baseline = Baseline::new(Settings::default());
        for number in 0..700 {
            let exe = HostText::from(format!("/usr/bin/p{number}").as_str());
            let id = baseline.add(Profile { exe, below: None, unit: None, user: "root".into(), container: None }, 100, true);
            let known = baseline.profiles.get_mut(&id).unwrap();
            for habit in 0..7 {
                let state = [HabitState::Learned, HabitState::Waiting, HabitState::Rejected][habit % 3];
                let what = (HabitKind::ALL[habit % HabitKind::ALL.len()], HostText::from(format!("value {habit}").as_str()));
                known.habits.push(Entry::new(id * 10 + habit as u64, what, (state, HabitReason::Observed), (Arc::from("x"), 100)));
            }
        }
        let now = Timestamp::from_timestamp(200, 0).unwrap();
        let (all, status_before) = (baseline.habits(|_| true, HabitId(0), usize::MAX), baseline.status(now, None));
        let desk = Desk(RefCell::new(baseline), RefCell::default());
        assert_eq!(list(&desk, Wanted::default(), &|_| true, usize::MAX).unwrap(), all);
        assert!(*desk.1.borrow() > 3, "in parts");
        assert_eq!(status(&desk, now, None).unwrap(), status_before);
        let (after, state) = (all[1000].id.0, Some(HabitState::Waiting));
        let some = list(&desk, Wanted { after, state, ..Wanted::default() }, &|habit| habit.value == *"value 4", 5).unwrap();
        let expected = all.iter().filter(|habit| habit.id.0 > after && habit.value == *"value 4").take(5).cloned().collect::<Vec<_>>();
        assert_eq!((some.len(), some), (5, expected));
        let review = review(&desk, now, (None, None)).unwrap();
        assert_eq!((review.waiting.len(), review.more), (LISTED, 700 * 2 - LISTED as u64));
        assert_eq!((review.learned.len(), review.more_learned, review.status), (LISTED, 700 * 3 - LISTED as u64, status_before));
        let changes = take_changes(&desk).unwrap();
        assert_eq!((changes.profiles.len(), changes.habits.len()), (700, all.len()));
        assert!(take_changes(&desk).unwrap().is_empty(), "each once");
        let mut baseline = desk.0.into_inner();
        baseline.not_kept(changes);
        assert_eq!(baseline.take_changes().habits.len(), all.len(), "and again when it was not kept");
    }
}
