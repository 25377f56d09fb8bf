//! The reconcile loop: keeps the actions true, and what ends them alive. Nobody who acts waits for it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::decider::Decider;
use super::{Response, failed, watchdog};
use crate::accounting::Beat;
use crate::schedule::due;
use bartizan_model::{Action, IncidentId, Timestamp};
use bartizan_sys::sched;

/// How often every active action is compared with the kernel, and the emergency script's sign is looked for.
const RECONCILE: Duration = Duration::from_secs(2);
/// How often the ledger is read even when no action is known.
const ANYWAY: Duration = Duration::from_secs(10);
/// How often it is asked whether a round is due.
const ROUND: Duration = Duration::from_millis(500);
/// What cannot be settled at the start, by name.
const RECONCILER: &str = "reconciler";

impl Response {
    /// Settles what an earlier life began: every action gets an owner again or is undone, none is done twice. What cannot be
    /// settled now is told, and tried again by the reconcile loop.
    pub(crate) fn settle(&self, decider: &mut Decider) {
        // Everything was undone while no agent ran: nothing of it is taken for drift.
        self.obey_emergency_script_at_start(decider);
        match self.responder.recover(chrono::Utc::now()) {
            Ok(changed) => changed.iter().for_each(|action| {
                tracing::info!(action = %action.id, state = action.state.noun(), "settled after restart");
            }),
            Err(error) => {
                self.troubles.report(RECONCILER, Some(format!("the actions of an earlier run are not all settled: {error}")));
            }
        }
        self.troubles.report("table of our name", self.responder.table_trouble());
        let actions = self.all_actions();
        let loose: BTreeSet<IncidentId> = actions.iter().rev().filter_map(|action| self.console.action(action)).collect();
        let held: BTreeSet<IncidentId> =
            actions.iter().filter(|action| action.state.is_active()).filter_map(|action| action.incident).collect();
        loose.difference(&held).for_each(|id| self.ingest.held_no_more(*id));
    }

    /// The thread.
    pub(crate) fn keep_true(self: &Arc<Self>) {
        let (mut reconciled, mut anyway) = (Instant::now(), Instant::now());
        let standing = watchdog::standing(self);
        while !self.stop.is_set() {
            std::thread::sleep(ROUND);
            self.accounting.beat(Beat::Reconciler);
            if self.settings.only_watches || !due(&mut reconciled, RECONCILE) {
                continue;
            }
            self.obey_emergency_script();
            self.keep_watchdog(&standing);
            // Every action passes over the screen's rows; the ledger itself is asked now and then all the same.
            if due(&mut anyway, ANYWAY) || self.console.has_active_actions() {
                self.reconcile(chrono::Utc::now());
            }
        }
    }

    fn reconcile(&self, now: Timestamp) {
        // Whoever acts waits until it is done.
        match sched::forward(|| self.responder.reconcile(now)) {
            Ok(changed) => {
                self.troubles.report(RECONCILER, None);
                changed.iter().for_each(|action| self.show_action(action));
                self.watch(changed, now);
                self.tell_pending();
            }
            Err(error) => self.troubles.report(RECONCILER, Some(failed(error).message)),
        }
        self.troubles.report("table of our name", self.responder.table_trouble());
    }

    /// The same comparison, now instead of at its next turn; its errors are shown by its next turn too.
    pub(super) fn reconcile_now(&self) {
        match self.responder.reconcile(chrono::Utc::now()) {
            Ok(changed) => changed.iter().for_each(|action| self.show_action(action)),
            Err(error) => tracing::warn!(%error, "our table was changed, and could not be compared at once"),
        }
    }

    /// The sentinel learns how actions stand.
    pub(super) fn watch(&self, actions: Vec<Action>, now: Timestamp) {
        if !actions.is_empty() {
            self.court.tell(move |decider| actions.iter().for_each(|action| decider.watch(action, now)));
        }
    }

    /// What is meant to be gone and is not yet: how many, and what keeps the first of them.
    fn tell_pending(&self) {
        let active = self.responder.active().unwrap_or_default();
        let pending: Vec<_> = active.iter().filter_map(|action| Some((action, action.pending_words()?))).collect();
        let trouble = pending.first().map(|(first, why)| {
            let more = if pending.len() > 1 { format!(" (and {} more)", pending.len() - 1) } else { String::new() };
            format!("{} {} {}: {why}{more}", first.id, first.kind.verb(), first.target)
        });
        self.troubles.report("undo", trouble);
    }

    /// Looks up what the health probes will need of the processes.
    pub(crate) fn look_ahead(&self) {
        self.responder.look_ahead();
    }

    /// Runs the host's health probes that are due, and undoes what does harm.
    pub(crate) fn check_probes(&self) {
        let now = chrono::Utc::now();
        self.probed(self.responder.check_vitals(now), now);
        self.troubles.report("health probes", self.responder.unexplained());
    }

    /// What the probes found of actions is on screen, and the sentinel hears of it: it counts those that were undone for harm.
    pub(super) fn probed(&self, changed: Vec<Action>, now: Timestamp) {
        changed.iter().for_each(|action| self.show_action(action));
        self.watch(changed, now);
    }

    /// Waits so much longer while no action is watched.
    pub(crate) fn rest(&self, time: Duration) {
        self.responder.rest(time);
    }

    /// What other agents hold frozen is told, and the journal kept in order; how many records wait in memory for the disk.
    pub(crate) fn tidy(&self) -> Result<usize, bartizan_store::ledger::LedgerError> {
        let foreign = self.responder.foreign_freezes();
        let told = foreign.first().map(|first| match foreign.len() {
            1 => format!("frozen by another agent or an earlier ledger: {first}"),
            more => format!("frozen by another agent or an earlier ledger, {more} groups: {first}; all of them: bartizan-emergency"),
        });
        self.troubles.report("foreign freezes", told);
        self.responder.tidy()
    }
}
