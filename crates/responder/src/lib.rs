//! The transaction: journal, snapshot, apply, verify, commit or roll back.

#![forbid(unsafe_code)]

mod actions;
mod confirm;
mod emergency;
mod ending;
mod evidence;
mod halt;
mod marks;
mod operations;
mod pace;
mod probes;
mod reading;
mod reconciler;
mod recovery;
mod rollback;
mod ruleset;
mod stays;
mod timeline;
mod transaction;
mod verifier;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

pub use actions::ActError;
pub use emergency::{EmergencyReport, sweep};

use actions::ActionContext;
use bartizan_config::Policy;
use bartizan_enforce::freeze::Freezer;
use bartizan_guard::lifeline::check;
use bartizan_guard::watchdog;
use bartizan_model::{
    Action, ActionId, ActionPlan, Alarm, Lifeline, LifelineReason, Preview, ProcessKey, Target, Timestamp, Unpoisoned as _, WarrantId,
};
use bartizan_store::ledger::{Ledger, LedgerError};
use bartizan_sys::clock::Clock;
use evidence::Locker;

/// Reads the owner's lifeline as it is now.
pub type ReadLifeline = Box<dyn Fn() -> Lifeline + Send + Sync>;
/// Looks a second time at one target, by other means than the lifeline is derived by: what it is to the owner, or what could
/// not be told.
pub type LookAgain = Box<dyn Fn(&Target) -> Result<Option<LifelineReason>, String> + Send + Sync>;
/// Names the processes below one, itself included, from the engine's memory of execs and forks.
pub type ReadTree = Box<dyn Fn(ProcessKey) -> Vec<ProcessKey> + Send + Sync>;

/// Raises the alarm about something done to us, or by us: an event for the detectors. Never waits.
pub type RaiseAlarm = Box<dyn Fn(Alarm) + Send + Sync>;

/// The second look that asks this host's kernel.
pub fn second_look() -> LookAgain {
    Box::new(check::touches_owner)
}

/// What ties the hand to the rest of the agent.
pub struct Ties {
    /// Reads the owner's lifeline.
    pub lifeline: ReadLifeline,
    /// Looks again at what is about to be touched; [`second_look`] on a real host.
    pub again: LookAgain,
    /// Names the processes of a tree.
    pub tree: ReadTree,
    /// Raises the alarm.
    pub alarm: RaiseAlarm,
    /// What the owner decided; [`Responder::set_policy`] changes it.
    pub policy: Policy,
}

/// The one who acts. One change at a time; every method may be called from any thread.
pub struct Responder {
    ledger: Arc<Ledger>,
    context: Arc<ActionContext>,
    /// Deadlines are counted on it.
    clock: Clock,
    /// The host's health probes around each action.
    signs: probes::Signs,
    /// When what could not be undone is tried again.
    retries: ending::Retries,
    /// Held while anything is done, undone or compared: nobody sees a change half made.
    turn: Arc<Mutex<()>>,
    /// Whether somebody acts, and how far it is.
    operations: operations::Operations,
    /// Whether leave that was given before still holds.
    halt: halt::Halt,
    #[cfg(test)]
    die_at: Mutex<Option<&'static str>>,
    /// What a test does to the world at some point of a change.
    #[cfg(test)]
    #[allow(clippy::type_complexity)]
    at_point: Mutex<Option<(&'static str, Box<dyn Fn(&Self) + Send>)>>,
    #[cfg(test)]
    paces: Mutex<Vec<Vec<(&'static str, std::time::Duration)>>>,
}

impl std::fmt::Debug for Responder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Responder").field("ledger", &self.ledger).finish_non_exhaustive()
    }
}

impl Responder {
    /// A hand that keeps its notes below `runtime` (for root alone, gone after a reboot: `/run/bartizan`).
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn new(ledger: Arc<Ledger>, runtime: &Path, ties: Ties) -> Result<Self, ActError> {
        let Ties { lifeline, again, tree, alarm, policy } = ties;
        let freezer = Freezer::open(runtime)?;
        let locker = Locker::new(ledger.directory());
        let instance = ledger.instance().to_owned();
        let signs = probes::Signs::below(runtime, &instance);
        let policy = Mutex::new(Arc::new(policy));
        let context = ActionContext {
            marks: marks::Marks::below(runtime),
            freezer,
            locker,
            ledger: Arc::clone(&ledger),
            lifeline,
            again,
            tree,
            alarm,
            policy,
            instance,
            shelf: reading::Shelf::default(),
            table_trouble: Mutex::default(),
        };
        Ok(Self {
            ledger,
            context: Arc::new(context),
            clock: Clock::of_this_host(),
            signs,
            retries: ending::Retries::default(),
            turn: Arc::default(),
            operations: operations::Operations::default(),
            halt: halt::Halt::default(),
            #[cfg(test)]
            die_at: Mutex::new(None),
            #[cfg(test)]
            at_point: Mutex::new(None),
            #[cfg(test)]
            paces: Mutex::default(),
        })
    }

    /// The same by another clock: for tests of clock jumps, reboots and deadlines.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Takes a changed policy over; what was begun under the old one ends as it was begun.
    pub fn set_policy(&self, policy: &Policy) {
        *self.context.policy.lock().unpoisoned() = Arc::new(policy.clone());
    }

    /// Exactly what would happen, what it touches and how it is undone. Changes nothing.
    ///
    /// # Errors
    /// When the target no longer exists or the kernel cannot be asked.
    pub fn preview(&self, plan: &ActionPlan) -> Result<Preview, ActError> {
        let mut preview = actions::of(plan.kind()).preview(&self.context, plan)?;
        if !plan.target().addresses().is_empty() || *plan.target() == bartizan_model::Target::Host {
            preview.steps.extend(self.context.ways().into_iter().map(|way| format!("your own way in: {way}")));
        }
        let doubt = self.context.doubt(plan.target());
        preview.steps.extend(doubt.as_ref().map(|doubt| self.to_be_confirmed(plan, doubt)));
        Ok(stays::complete(&self.context, plan, preview, doubt.is_some()))
    }

    /// All actions, newest first, at most `limit`.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn actions(&self, limit: usize) -> Result<Vec<Action>, LedgerError> {
        self.ledger.actions(limit)
    }

    /// Actions that may still have an effect on the host, oldest first.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn active(&self) -> Result<Vec<Action>, LedgerError> {
        self.ledger.active()
    }

    /// What stands under our name in the packet filter, is not ours and could not be removed.
    pub fn table_trouble(&self) -> Option<String> {
        self.context.table_trouble.lock().unpoisoned().clone()
    }

    /// Processes that another agent or an earlier ledger holds frozen, and how to let them go: one sentence a group.
    pub fn foreign_freezes(&self) -> Vec<String> {
        self.context.freezer.foreign(&format!("-{}", self.context.instance))
    }

    /// How processes are frozen on this host, for people.
    pub fn freeze_method(&self) -> &'static str {
        self.context.freezer.method().noun()
    }

    /// Makes sure that a shell of another name waits for every action that ends outside of us, while there is one.
    ///
    /// # Errors
    /// When it cannot be started: then whatever ends us and the watchdog at once leaves those actions without an end.
    pub fn look_after_second_end(&self) -> Result<(), watchdog::WatchdogError> {
        let [runtime_notes, lasting_notes] = self.note_directories();
        watchdog::look_after_second(&runtime_notes, &lasting_notes)
    }

    /// The same on a thread of its own: starting a shell takes as long as an action, and the first end stands already.
    fn look_after_second_end_soon(&self) {
        let [runtime_notes, lasting_notes] = self.note_directories();
        let look = move || drop(watchdog::look_after_second(&runtime_notes, &lasting_notes));
        // Where no thread can be had, the caretaker's next round does it.
        drop(std::thread::Builder::new().name("second end".to_owned()).spawn(look));
    }

    fn note_directories(&self) -> [PathBuf; 2] {
        let runtime_notes = self.context.freezer.note("x").parent().unwrap_or(Path::new("/")).to_owned();
        [runtime_notes, watchdog::lasting_directory(self.ledger.directory())]
    }

    /// When what is being done, undone or confirmed right now last got a step further; `None` while nobody acts.
    pub fn moved(&self) -> Option<std::time::Instant> {
        self.operations.moved()
    }

    /// From now on nothing is begun, whatever leave was given, until [`Self::go_on_from`].
    pub fn halt(&self) {
        self.halt.begin();
    }

    /// What is begun from now on needs a warrant of at least this number: those that were issued before the halt are void.
    pub fn go_on_from(&self, first: WarrantId) {
        self.halt.end(first);
    }

    fn my_turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unpoisoned()
    }

    /// An active action on the same target.
    fn same_target(&self, plan: &ActionPlan) -> Option<Arc<Action>> {
        let is_same = |action: &Action| action.kind == plan.kind() && action.target.is_same(plan.target());
        self.ledger.find_active(|action| is_same(action) || action.target.shares_a_block(plan.target()))
    }

    /// Puts a line on record, now or as soon as the disk takes it: for what must go on all the same.
    fn tell(&self, now: Timestamp, actor: &str, what: &str, subject: impl ToString, detail: impl Into<String>) {
        self.ledger.audit_or_owe(transaction::line(now, actor, what, subject, detail));
    }

    /// Puts an action's new standing on record together with the line that tells of it; memory knows it in any case.
    fn put(&self, action: &Action, now: Timestamp, actor: &str, what: &str) -> Result<(), LedgerError> {
        self.ledger.settle(action, None, Some(&transaction::line(now, actor, what, action.id, action.note.clone())))
    }

    /// What was read of the packet filter is read anew from here on.
    fn forget_ruleset(&self) {
        self.context.forget_ruleset();
    }

    /// Keeps the ledger in order: copies its log when that has grown, and writes what a full disk left owing. Gives how
    /// many rows and lines are still only in memory.
    ///
    /// # Errors
    /// When the log cannot be copied; nothing is lost.
    pub fn tidy(&self) -> Result<usize, LedgerError> {
        let owed = self.ledger.pay();
        self.ledger.tidy().map(|()| owed)
    }

    fn snapshot(&self, id: ActionId) -> Result<serde_json::Value, ActError> {
        Ok(self.ledger.snapshot(id)?.unwrap_or_default())
    }

    /// Where a test makes the process die; nothing in a released program.
    #[cfg(test)]
    fn checkpoint(&self, point: &'static str) {
        if *self.die_at.lock().unpoisoned() == Some(point) {
            bartizan_isolation::own_netns::die();
        }
        if let Some((at, operation)) = &*self.at_point.lock().unpoisoned()
            && *at == point
        {
            operation(self);
        }
    }

    #[cfg(not(test))]
    fn checkpoint(&self, _point: &'static str) {}

    #[cfg(test)]
    fn paced(&self, steps: Vec<(&'static str, std::time::Duration)>) {
        self.paces.lock().unpoisoned().push(steps);
    }

    #[cfg(not(test))]
    fn paced(&self, _steps: Vec<(&'static str, std::time::Duration)>) {}
}

/// The name of a freeze in the kernel and on disk.
fn group_name(id: ActionId, instance: &str) -> String {
    format!("{id}-{instance}")
}

#[cfg(test)]
mod account_tests;
#[cfg(test)]
mod connection_tests;
#[cfg(test)]
mod container_tests;
#[cfg(test)]
mod emergency_script_tests;
#[cfg(test)]
mod ending_tests;
#[cfg(test)]
mod evidence_tests;
#[cfg(test)]
mod freeze_tests;
#[cfg(test)]
mod halt_tests;
#[cfg(test)]
mod harm_stage;
#[cfg(test)]
mod harm_tests;
#[cfg(test)]
mod pause_tests;
#[cfg(test)]
mod restore_tests;
#[cfg(test)]
mod ruleset_tests;
#[cfg(test)]
mod safety_tests;
#[cfg(test)]
mod session_tests;
#[cfg(test)]
mod shape_tests;
#[cfg(test)]
mod snapshot_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod verifier_tests;
