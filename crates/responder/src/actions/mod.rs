//! What can be done, one file each, behind one trait.

mod block_address;
mod block_addresses;
mod block_destination;
mod contain_host;
mod disable_user;
mod error;
mod escapee_check;
mod expiry_record;
mod freeze_tree;
mod isolate_container;
mod kill_tree;
mod limit_source;
pub(super) mod open_connections;
mod restore_file;
mod second_look;

use std::sync::{Arc, Mutex};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::evidence::Locker;
use super::ruleset::Timed;
use super::{LookAgain, RaiseAlarm, ReadLifeline, ReadTree};
use bartizan_config::Policy;
use bartizan_enforce::freeze::{Freezer, Frozen};
use bartizan_model::{Action, ActionId, ActionKind, ActionPlan, Preview, ProcessKey, Target, Timestamp, Unpoisoned as _};
use bartizan_store::ledger::Ledger;
pub use error::ActError;

/// What the actions work with.
pub(super) struct ActionContext {
    /// Which actions are meant to be live, where no full disk can refuse a change.
    pub(super) marks: super::marks::Marks,
    pub(super) freezer: Freezer,
    /// Where evidence is kept.
    pub(super) locker: Locker,
    /// For what must be on record before the next step of an action.
    pub(super) ledger: Arc<Ledger>,
    pub(super) lifeline: ReadLifeline,
    pub(super) again: LookAgain,
    pub(super) tree: ReadTree,
    pub(super) alarm: RaiseAlarm,
    pub(super) policy: Mutex<Arc<Policy>>,
    pub(super) instance: String,
    /// Our table in the packet filter as it was read last.
    pub(super) shelf: super::reading::Shelf,
    /// What stands under our name in the packet filter and does not go.
    pub(super) table_trouble: Mutex<Option<String>>,
}

/// What the kernel shows of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ObservedState {
    /// It is as we left it; the proof.
    Live(Vec<String>),
    /// Something of it is there, not as we left it, or missing before its time.
    Drifted(String),
    /// It is as we left it, and the host has changed since: more belongs to it now. Nobody touched it.
    Outgrown(String),
    /// Nothing of it is left; why that may be.
    Gone(String),
}

/// One kind of change. Each method asks or changes the kernel for real.
pub(super) trait Act: Sync {
    /// What the host looked like before, and whatever else undoes the change. It is kept in the ledger as JSON: fields may be
    /// added with `#[serde(default)]`, never renamed.
    type Snapshot: Serialize + DeserializeOwned;

    /// What to go by when no snapshot is on record or it cannot be read; `None`: then only the notes outside of us undo it.
    fn unrecorded() -> Option<Self::Snapshot> {
        None
    }

    /// What would happen.
    fn preview(&self, context: &ActionContext, plan: &ActionPlan) -> Result<Preview, ActError>;

    /// The steps and the undoing of [`Act::preview`], for the record: without what takes longer to find out than to do.
    fn outline(&self, context: &ActionContext, plan: &ActionPlan) -> Result<Preview, ActError> {
        self.preview(context, plan)
    }

    /// What the host looks like before: enough to restore exactly that. Refuses what cannot be undone exactly.
    fn snapshot(&self, context: &ActionContext, id: ActionId, plan: &ActionPlan) -> Result<Self::Snapshot, ActError>;

    /// Changes the kernel; gives the snapshot back, completed. When it fails, [`Act::revert`] finds what it left without the
    /// completed snapshot.
    fn apply(&self, context: &ActionContext, action: &Action, snapshot: Self::Snapshot) -> Result<Self::Snapshot, ActError>;

    /// What it has in our table of the packet filter, and until when.
    fn members(&self, _action: &Action, _snapshot: &Self::Snapshot) -> Result<Vec<Timed>, ActError> {
        Ok(Vec::new())
    }

    /// Reads the kernel back.
    fn verify(
        &self,
        context: &ActionContext,
        action: &Action,
        snapshot: &Self::Snapshot,
        now: Timestamp,
    ) -> Result<ObservedState, ActError>;

    /// Restores what was before. Doing it twice does no harm. Gives what was done.
    fn revert(&self, context: &ActionContext, action: &Action, snapshot: &Self::Snapshot) -> Result<Vec<String>, ActError>;

    /// Brings a drifted action back for the time that it still has; `None`: this kind only raises the alarm.
    fn restore(&self, _hand: &ActionContext, _action: &Action, _others: &[Action], _now: Timestamp) -> Option<Result<(), ActError>> {
        None
    }

    /// A person confirmed a disruptive action: moves its end outside of us from the confirmation's deadline to
    /// [`Action::ends_at`]. Gives the snapshot back, completed.
    fn prolong(
        &self,
        _hand: &ActionContext,
        _action: &Action,
        _snapshot: Self::Snapshot,
        _now: Timestamp,
    ) -> Result<Self::Snapshot, ActError> {
        Err(ActError::Misfit("an action that needs no confirmation"))
    }

    /// After a crash between intent and receipt: whether what the kernel shows is the whole change.
    fn is_whole(&self, context: &ActionContext, action: &Action, snapshot: &Self::Snapshot, now: Timestamp) -> Result<bool, ActError> {
        Ok(matches!(self.verify(context, action, snapshot, now)?, ObservedState::Live(_) | ObservedState::Outgrown(_)))
    }
}

/// [`Act`] for whoever keeps snapshots without knowing their type: read in one place, written in one place.
pub(super) trait AnyAct: Sync {
    fn preview(&self, context: &ActionContext, plan: &ActionPlan) -> Result<Preview, ActError>;
    fn outline(&self, context: &ActionContext, plan: &ActionPlan) -> Result<Preview, ActError>;
    fn snapshot(&self, context: &ActionContext, id: ActionId, plan: &ActionPlan) -> Result<Value, ActError>;
    fn apply(&self, context: &ActionContext, action: &Action, snapshot: &Value) -> Result<Value, ActError>;
    fn members(&self, action: &Action, snapshot: &Value) -> Result<Vec<Timed>, ActError>;
    fn verify(&self, context: &ActionContext, action: &Action, snapshot: &Value, now: Timestamp) -> Result<ObservedState, ActError>;
    fn revert(&self, context: &ActionContext, action: &Action, snapshot: &Value) -> Result<Vec<String>, ActError>;
    fn restore(&self, context: &ActionContext, action: &Action, others: &[Action], now: Timestamp) -> Option<Result<(), ActError>>;
    fn prolong(&self, context: &ActionContext, action: &Action, snapshot: &Value, now: Timestamp) -> Result<Value, ActError>;
    fn is_whole(&self, context: &ActionContext, action: &Action, snapshot: &Value, now: Timestamp) -> Result<bool, ActError>;
}

impl<A: Act> AnyAct for A {
    fn preview(&self, context: &ActionContext, plan: &ActionPlan) -> Result<Preview, ActError> {
        Act::preview(self, context, plan)
    }

    fn outline(&self, context: &ActionContext, plan: &ActionPlan) -> Result<Preview, ActError> {
        Act::outline(self, context, plan)
    }

    fn snapshot(&self, context: &ActionContext, id: ActionId, plan: &ActionPlan) -> Result<Value, ActError> {
        written::<A>(&Act::snapshot(self, context, id, plan)?)
    }

    fn apply(&self, context: &ActionContext, action: &Action, snapshot: &Value) -> Result<Value, ActError> {
        written::<A>(&Act::apply(self, context, action, read::<A>(snapshot)?)?)
    }

    fn members(&self, action: &Action, snapshot: &Value) -> Result<Vec<Timed>, ActError> {
        Act::members(self, action, &read::<A>(snapshot)?)
    }

    fn verify(&self, context: &ActionContext, action: &Action, snapshot: &Value, now: Timestamp) -> Result<ObservedState, ActError> {
        Act::verify(self, context, action, &read::<A>(snapshot)?, now)
    }

    fn revert(&self, context: &ActionContext, action: &Action, snapshot: &Value) -> Result<Vec<String>, ActError> {
        Act::revert(self, context, action, &read::<A>(snapshot)?)
    }

    fn restore(&self, context: &ActionContext, action: &Action, others: &[Action], now: Timestamp) -> Option<Result<(), ActError>> {
        Act::restore(self, context, action, others, now)
    }

    fn prolong(&self, context: &ActionContext, action: &Action, snapshot: &Value, now: Timestamp) -> Result<Value, ActError> {
        written::<A>(&Act::prolong(self, context, action, read::<A>(snapshot)?, now)?)
    }

    fn is_whole(&self, context: &ActionContext, action: &Action, snapshot: &Value, now: Timestamp) -> Result<bool, ActError> {
        Act::is_whole(self, context, action, &read::<A>(snapshot)?, now)
    }
}

/// A snapshot of this kind of action, as the ledger keeps it.
fn read<A: Act>(snapshot: &Value) -> Result<A::Snapshot, ActError> {
    A::Snapshot::deserialize(snapshot).ok().or_else(A::unrecorded).ok_or(ActError::Misfit("this snapshot"))
}

fn written<A: Act>(snapshot: &A::Snapshot) -> Result<Value, ActError> {
    serde_json::to_value(snapshot).map_err(|_| ActError::Misfit("this snapshot"))
}

impl ActionContext {
    /// The snapshot of an action as it is on record now.
    fn recorded<A: Act>(&self, action: &Action) -> Result<A::Snapshot, ActError> {
        read::<A>(&self.ledger.snapshot(action.id)?.unwrap_or_default())
    }

    /// Puts what undoes an action on record before its next step.
    fn record<A: Act>(&self, action: &Action, snapshot: &A::Snapshot) -> Result<(), ActError> {
        Ok(self.ledger.settle(action, Some(&written::<A>(snapshot)?), None)?)
    }
}

/// The registry.
pub(super) fn of(kind: ActionKind) -> &'static dyn AnyAct {
    match kind {
        ActionKind::BlockAddress => &block_address::BlockAddress,
        ActionKind::BlockAddresses => &block_addresses::BlockAddresses,
        ActionKind::FreezeTree => &freeze_tree::FreezeTree,
        ActionKind::KillTree => &kill_tree::KillTree,
        ActionKind::LimitSource => &limit_source::LimitSource,
        ActionKind::BlockDestination => &block_destination::BlockDestination,
        ActionKind::ContainHost => &contain_host::ContainHost,
        ActionKind::RestoreFile => &restore_file::RestoreFile,
        ActionKind::DisableUser => &disable_user::DisableUser,
        ActionKind::IsolateContainer => &isolate_container::IsolateContainer,
    }
}

/// How many addresses containment lets through now.
pub(super) fn kept_by_containment(lifeline: &bartizan_model::Lifeline, context: &ActionContext) -> usize {
    contain_host::kept(lifeline, context, contain_host::mirrors(context)).0.len()
}

/// Whether containment lets this address through, by its snapshot.
pub(crate) fn keeps_address(snapshot: &Value, addr: std::net::IpAddr) -> bool {
    read::<contain_host::ContainHost>(snapshot).is_ok_and(|bounds| contain_host::keeps(bounds.as_ref(), addr))
}

/// What a freeze holds, by its snapshot.
pub(crate) fn frozen_of(snapshot: &Value) -> Option<Frozen> {
    read::<freeze_tree::FreezeTree>(snapshot).ok()?.frozen
}

/// Whether a freeze holds this process, by its snapshot.
pub(crate) fn holds_process(snapshot: &Value, key: ProcessKey) -> bool {
    frozen_of(snapshot).is_some_and(|frozen| frozen.members.iter().any(|member| member.key == key))
}

/// The addresses that an isolated container had, by its snapshot.
pub(crate) fn took_addresses(snapshot: &Value) -> Vec<std::net::IpAddr> {
    read::<isolate_container::IsolateContainer>(snapshot).map(|snapshot| snapshot.addresses()).unwrap_or_default()
}

impl ActionContext {
    /// What the owner decided, as of now.
    pub(super) fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.lock().unpoisoned())
    }
}

/// The root of a process tree.
fn root_of(target: &Target) -> Result<ProcessKey, ActError> {
    target.root().ok_or(ActError::Misfit("what is no process"))
}
