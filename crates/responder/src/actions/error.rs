//! Why something was not done, or not undone.

use std::path::PathBuf;

use bartizan_court::WarrantError;
use bartizan_enforce::accounts::AccountError;
use bartizan_enforce::containers::ContainerError;
use bartizan_enforce::freeze::FreezeError;
use bartizan_enforce::nft::NftError;
use bartizan_guard::file_backups::AccessError;
use bartizan_guard::watchdog::WatchdogError;
use bartizan_model::{Action, ActionId, ActionState, LifelineReason};
use bartizan_store::ledger::LedgerError;

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
