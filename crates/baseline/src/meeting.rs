//! A habit meets what is known: it is counted, learned, set aside or told.

use std::sync::Arc;

use bartizan_model::{Event, EventKind, HabitId, HabitKind, HabitReason, HabitState, HostText, Maturity, Process, Profile, Severity};

use super::baseline::Baseline;
use super::circumstances::Circumstances;
use super::deviation::{Deviation, DeviationKind, days};
use super::intervals::{Intervals, Period};
use super::known::{Entry, Known};
use super::observation::{by_network, is_outside};
use super::settings::HOUR;
use super::who::{is_a_persons, is_an_installer};

/// Deviations of one kind that one profile tells in an hour.
const MOST_IN_AN_HOUR: u8 = 5;
/// Less sure than this, nothing is told.
pub(crate) const LEAST_CONFIDENCE: f64 = 0.1;

/// An event as a habit meets it.
pub(crate) struct Meeting<'a> {
    pub(crate) event: &'a Event,
    pub(crate) process: &'a Process,
    pub(crate) ask: &'a dyn Fn() -> Circumstances,
    pub(crate) at: i64,
}

impl Meeting<'_> {
    pub(crate) fn moment(&self) -> (bool, i64) {
        (self.event.complete, self.at)
    }
}

impl Baseline {
    /// A habit of a profile, known or not.
    pub(crate) fn meet(&mut self, id: u64, kind: HabitKind, value: HostText, meeting: &Meeting<'_>) -> Option<Deviation> {
        let known = self.profiles.get_mut(&id)?;
        // People and installers do as they like: what they do is neither learned nor judged one by one.
        if is_a_persons(&known.who) || is_an_installer(&known.who) {
            return None;
        }
        if let Some(place) = known.place_of(kind, &value) {
            return self.again(id, place, meeting);
        }
        if known.is_crowded(kind) || kind == HabitKind::Destination && is_known_otherwise(known, meeting.event) {
            return None;
        }
        let about = (meeting.ask)();
        let objection = self.guard.objection(meeting.process, &about, meeting.moment());
        // What was running before us shows its content when it starts again.
        let first_content = kind == HabitKind::Program && !known.habits.iter().any(|entry| entry.kind == kind);
        let (state, reason) = judge(known, objection, (about.installing, first_content), (self.settings.learn_for, meeting.at));
        let habit = self.note(id, (kind, value.clone()), (state, reason), meeting);
        if state == HabitState::Learned {
            return None;
        }
        self.unusual(id, (kind, &value), habit, meeting)
    }

    /// Keeps a habit, where there is room for it.
    fn note(
        &mut self,
        id: u64,
        (kind, value): (HabitKind, HostText),
        (state, reason): (HabitState, HabitReason),
        meeting: &Meeting<'_>,
    ) -> Option<HabitId> {
        let known = self.profiles.get_mut(&id)?;
        let outside = matches!(&meeting.event.kind, EventKind::Connect { net } if is_outside(net));
        // Whose calls are explained, their intervals are nobody's business.
        let watched = outside && (state == HabitState::Waiting || !known.trusted || known.who.unit.is_none());
        let calls = watched.then(|| {
            let mut calls = Box::<Intervals>::default();
            calls.call(meeting.at);
            calls
        });
        self.keep_entry(id, (kind, value), (state, reason), (calls, meeting.at))
    }

    /// Keeps a new habit where there is room for it, in the place of a milder one that waits.
    pub(crate) fn keep_entry(
        &mut self,
        id: u64,
        what: (HabitKind, HostText),
        why: (HabitState, HabitReason),
        (calls, at): (Option<Box<Intervals>>, i64),
    ) -> Option<HabitId> {
        let habit = self.next_habit;
        let new = Entry { calls, ..Entry::new(habit, what, why, (Arc::clone(&self.ourselves), at)) };
        let forgotten = self.profiles.get_mut(&id)?.keep(new).ok()?;
        self.gone.habits(forgotten);
        self.next_habit += 1;
        Some(HabitId(habit))
    }

    /// A habit that was seen before.
    fn again(&mut self, id: u64, place: usize, meeting: &Meeting<'_>) -> Option<Deviation> {
        let learn_for = self.settings.learn_for;
        let known = self.profiles.get_mut(&id)?;
        let maturity = known.maturity(meeting.at, learn_for);
        let (who, explained) = (Arc::clone(&known.who), known.trusted && known.who.unit.is_some());
        let entry = known.habits.get_mut(place)?;
        entry.seen(meeting.at);
        let period = entry.calls.as_mut().and_then(|calls| calls.call(meeting.at));
        match entry.state {
            HabitState::Learned => {
                // Someone who waits for commands teaches nothing by asking for them evenly.
                let by_itself = matches!(entry.reason, HabitReason::Observed | HabitReason::Archive);
                if period.is_some() && by_itself && !explained && maturity != Maturity::Known {
                    (entry.state, entry.reason) = (HabitState::Waiting, HabitReason::Regular);
                }
                None
            }
            HabitState::Waiting => match period {
                Some(period) => {
                    entry.reason = if entry.reason.rank() > HabitReason::Regular.rank() { HabitReason::Regular } else { entry.reason };
                    entry.told = meeting.at;
                    beacon(&who, entry, period)
                }
                None => self.still_waits((id, place), meeting),
            },
            HabitState::Rejected => {
                if meeting.at - entry.told < HOUR {
                    return None;
                }
                entry.told = meeting.at;
                let sentence = format!("{who} {} {}, which a person rejected as not normal here", entry.kind.verb(), entry.value);
                let (kind, habit) = (DeviationKind::of(entry.kind), Some(HabitId(entry.id)));
                Some(Deviation { kind, sentence, severity: Severity::Medium, confidence: kind.most(), event: None, habit })
            }
        }
    }

    /// Tells once of what was set aside, when whoever does it is known by now and does it again.
    fn still_waits(&mut self, (id, place): (u64, usize), meeting: &Meeting<'_>) -> Option<Deviation> {
        let learn_for = self.settings.learn_for;
        let known = self.profiles.get_mut(&id)?;
        let entry = known.habits.get(place).filter(|entry| entry.told == 0 && is_worth_telling_again(known, entry, learn_for))?;
        let (habit, kind) = (HabitId(entry.id), entry.kind);
        // A detector that speaks about it is enough.
        if known.maturity(meeting.at, learn_for) != Maturity::Known || (meeting.ask)().reported {
            return None;
        }
        let what = DeviationKind::of(kind);
        let confidence = what.most() * (1.0 - known.chance_of_new(kind));
        if confidence < LEAST_CONFIDENCE || !may_tell(known, what, meeting.at) {
            return None;
        }
        let who = Arc::clone(&known.who);
        let entry = known.habits.get_mut(place)?;
        (entry.told, entry.changed) = (meeting.at, true);
        let sentence = format!(
            "{who} {} {} again ({} times on {}): that was never approved, because {}",
            kind.verb(),
            short(&entry.value),
            entry.count,
            days(entry.days.into()),
            entry.reason.sentence()
        );
        Some(Deviation { kind: what, sentence, severity: severity(&who), confidence, event: None, habit: Some(habit) })
    }

    /// Tells of a new habit of somebody who is known well enough.
    fn unusual(
        &mut self,
        id: u64,
        (kind, value): (HabitKind, &HostText),
        habit: Option<HabitId>,
        meeting: &Meeting<'_>,
    ) -> Option<Deviation> {
        let learn_for = self.settings.learn_for;
        let known = self.profiles.get_mut(&id)?;
        if known.maturity(meeting.at, learn_for) != Maturity::Known {
            return None;
        }
        let what = DeviationKind::of(kind);
        // Somebody whose program is replaced again and again is told of once, not each time.
        let replaced = if kind == HabitKind::Program { known.of_kind(kind, HabitState::Waiting).count().max(1) as f64 } else { 1.0 };
        let confidence = what.most() * (1.0 - known.chance_of_new(kind)) / replaced;
        if confidence < LEAST_CONFIDENCE || !may_tell(known, what, meeting.at) {
            return None;
        }
        if let Some(entry) = known.habits.iter_mut().rfind(|entry| habit == Some(HabitId(entry.id))) {
            entry.told = meeting.at;
        }
        let of_kind = known.of_kind(kind, HabitState::Learned).count();
        let usual = match of_kind {
            0 => format!("in {} it never {}", days(known.days.into()), past(kind)),
            1 => format!("in {} there was one other", days(known.days.into())),
            others => format!("in {} there were {others} others", days(known.days.into())),
        };
        let sentence = match kind {
            HabitKind::Program => format!("{} is another program than it was ({}): {usual}", known.who, short(value)),
            _ => format!("{} {} {value} for the first time: {usual}", known.who, kind.verb()),
        };
        Some(Deviation { kind: what, sentence, severity: severity(&known.who), confidence, event: None, habit })
    }
}

/// What becomes of a new habit.
pub(crate) fn judge(
    known: &Known,
    objection: Option<HabitReason>,
    (installing, first_content): (bool, bool),
    (learn_for, at): (i64, i64),
) -> (HabitState, HabitReason) {
    match objection {
        Some(reason) if reason != HabitReason::Service || !installing => (HabitState::Waiting, reason),
        _ if installing => (HabitState::Learned, HabitReason::Installed),
        _ if known.trusted && (at - known.first < learn_for || first_content) => (HabitState::Learned, HabitReason::Observed),
        _ => (HabitState::Waiting, HabitReason::Late),
    }
}

/// Whether a habit that waits is told when it goes on. What came late was told, or weighed and left, when it was new; unless its profile was new
/// itself. Which program starts and by whom is told of the program then.
fn is_worth_telling_again(known: &Known, entry: &Entry, learn_for: i64) -> bool {
    let of_a_young_one = || entry.first - known.first < learn_for && !matches!(entry.kind, HabitKind::Program | HabitKind::Child);
    entry.reason != HabitReason::Late || of_a_young_one()
}

fn severity(who: &Profile) -> Severity {
    if who.below.is_some_and(|role| role.is_network_facing()) { Severity::Medium } else { Severity::Low }
}

/// Whether a destination that has a new name is known by its network, or one without a name by nothing else.
fn is_known_otherwise(known: &Known, event: &Event) -> bool {
    let EventKind::Connect { net } = &event.kind else { return false };
    by_network(net).is_some_and(|network| {
        let place = known.place_of(HabitKind::Destination, &network);
        place.and_then(|place| known.habits.get(place)).is_some_and(|entry| entry.state == HabitState::Learned)
    })
}

/// A beacon: calls to a destination that is not normal, like a clock.
fn beacon(who: &Profile, entry: &Entry, period: Period) -> Option<Deviation> {
    let sentence = format!(
        "{who} calls {} {period} (half of the pauses differ by at most {} %), and that is not normal here: {} calls on {}",
        entry.value,
        period.spread,
        entry.count,
        days(entry.days.into())
    );
    let habit = Some(HabitId(entry.id));
    Some(Deviation {
        kind: DeviationKind::Beacon,
        sentence,
        severity: Severity::Medium,
        confidence: DeviationKind::Beacon.most(),
        event: None,
        habit,
    })
}

/// Whether a profile may tell one more deviation of this kind in this hour: many new destinations do not hide a new child.
pub(crate) fn may_tell(known: &mut Known, kind: DeviationKind, at: i64) -> bool {
    let hour = at.div_euclid(HOUR);
    if known.told.0 != hour {
        known.told = (hour, [0; DeviationKind::COUNT]);
    }
    known.told.1.get_mut(kind as usize).is_some_and(|told| {
        *told = told.saturating_add(1);
        *told <= MOST_IN_AN_HOUR
    })
}

/// A digest is told by its beginning.
fn short(value: &HostText) -> String {
    if value.starts_with("sha256 ") { value.escaped().chars().take(19).collect() } else { value.escaped() }
}

fn past(kind: HabitKind) -> &'static str {
    match kind {
        HabitKind::Program => "was another program",
        HabitKind::Child => "started a program",
        HabitKind::Listener => "listened",
        HabitKind::Destination => "called anybody",
        HabitKind::Place => "changed watched files",
        HabitKind::Login => "logged in",
    }
}
