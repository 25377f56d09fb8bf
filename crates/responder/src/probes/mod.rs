//! The host's health probes before and after each action: what was well, is not any more, and can have been harmed by the
//! action is blamed on it, and the action is undone for it. Enforcement of the fast kinds never waits: their "before" is the
//! last round's.

mod asking;
mod book;
mod kept;
mod path;
mod verdict;

use std::time::Duration;

use asking::Asked;
pub(super) use book::{Before, Signs};

use super::Responder;
use super::operations::Operation;
use super::transaction::line;
use bartizan_model::{Action, ActionId, ActionState, Alarm, AlarmKind, Desired, HostText, Probe, ProbeCheck, Timestamp};
use bartizan_store::ledger::Held;
use bartizan_sys::package_mirrors;

const SECOND: u64 = 1_000_000_000;
/// How often everything is looked at while nothing is done: it is the "before" of the next action.
const QUIET: u64 = 60 * SECOND;
/// ... and while something looks ill that was well: one lost packet is no illness.
const DOUBTFUL: u64 = 5 * SECOND;
/// How often an action that awaits a person, or a sign that looks harmed, is looked at again.
const QUICK: u64 = 2 * SECOND;
/// When after a fast action its signs are looked at.
const LOOKS: [u64; 2] = [SECOND, 5 * SECOND];
/// How many looks in a row must find the same before it counts as harm, and how long lies between two at least.
const SURE: usize = 3;
const BETWEEN: u64 = SECOND;
/// For how long what did harm is not done to the same target without a person.
const SHUNNED: u64 = 600 * SECOND;

impl Responder {
    /// The signs' own round, about once a second on a thread of its own: measures what is due, compares what is watched,
    /// undoes what does harm. Gives the actions whose row changed.
    pub fn check_vitals(&self, now: Timestamp) -> Vec<Action> {
        let at = self.clock.now();
        let quiet = {
            let book = self.signs.book();
            let every = if book.doubts() { DOUBTFUL } else { QUIET };
            book.all_at.is_none_or(|last| at.saturating_sub(last) >= every)
        };
        let due = self.due(at);
        if !quiet && due.is_empty() {
            return Vec::new();
        }
        // What no action can have harmed need not be asked for it.
        let reached = |sign: &Probe| due.iter().any(|id| self.reaches(*id, sign));
        let signs = self.measure(if quiet { Asked::Quietly(&reached) } else { Asked::Only(&reached) });
        if quiet {
            self.signs.book().all_at = Some(at);
            self.tell_what_is_worse();
        }
        due.into_iter().filter_map(|id| self.compare_signs(id, &signs, at, now)).collect()
    }

    /// Sleeps until an action begins to be watched, at most so long; not at all while one is.
    pub fn rest(&self, most: Duration) {
        self.signs.rest(most);
    }

    /// Looks up beforehand what a change must not wait for.
    pub fn look_ahead(&self) {
        self.context.try_all_pieces();
        if self.context.policy().containment.package_mirrors {
            drop(package_mirrors::known());
        }
    }

    /// What is worse and explained by nothing that was done, one line; nothing when all is well.
    pub fn unexplained(&self) -> Option<String> {
        let book = self.signs.book();
        let all: Vec<&str> = book.unexplained.values().map(String::as_str).collect();
        (!all.is_empty()).then(|| format!("{}; nothing that was done explains it, so nothing was undone for it", all.join("; ")))
    }

    /// Whether a watched action can have harmed a sign, as it is or as it was: what led to it may be gone with it.
    fn reaches(&self, id: ActionId, sign: &Probe) -> bool {
        let watched = self.signs.book().watched.get(&id).cloned();
        let Some((held, watched)) = self.ledger.held_one(id).zip(watched) else { return false };
        let then = watched.before.iter().filter(|then| then.is_same(sign));
        then.chain([sign]).any(|sign| path::path(&held.action, &held.snapshot, sign, watched.may_carry).is_some())
    }

    fn tell_what_is_worse(&self) {
        let watched: Vec<ActionId> = self.signs.book().watched.keys().copied().collect();
        let explained = |sign: &Probe| watched.iter().any(|id| self.reaches(*id, sign));
        let ill = self.signs.book().ill();
        let explained: Vec<Probe> = ill.into_iter().filter(|sign| explained(sign)).collect();
        let news = self.signs.book().news(&|sign| explained.iter().any(|known| known.is_same(sign)));
        for said in news {
            let detail = HostText::from(format!("{said}; nothing that was done explains it, so nothing was undone for it").as_str());
            (self.context.alarm)(Alarm { what: AlarmKind::SignsWorse, detail, action: None, path: None });
        }
    }

    /// Actions whose signs are to be looked at now. Those that are over leave.
    fn due(&self, at: u64) -> Vec<ActionId> {
        let mut book = self.signs.book();
        let (mut due, mut over) = (Vec::new(), Vec::new());
        book.watched.retain(|id, watched| {
            let Some(held) = self.ledger.held_one(*id).filter(is_meant) else {
                over.push(*id);
                return false;
            };
            let (age, rested) = (at.saturating_sub(watched.since), at.saturating_sub(watched.looked));
            let waits = held.action.awaits_confirmation().is_some();
            let is_look = LOOKS.get(watched.looks).is_some_and(|look| age >= *look);
            let is_again = watched.bad > 0 && rested >= BETWEEN || waits && rested >= QUICK;
            if is_look {
                // A round that came late counts for every look that it is late for.
                watched.looks = LOOKS.iter().filter(|look| age >= **look).count();
            }
            if is_look || is_again {
                watched.looked = at;
                due.push(*id);
            }
            let goes_on = is_look || is_again || waits || watched.bad > 0 || watched.looks < LOOKS.len();
            over.extend((!goes_on).then_some(*id));
            goes_on
        });
        drop(book);
        over.into_iter().for_each(|id| self.signs.kept.remove(id));
        due
    }

    /// Looks until the signs say for sure whether this action did harm; then it is undone.
    pub(super) fn look_until_sure(&self, id: ActionId, now: Timestamp, operation: &Operation<'_>) -> Option<Action> {
        for _ in 1..SURE {
            operation.step();
            let judged = self.look(id, now);
            if !self.signs.suspects(id) {
                return judged;
            }
            std::thread::sleep(Duration::from_nanos(BETWEEN));
        }
        operation.step();
        self.look(id, now)
    }

    fn look(&self, id: ActionId, now: Timestamp) -> Option<Action> {
        let begun = self.clock.now();
        self.compare_signs(id, &self.measure_all(), begun, now)
    }

    /// Compares one watched action's signs, measured from `begun` on (boot clock), with those before it: written into its row,
    /// and undone when several looks in a row find that it does harm. Of looks that several threads begin within [`BETWEEN`]
    /// one counts. `None` when it is not watched or over.
    pub(super) fn compare_signs(&self, id: ActionId, after: &[Probe], begun: u64, now: Timestamp) -> Option<Action> {
        let _turn = self.my_turn();
        let watched = self.signs.book().watched.get(&id).cloned()?;
        let held = self.ledger.held_one(id).filter(is_meant)?;
        let mut action = Action::clone(&held.action);
        let check = verdict::judge(&action, &held.snapshot, &watched, after, now);
        let counts = watched.bad == 0 || begun.saturating_sub(watched.bad_at) >= BETWEEN;
        let (bad, bad_at) = match (check.harmed.is_empty(), counts) {
            (true, _) => (0, 0),
            (false, true) => (watched.bad + 1, begun),
            (false, false) => (watched.bad, watched.bad_at),
        };
        if let Some(watched) = self.signs.book().watched.get_mut(&id) {
            (watched.bad, watched.bad_at) = (bad, bad_at);
        }
        if bad > 0 && bad < SURE {
            return Some(action);
        }
        let what = |check: &ProbeCheck| (check.well, check.ill_before.clone(), check.unexplained.clone());
        let is_new = action.vitals.as_ref().is_none_or(|then| what(then) != what(&check));
        let is_harm = !check.harmed.is_empty() && action.kind.is_reversible();
        action.vitals = Some(check.clone());
        if !is_harm {
            // Only what is news needs the disk; the time of the last look is in memory.
            let _ = if is_new { self.ledger.update(&action) } else { self.ledger.refresh(std::slice::from_ref(&action)) };
            return Some(action);
        }
        self.undo_for_harm(action, &check, now)
    }

    fn undo_for_harm(&self, action: Action, check: &ProbeCheck, now: Timestamp) -> Option<Action> {
        let id = action.id;
        self.signs.shun(&action.target, self.clock.now() + SHUNNED);
        let why = format!("it did harm: {}", check.harmed.join("; "));
        self.ledger.audit_or_owe(line(now, "health probes", "action.harmful", id, why.clone()));
        self.checkpoint("after harm");
        let until = (now + chrono::Duration::nanoseconds(SHUNNED as i64)).format("%H:%M UTC");
        let said = format!("undone automatically: {why}; until {until} only a person may act on this target again");
        match self.undo(action, "health probes", &said, now) {
            Ok(undone) => Some(undone),
            Err(_) => self.ledger.action(id).ok().flatten(),
        }
    }

    /// What was harmful before a restart is left alone after it too, unless a person acted on it since.
    pub(super) fn remember_harm(&self, now: Timestamp) {
        let recent = chrono::Duration::nanoseconds(SHUNNED as i64);
        // Newest first.
        let actions = self.ledger.actions(book::MAX_SHUNNED).unwrap_or_default();
        for (at, action) in actions.iter().enumerate() {
            let harmful = action.state == ActionState::RolledBack && action.vitals.as_ref().is_some_and(|check| !check.harmed.is_empty());
            let newer = actions.iter().take(at);
            if newer.filter(|newer| newer.by.is_person()).any(|newer| newer.target.is_same(&action.target)) {
                continue;
            }
            if let Some(ended) = action.ended_at.filter(|ended| harmful && now - *ended < recent && *ended <= now) {
                let left = (recent - (now - ended)).num_nanoseconds().and_then(|ns| u64::try_from(ns).ok()).unwrap_or(0);
                self.signs.shun(&action.target, self.clock.now() + left);
            }
        }
    }
}

/// What is being undone already is looked at no more.
fn is_meant(held: &Held) -> bool {
    held.action.desired == Desired::Live
}

#[cfg(test)]
pub(super) mod tests;
