//! What the journal says against what the kernel says, again and again: nothing drifts unseen.

use std::cell::OnceCell;
use std::time::Duration;

use super::Responder;
use super::actions::{self, ActError, ObservedState};
use super::confirm::time_given;
use super::ending::word;
use super::transaction::line;
use bartizan_model::{Action, ActionState, Alarm, AlarmKind, EndCause, HostText, Timestamp};
use bartizan_store::ledger::Held;

/// How long after its time the kernel or the watchdog may take before we end it ourselves.
const GRACE: Duration = Duration::from_secs(3);
/// How far before its deadline an end outside of us may come: the kernel's clocks are coarser than ours.
const EARLY: Duration = Duration::from_secs(3);
/// A look that takes longer (nanoseconds) says nothing about times; after so many of them it is believed all the same, so that
/// nobody hides behind a busy host.
const LATE: u64 = 1_000_000_000;
const MAX_LOOKS: usize = 3;
/// Actions undone by others that raise an alarm each in one round; the table of the packet filter is one alarm anyway.
const MAX_ALARMS: usize = 16;

/// What one round found to be undone by others.
#[derive(Debug, Default)]
struct Undone {
    /// In the packet filter: how many, and the first of them.
    filtered: usize,
    first: Option<String>,
    alarms: Vec<Alarm>,
}

/// The active actions as they were when the round began, copied only when something must be brought back.
struct Others<'a> {
    held: &'a [Held],
    copied: OnceCell<Vec<Action>>,
}

impl Others<'_> {
    fn all(&self) -> &[Action] {
        self.copied.get_or_init(|| self.held.iter().map(|held| Action::clone(&held.action)).collect())
    }
}

impl Responder {
    /// Compares every active action with the kernel; gives those whose row changed, if only by the time at which they
    /// were seen. What is meant to be live and drifted is brought back for the time it still has, or alarmed, as its kind and
    /// the policy say. What is meant to be gone (ended, not confirmed in time, failed, asked to be undone) is undone, as often
    /// as it takes; it is never brought back.
    ///
    /// # Errors
    /// When the ledger cannot be written; errors of single actions are in their notes.
    pub fn reconcile(&self, now: Timestamp) -> Result<Vec<Action>, ActError> {
        let _turn = self.my_turn();
        self.compare_all(now)
    }

    pub(super) fn compare_all(&self, now: Timestamp) -> Result<Vec<Action>, ActError> {
        let held = self.ledger.held();
        let others = Others { held: &held, copied: OnceCell::new() };
        let (mut changed, mut seen, mut undone) = (Vec::new(), Vec::new(), Undone::default());
        let mut trouble = Ok(());
        self.forget_ruleset();
        for one in &held {
            let after = self.compare(one, &others, &mut undone, now);
            self.checkpoint("while comparing");
            let before = &*one.action;
            if after.state != before.state || after.ended_at.is_some() || after.note != before.note && after.state != ActionState::Live {
                let written = self.put(&after, now, "reconciler", &word(&after));
                trouble = trouble.and(written);
                changed.push(after);
            } else if after != *before {
                seen.push(after);
            }
        }
        trouble = trouble.and(self.ledger.refresh(&seen));
        self.remove_foreign(&mut undone, now);
        self.alarm_undone(undone);
        changed.append(&mut seen);
        trouble?;
        Ok(changed)
    }

    /// What somebody else put into our own sets drops packets in our name, perhaps the owner's, and nobody ends it: it goes.
    fn remove_foreign(&self, undone: &mut Undone, now: Timestamp) {
        // What cannot be read is found by the comparison of the actions, or at the next round.
        for sentence in self.context.remove_orphans(&self.ledger.held()).unwrap_or_default() {
            undone.first.get_or_insert_with(|| sentence.clone());
            undone.filtered += 1;
            self.tell(now, "reconciler", "orphan.removed", "kernel", sentence);
        }
    }

    /// One action as the kernel shows it now, moved towards what it is meant to be.
    fn compare(&self, held: &Held, others: &Others<'_>, undone: &mut Undone, now: Timestamp) -> Action {
        let (mut action, snapshot) = (Action::clone(&held.action), &*held.snapshot);
        if self.died_with_its_kernel(held) {
            let why = "the host was rebooted: what the kernel held of it is over";
            self.decide_gone(&mut action, EndCause::Expired, "reconciler", why, now);
            let outcome = action.desired.ending().map_or(ActionState::Expired, |ending| ending.cause.outcome());
            (action.state, action.ended_at, action.note) = (outcome, Some(now), why.to_owned());
            return action;
        }
        if action.undo_pending().is_some() {
            self.undo_again(&mut action, snapshot, now);
            return action;
        }
        let grace = chrono::Duration::from_std(GRACE).unwrap_or_default();
        let (moment, sight) = self.look_promptly(held, now);
        let overdue = moment > action.ends_at() + grace;
        match sight {
            Ok(ObservedState::Gone(why)) => self.finish(&mut action, held, &why, now),
            // Even when nobody can tell whether it is still there.
            Ok(_) | Err(_) if overdue => {
                self.finish(&mut action, held, "its time was over and it was still there: ended by bartizan", now);
            }
            Ok(ObservedState::Live(proof)) => {
                (action.state, action.verified_at, action.note) = (ActionState::Live, Some(now), proof.join("; "));
            }
            // About to end by itself: the difference is the ending.
            Ok(ObservedState::Drifted(_) | ObservedState::Outgrown(_)) if moment > action.ends_at() => {}
            Ok(ObservedState::Drifted(why)) => self.bring_back(&mut action, held, others, Some(undone), &why, now),
            // Nobody touched it, so nobody is blamed.
            Ok(ObservedState::Outgrown(why)) => self.bring_back(&mut action, held, others, None, &why, now),
            Err(error) => (action.state, action.note) = (ActionState::Unknown, format!("the kernel cannot be asked: {error}")),
        }
        action
    }

    /// What the kernel shows, and at which moment. Times are held against each other, so that a host which stands still between
    /// the look at the clock and the look at the kernel would show ends that nobody changed: then both are looked at again.
    fn look_promptly(&self, held: &Held, now: Timestamp) -> (Timestamp, Result<ObservedState, ActError>) {
        let mut looks = 0;
        loop {
            let (begun, moment) = (self.clock.now(), self.moment_of(held, now));
            self.checkpoint("between the clock and the kernel");
            let sight = actions::of(held.action.kind).verify(&self.context, &held.action, &held.snapshot, moment);
            looks += 1;
            let is_late = self.clock.now().saturating_sub(begun) > LATE;
            if !is_late || looks == MAX_LOOKS || !matches!(sight, Ok(ObservedState::Drifted(_))) {
                return (moment, sight);
            }
            self.forget_ruleset();
        }
    }

    /// Its time is over, or the host shows it gone: from here on it is meant to be, and what is left of it is taken away.
    fn finish(&self, action: &mut Action, held: &Held, why: &str, now: Timestamp) {
        let early = chrono::Duration::from_std(EARLY).unwrap_or_default();
        let moment = self.moment_of(held, now);
        if action.awaits_confirmation().is_some_and(|until| moment + early >= until) {
            let why = format!("nobody confirmed it within {}: undone", time_given(action));
            self.want_gone(action, EndCause::Unconfirmed, "reconciler", &why, now);
        } else if action.kind.outlives_reboot() {
            self.want_gone(action, EndCause::Expired, "reconciler", why, now);
        } else {
            // On record with what comes of it: no clock that this boot can have makes its time come again.
            self.decide_gone(action, EndCause::Expired, "reconciler", why, now);
        }
        // Why it failed is in the action.
        let _ = self.try_to_undo(action, &held.snapshot, now);
    }

    fn bring_back(&self, action: &mut Action, held: &Held, others: &Others<'_>, undone: Option<&mut Undone>, why: &str, now: Timestamp) {
        let act = actions::of(action.kind);
        let is_news = action.state != ActionState::Drifted;
        (action.state, action.note) = (ActionState::Drifted, why.to_owned());
        if let Some(undone) = undone.filter(|_| is_news) {
            undone.note(action, why);
        }
        let moment = self.moment_of(held, now);
        let Some(restored) = act.restore(&self.context, action, others.all(), moment) else { return };
        self.tell(now, "reconciler", "action.drifted", action.id, why);
        self.forget_ruleset();
        let shown = restored.and_then(|()| act.verify(&self.context, action, &held.snapshot, moment));
        match shown {
            Ok(ObservedState::Live(proof)) => {
                (action.state, action.verified_at) = (ActionState::Live, Some(now));
                action.note = format!("brought back ({why}); {}", proof.join("; "));
                self.ledger.audit_or_owe(line(now, "reconciler", "action.reapplied", action.id, action.note.clone()));
            }
            Ok(ObservedState::Drifted(still) | ObservedState::Outgrown(still) | ObservedState::Gone(still)) => {
                action.note = format!("{why}; bringing it back did not help: {still}")
            }
            Err(error) => action.note = format!("{why}; not brought back: {error}"),
        }
    }

    /// One alarm for the packet filter, however many addresses it held; one each for the rest.
    fn alarm_undone(&self, undone: Undone) {
        if let Some(first) = undone.first {
            let more = if undone.filtered > 1 { format!(" (and {} more)", undone.filtered - 1) } else { String::new() };
            let detail = HostText::from(format!("{first}{more}").as_str());
            (self.context.alarm)(Alarm { what: AlarmKind::TableChanged, detail, action: None, path: None });
        }
        undone.alarms.into_iter().for_each(|alarm| (self.context.alarm)(alarm));
    }
}

impl Undone {
    fn note(&mut self, action: &Action, why: &str) {
        if action.kind.spec().in_packet_filter {
            self.filtered += 1;
            self.first.get_or_insert_with(|| format!("{}: {why}", action.id));
        } else if self.alarms.len() < MAX_ALARMS {
            let detail = HostText::from(format!("{} {}: {why}", action.id, action.kind).as_str());
            self.alarms.push(Alarm { what: AlarmKind::ActionUndone, detail, action: Some(action.id), path: None });
        }
    }
}
