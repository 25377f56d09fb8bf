//! What can be done, one file each, behind one trait.

mod block_address;
mod block_destination;
mod contain_host;
mod disable_user;
mod escapee_check;
mod expiry_record;
mod freeze_tree;
mod isolate_container;
mod kill_tree;
mod limit_source;
pub(super) mod open_connections;
mod restore_file;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::evidence::Locker;
use super::ruleset::Timed;
use super::{LookAgain, RaiseAlarm, ReadLifeline, ReadTree};
use bartizan_config::Policy;
use bartizan_court::WarrantError;
use bartizan_enforce::accounts::AccountError;
use bartizan_enforce::containers::ContainerError;
use bartizan_enforce::freeze::{FreezeError, Freezer, Frozen};
use bartizan_enforce::nft::NftError;
use bartizan_guard::file_backups::AccessError;
use bartizan_guard::lifeline::check;
use bartizan_guard::watchdog::WatchdogError;
use bartizan_model::{
    Action, ActionId, ActionKind, ActionPlan, ActionState, Direction, LifelineReason, Preview, ProcessKey, Target, Timestamp,
    Unpoisoned as _,
};
use bartizan_store::ledger::{Ledger, LedgerError};
use bartizan_sys::process_stat::Stat;

/// Why something was not done or not undone. All texts are safe to show.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The owner's own access would be cut.
    #[error("refused: {what} is {}; no setting allows that", .why.noun())]
    Lifeline {
        /// The address or process.
        what: String,
        /// What it is to the owner.
        why: LifelineReason,
    },
    /// The lifeline could not be read whole and no person asked.
    #[error("refused: the owner's own access could not be read completely ({0}), so only a person may decide")]
    LifelineUnknown(String),
    /// The same is done already.
    #[error("{target} is under {id} already, until {until}: roll that back first, or wait")]
    Duplicate {
        /// Which action does it.
        id: ActionId,
        /// On whom.
        target: String,
        /// Until when, UTC.
        until: String,
    },
    /// No leave.
    #[error(transparent)]
    Warrant(#[from] WarrantError),
    /// An emergency stop came after leave was given.
    #[error("nothing was done: an emergency stop came meanwhile; ask again if it is still wanted")]
    Stopped,
    /// Begun, failed, and undone again: nothing of it is left, unless the note of the action says otherwise.
    #[error("{id} failed: {why}", id = .action.id)]
    Failed {
        /// The action as it stands in the ledger.
        action: Box<Action>,
        /// Why.
        why: String,
    },
    /// No such action.
    #[error("there is no action {0}: `bartizan actions` lists them")]
    NotFound(ActionId),
    /// It could not be undone, and will be.
    #[error("{id} could not be undone yet: {why}; it will not be applied again, and undoing it is tried until it is gone")]
    UndoPending {
        /// Which.
        id: ActionId,
        /// What keeps it.
        why: String,
        /// The action as it stands in the ledger.
        action: Box<Action>,
    },
    /// One on the same target is still being undone.
    #[error("nothing was done: {target} is still under {id}, whose undo is pending ({why}): wait until that is gone")]
    StillUndoing {
        /// Which action.
        id: ActionId,
        /// On whom.
        target: String,
        /// What keeps it.
        why: String,
    },
    /// There is nothing to undo.
    #[error("{id} cannot be undone: it is {state}", state = .state.noun())]
    NotActive {
        /// Which.
        id: ActionId,
        /// Where it stands.
        state: ActionState,
    },
    /// Nobody is asked to confirm it.
    #[error("{id} cannot be confirmed: {why}")]
    NotAwaiting {
        /// Which.
        id: ActionId,
        /// Why.
        why: String,
    },
    /// Acting on it did harm minutes ago.
    #[error("refused: acting on {0} did harm to this host within the last ten minutes and was undone, so only a person may decide")]
    Harmful(String),
    /// It cannot be undone by nature.
    #[error("{0} cannot be undone: the processes have ended")]
    Irreversible(ActionId),
    /// The kernel does not show what it should.
    #[error("the kernel does not show it: {0}")]
    Unverified(String),
    /// A plan or snapshot that belongs to another kind.
    #[error("{0} does not fit this kind of action: this is a mistake in bartizan, please report it")]
    Misfit(&'static str),
    /// The host does not tell who is meant.
    #[error("nothing was done: {0}")]
    Unknowable(String),
    /// nftables.
    #[error(transparent)]
    Nft(#[from] NftError),
    /// Freezing.
    #[error(transparent)]
    Freeze(#[from] FreezeError),
    /// No watchdog, so no action.
    #[error("no watchdog could be set, so nothing was done: {0}")]
    Watchdog(#[from] WatchdogError),
    /// Copies of files that decide who gets in.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// An account.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// A container.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// What tells others how to undo it could not be written, so nothing was begun.
    #[error("the note {path} by which it is undone without us could not be written: {why}", path = .path.display())]
    Note {
        /// Where.
        path: PathBuf,
        /// errno in words.
        why: std::io::Error,
    },
    /// That it is meant to be live could not be noted, so nothing was begun.
    #[error("nothing was done: {name} could not be noted in the runtime directory: {why}")]
    Unnoted {
        /// The action's name there.
        name: String,
        /// errno in words.
        why: std::io::Error,
    },
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

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

    /// The second look at the owner's lifeline for any target, independent of the court's.
    pub(super) fn may_touch(&self, target: &Target, by_person: bool) -> Result<(), ActError> {
        self.look_again(target, by_person, || target.to_string())?;
        let lifeline = (self.lifeline)();
        complete(&lifeline, by_person)?;
        match (lifeline.holds(target), lifeline.doubt(target)) {
            (Some(why), _) => Err(ActError::Lifeline { what: target.to_string(), why }),
            (None, Some(doubt)) if !by_person => Err(ActError::LifelineUnknown(doubt.escape_debug().to_string())),
            (None, _) => Ok(()),
        }
    }

    /// Why it is not certain that nobody is cut off by acting on this address, if so: then a person must confirm it in time.
    pub(super) fn doubt(&self, target: &Target) -> Option<String> {
        target.address()?;
        let lifeline = (self.lifeline)();
        lifeline.doubt(target).map(str::to_owned).or_else(|| (self.again)(target).err())
    }

    /// Over what the owner's sessions arrive, for whoever decides about packets.
    pub(super) fn ways(&self) -> Vec<String> {
        (self.lifeline)().ways
    }

    /// The second look at the owner's lifeline, on the exact address, independent of the court's.
    pub(super) fn may_cut(&self, addr: std::net::IpAddr, by_person: bool) -> Result<(), ActError> {
        self.may_cut_each(by_person)?(addr)
    }

    /// The same for the far end of every single connection that would be closed. The lifeline is read once, at the beginning.
    pub(super) fn may_cut_each(&self, by_person: bool) -> Result<impl Fn(std::net::IpAddr) -> Result<(), ActError> + '_, ActError> {
        let lifeline = (self.lifeline)();
        complete(&lifeline, by_person)?;
        Ok(move |addr: std::net::IpAddr| {
            let what = || addr.to_canonical().to_string();
            self.look_again(&Target::Address { addr, direction: Direction::In }, by_person, what)?;
            match (lifeline.holds_address(addr), lifeline.doubts_address(addr)) {
                (Some(why), _) => Err(ActError::Lifeline { what: what(), why }),
                (None, Some(doubt)) if !by_person => Err(ActError::LifelineUnknown(doubt.escape_debug().to_string())),
                (None, _) => Ok(()),
            }
        })
    }

    /// Asks the kernel about exactly this target, by other means than the lifeline is derived by.
    fn look_again(&self, target: &Target, by_person: bool, what: impl FnOnce() -> String) -> Result<(), ActError> {
        match (self.again)(target) {
            Ok(Some(why)) => Err(ActError::Lifeline { what: what(), why }),
            Ok(None) => Ok(()),
            Err(_) if by_person => Ok(()),
            Err(unknown) => Err(ActError::LifelineUnknown(bartizan_model::sentence(&unknown))),
        }
    }

    /// The same for every single process that would be stopped. The lifeline is read once, at the beginning.
    pub(super) fn may_stop(&self, by_person: bool) -> Result<impl Fn(ProcessKey) -> Result<(), String>, ActError> {
        let lifeline = (self.lifeline)();
        complete(&lifeline, by_person)?;
        let (me, again) = (std::process::id(), check::Processes::new());
        Ok(move |key: ProcessKey| match lifeline.holds_process(key) {
            Some(why) => Err(why.noun().to_owned()),
            None if key.pid == me => Err(LifelineReason::Agent.noun().to_owned()),
            // A remote command has no terminal: all that its session runs is the owner's one command.
            None if is_part_of_a_remote_command(&lifeline, key) => {
                Err("part of a command without a terminal on the owner's own path, as SSH runs them".to_owned())
            }
            None => again.look(key).map_or(Ok(()), |why| Err(why.noun().to_owned())),
        })
    }
}

/// Whether it belongs to a session without a terminal whose leader is held.
fn is_part_of_a_remote_command(lifeline: &bartizan_model::Lifeline, key: ProcessKey) -> bool {
    let of = |pid: u32| Stat::read(pid).filter(|stat| !stat.is_dead());
    let Some(stat) = of(key.pid).filter(|stat| stat.key() == key && stat.terminal == 0) else { return false };
    let leader = of(stat.session).filter(|leader| leader.terminal == 0 && leader.pid > 1);
    leader.is_some_and(|leader| lifeline.holds_process(leader.key()) == Some(LifelineReason::LoginPath))
}

fn complete(lifeline: &bartizan_model::Lifeline, by_person: bool) -> Result<(), ActError> {
    match lifeline.unknown.first() {
        Some(unknown) if !by_person => Err(ActError::LifelineUnknown(bartizan_model::sentence(unknown))),
        _ => Ok(()),
    }
}

/// The root of a process tree.
fn root_of(target: &Target) -> Result<ProcessKey, ActError> {
    target.root().ok_or(ActError::Misfit("what is no process"))
}
