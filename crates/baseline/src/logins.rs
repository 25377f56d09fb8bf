//! Logins: whence, with which key and at which hour an account comes.

use bartizan_model::{Event, HabitId, HabitKind, HabitReason, HabitState, HostText, Login, Maturity, Profile, Severity};

use super::amounts::sureness;
use super::baseline::Baseline;
use super::circumstances::Circumstances;
use super::deviation::{Deviation, DeviationKind, days};
use super::known::{Entry, Known};
use super::meeting::{LEAST_CONFIDENCE, judge, may_tell};
use super::observation::of_login;
use super::settings::HOUR;
use super::who::account_of;

/// Days on which an account logged in before its hours say something.
const DAYS_TO_KNOW_HOURS: u16 = 8;

impl Baseline {
    /// Somebody was let in.
    pub(crate) fn login(&mut self, (event, at): (&Event, i64), login: &Login, ask: &dyn Fn() -> Circumstances) -> Vec<Deviation> {
        let (seen, Some(who)) = (of_login(login), account_of(login)) else { return Vec::new() };
        let learning = self.is_learning(at);
        let id = self.by_who.get(&who).copied().unwrap_or_else(|| self.add(who, at, learning));
        self.seen(id, at);
        let objection = self.guard.objection_to_login(login, &ask(), (event.complete, at));
        let (mut new, mut found) = (Vec::new(), Vec::new());
        for (kind, value) in seen {
            match self.source(id, (kind, value), (objection, at)) {
                Source::Known => {}
                Source::Rejected(deviation) => found.push(deviation),
                Source::New(value) => new.push(value),
            }
        }
        let learn_for = self.settings.learn_for;
        let Some(known) = self.profiles.get_mut(&id) else { return found };
        // By a password from where it always comes, an account shows its hours as well as by a key.
        let usual = objection.is_none() || objection == Some(HabitReason::Password) && new.is_empty();
        found.extend(new_login(known, &new, (learning, learn_for, at)));
        let odd = odd_hour(known, (learn_for, at));
        if usual || odd.is_some() {
            known.activity.mark_hour(at);
        }
        found.extend(odd);
        found
    }

    /// Whence or with which key somebody came.
    fn source(&mut self, id: u64, (kind, value): (HabitKind, HostText), (objection, at): (Option<HabitReason>, i64)) -> Source {
        let learn_for = self.settings.learn_for;
        let Some(known) = self.profiles.get_mut(&id) else { return Source::Known };
        if let Some(place) = known.place_of(kind, &value) {
            let rejected = known.habits.get_mut(place).and_then(|entry| {
                entry.seen(at);
                rejected_login(&known.who, entry, at)
            });
            return rejected.map_or(Source::Known, Source::Rejected);
        }
        if known.is_crowded(kind) {
            return Source::Known;
        }
        let (state, reason) = judge(known, objection, (false, false), (learn_for, at));
        self.keep_entry(id, (kind, value.clone()), (state, reason), (None, at));
        if state == HabitState::Learned { Source::Known } else { Source::New(value) }
    }
}

/// How a source or key meets what is known of an account.
enum Source {
    /// It is normal, or it is not judged.
    Known,
    /// A person said that it is not normal.
    Rejected(Deviation),
    /// It was never seen.
    New(HostText),
}

fn rejected_login(who: &Profile, entry: &mut Entry, at: i64) -> Option<Deviation> {
    if entry.state != HabitState::Rejected || at - entry.told < HOUR {
        return None;
    }
    entry.told = at;
    let sentence = format!("{} logged in {} ({}), which a person rejected as not normal here", who.user, entry.value, who.exe);
    let (kind, habit) = (DeviationKind::Login, Some(HabitId(entry.id)));
    Some(Deviation { kind, sentence, severity: Severity::High, confidence: 0.6, event: None, habit })
}

/// An account that is known comes from elsewhere or with another key, or one that is not known comes at all.
fn new_login(known: &mut Known, new: &[HostText], (learning, learn_for, at): (bool, i64, i64)) -> Option<Deviation> {
    let first = new.first()?;
    let kind = DeviationKind::Login;
    let is_known = known.maturity(at, learn_for) == Maturity::Known;
    let by_key = new.iter().any(|value| value.starts_with("key "));
    let by_source = new.iter().any(|value| value.starts_with("from "));
    let habit = known.habits.iter().rfind(|entry| entry.value == *first).map(|entry| HabitId(entry.id));
    if !known.trusted && !learning && known.count <= 1 {
        let sentence = format!("{} logged in for the first time ({}, {first})", known.who.user, known.who.exe);
        return Some(Deviation { kind, sentence, severity: Severity::Low, confidence: 0.3, event: None, habit });
    }
    if !is_known || !may_tell(known, kind, at) {
        return None;
    }
    let confidence = kind.most() * (1.0 - known.chance_of_new(HabitKind::Login)) * if by_key { 1.0 } else { 0.6 };
    let others = known.of_kind(HabitKind::Login, HabitState::Learned).count();
    let what = new.iter().map(HostText::escaped).collect::<Vec<_>>().join(" and ");
    let severity = if by_key && by_source { Severity::Medium } else { Severity::Low };
    let sentence = format!(
        "{} logged in {what} for the first time ({}): in {} there were {others} other sources and keys",
        known.who.user,
        known.who.exe,
        days(known.days.into())
    );
    (confidence >= LEAST_CONFIDENCE).then_some(Deviation { kind, sentence, severity, confidence, event: None, habit })
}

/// An account comes at an hour at which it never came.
fn odd_hour(known: &mut Known, (learn_for, at): (i64, i64)) -> Option<Deviation> {
    let is_known = known.maturity(at, learn_for) == Maturity::Known && known.days >= DAYS_TO_KNOW_HOURS;
    let kind = DeviationKind::Hour;
    if !is_known || known.activity.knows_hour(at) || !may_tell(known, kind, at) {
        return None;
    }
    let hour = at.div_euclid(HOUR).rem_euclid(24);
    let sentence = format!(
        "{} logged in at {hour:02}:00 to {:02}:59 UTC ({}), which it did not do in {}",
        known.who.user,
        hour,
        known.who.exe,
        days(known.days.into())
    );
    let confidence = kind.most() * sureness(known.days.into());
    Some(Deviation { kind, sentence, severity: Severity::Low, confidence, event: None, habit: None })
}
