//! The sentinel: watches how often our own hand acts and how often it had to take something back, and stops it from
//! acting alone when that is more than it should be. It counts by itself, from what was done, not from what was allowed.

use std::collections::VecDeque;

use chrono::TimeDelta;

use bartizan_config::Policy;
use bartizan_model::{Action, ActionId, Alarm, AlarmKind, Approver, HostText, Target, Timestamp};

/// How far back undone and repeated actions count.
const WINDOW: TimeDelta = TimeDelta::minutes(10);
/// Actions remembered at most; more within ten minutes trip it anyway (`most_per_minute` is at most 1000).
const MOST: usize = 2_048;

/// One action of our own hand.
#[derive(Debug)]
struct Seen {
    at: Timestamp,
    id: ActionId,
    target: Target,
    /// Undone because the host's health probes got worse under it.
    undone_at: Option<Timestamp>,
}

/// Why automatic actions are paused, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// When it may act alone again, unless a person sets a mode before.
    pub until: Timestamp,
    /// Why, in one sentence. Safe to show.
    pub why: String,
}

/// The sentinel.
#[derive(Debug, Default)]
pub(super) struct Sentinel {
    /// What was done alone lately, oldest first.
    seen: VecDeque<Seen>,
    pause: Option<Pause>,
}

impl Sentinel {
    /// Takes note of an action as it stands now; those that a person allowed do not count. Told of the same action again,
    /// it only looks whether that was undone since. The alarm is raised once, when it trips.
    pub(super) fn watch(&mut self, action: &Action, policy: &Policy, now: Timestamp) -> Option<Alarm> {
        let Approver::Mode(_) = action.by else { return None };
        // A clock set back leaves entries in the future: they count, which is the safe side, and the list is bounded.
        self.seen.retain(|seen| now.signed_duration_since(seen.undone_at.unwrap_or(seen.at)) < WINDOW);
        let undone = !action.state.is_active() && action.vitals.as_ref().is_some_and(|vitals| !vitals.harmed.is_empty());
        match self.seen.iter_mut().find(|seen| seen.id == action.id) {
            Some(seen) if undone && seen.undone_at.is_none() => seen.undone_at = Some(now),
            Some(_) => return None,
            None => {
                if self.seen.len() >= MOST {
                    self.seen.pop_front();
                }
                let undone_at = undone.then_some(now);
                self.seen.push_back(Seen { at: action.planned_at, id: action.id, target: action.target.clone(), undone_at });
            }
        }
        let why = self.too_much(&action.target, policy, now)?;
        if self.holds(now).is_some() {
            return None;
        }
        let pause = TimeDelta::from_std(policy.sentinel.pause).unwrap_or(WINDOW);
        let until = now.checked_add_signed(pause).unwrap_or(now);
        self.pause = Some(Pause { until, why: why.clone() });
        let detail = HostText::from(format!("{why}; automatic actions are paused until {}", until.format("%H:%M:%S UTC")));
        Some(Alarm { what: AlarmKind::ActionRate, detail, action: Some(action.id), path: None })
    }

    /// Why nothing is done alone now, if so.
    pub(super) fn holds(&self, now: Timestamp) -> Option<&Pause> {
        self.pause.as_ref().filter(|pause| now < pause.until)
    }

    /// A person says how much may be done alone: what was before counts no more.
    pub(super) fn rearm(&mut self) {
        *self = Self::default();
    }

    fn too_much(&self, target: &Target, policy: &Policy, now: Timestamp) -> Option<String> {
        let within = |at: Timestamp, span: TimeDelta| now.signed_duration_since(at) < span;
        let begun = self.seen.iter().filter(|seen| within(seen.at, TimeDelta::minutes(1))).count();
        let most = policy.actions.most_per_minute as usize;
        if begun > most {
            return Some(format!("the agent started {begun} actions on its own within a minute; the limit is {most}"));
        }
        let undone = self.seen.iter().filter(|seen| seen.undone_at.is_some_and(|at| within(at, WINDOW))).count();
        if undone >= policy.sentinel.most_undone as usize {
            return Some(format!("{undone} actions were undone within ten minutes because the host was worse off under them"));
        }
        let repeated = self.seen.iter().filter(|seen| within(seen.at, WINDOW) && seen.target.is_same(target)).count();
        (repeated >= policy.sentinel.most_repeated as usize).then(|| {
            format!("the same was done {repeated} times within ten minutes: {}", super::warrant::sentence(&target.to_string(), 120))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::court::tests::{alive, at, block};
    use bartizan_model::{ActionState, Mode, ProbeCheck};

    fn policy() -> Policy {
        Policy::built_in().unwrap()
    }

    fn done(id: u64, addr: &str, second: i64) -> Action {
        Action { by: Approver::Mode(Mode::Aggressive), planned_at: at(second), ..alive(id, &block(addr)) }
    }

    fn harmful(id: u64, second: i64) -> Action {
        let vitals = Some(ProbeCheck { harmed: vec!["unit nginx.service: failed".into()], ..ProbeCheck::default() });
        Action { state: ActionState::RolledBack, vitals, ..done(id, &format!("203.0.113.{id}"), second) }
    }

    #[test]
    fn more_than_the_rate_trips_it_once_until_the_pause_is_over() {
        let mut sentinel = Sentinel::default();
        let alarms: Vec<Alarm> =
            (1..=12).filter_map(|n| sentinel.watch(&done(n, &format!("203.0.113.{n}"), 5), &policy(), at(5))).collect();
        assert_eq!(alarms.len(), 1, "{alarms:?}");
        assert!(
            alarms[0].what == AlarmKind::ActionRate && alarms[0].detail.escaped().starts_with("the agent started 11 actions on its own")
        );
        assert!(sentinel.holds(at(5 + 15 * 60 - 1)).is_some());
        assert!(sentinel.holds(at(5 + 15 * 60)).is_none());
    }

    #[test]
    fn the_rate_itself_and_what_a_person_did_are_in_order() {
        let mut sentinel = Sentinel::default();
        for n in 1..=10 {
            assert_eq!(sentinel.watch(&done(n, &format!("203.0.113.{n}"), 5), &policy(), at(5)), None);
        }
        for n in 11..=60 {
            let by_hand = Action { by: Approver::Person("BALANCED".into()), ..done(n, "203.0.113.200", 5) };
            assert_eq!(sentinel.watch(&by_hand, &policy(), at(5)), None);
        }
        assert_eq!(sentinel.watch(&done(61, "203.0.113.61", 65), &policy(), at(65)), None, "a minute later");
    }

    #[test]
    fn three_undone_by_their_vital_signs_trip_it_also_when_told_twice() {
        let mut sentinel = Sentinel::default();
        for n in 1..=2 {
            assert_eq!(sentinel.watch(&harmful(n, 100 * n as i64), &policy(), at(100 * n as i64)), None);
            assert_eq!(sentinel.watch(&harmful(n, 100 * n as i64), &policy(), at(100 * n as i64 + 1)), None, "one action counts once");
        }
        // The third is undone only later, when its health probes are looked at again.
        assert_eq!(sentinel.watch(&done(3, "203.0.113.3", 300), &policy(), at(300)), None);
        assert!(sentinel.watch(&harmful(3, 300), &policy(), at(320)).is_some());
        assert!(sentinel.holds(at(321)).unwrap().why.contains("worse off"));
    }

    #[test]
    fn the_same_target_again_and_again_trips_it_and_a_person_arms_it_again() {
        let mut sentinel = Sentinel::default();
        for n in 1..=3 {
            assert_eq!(sentinel.watch(&done(n, "203.0.113.9", 60 * n as i64), &policy(), at(60 * n as i64)), None);
        }
        assert!(sentinel.watch(&done(4, "::ffff:203.0.113.9", 240), &policy(), at(240)).is_some(), "in any spelling");
        sentinel.rearm();
        assert_eq!(sentinel.holds(at(241)), None);
        assert_eq!(sentinel.watch(&done(5, "203.0.113.9", 242), &policy(), at(242)), None);
    }

    #[test]
    fn a_clock_set_back_neither_frees_nor_floods_it() {
        let mut sentinel = Sentinel::default();
        for n in 1..=11 {
            sentinel.watch(&done(n, &format!("203.0.113.{n}"), 5000), &policy(), at(5000));
        }
        assert!(sentinel.holds(at(0)).is_some());
        for n in 12..12 + MOST as u64 + 100 {
            sentinel.watch(&done(n, "203.0.113.77", 5000), &policy(), at(0));
        }
        assert!(sentinel.seen.len() <= MOST);
    }
}
