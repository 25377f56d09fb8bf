//! A change to the host: what was done, where it stands, and the proof of it.

use serde::{Deserialize, Serialize};

use super::{ActionId, ActionKind, Approver, Desired, Ending, IncidentId, KeptEvidence, ProbeCheck, Target, Timestamp, WarrantId};

/// Where an action stands, from what the kernel says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionState {
    /// Not begun.
    Planned,
    /// Begun; the intent is on disk.
    Applying,
    /// Seen in the kernel.
    Live,
    /// It should be there and is not, or not as we left it.
    Drifted,
    /// Its time is over and the kernel shows it gone.
    Expired,
    /// Undone.
    RolledBack,
    /// Could not be done; nothing of it is left.
    Failed,
    /// We cannot tell.
    Unknown,
}

impl ActionState {
    /// Whether it may still have an effect on the host.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Applying | Self::Live | Self::Drifted | Self::Unknown)
    }

    /// As people read it.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Applying => "applying",
            Self::Live => "live",
            Self::Drifted => "drifted",
            Self::Expired => "expired",
            Self::RolledBack => "rolled back",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// Whether a person stands behind a disruptive action (commit-confirm).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// Undone then, by something outside of us, unless confirmed.
    pub until: Timestamp,
    /// When a person confirmed it; absent: not yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_at: Option<Timestamp>,
    /// Who did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_by: Option<String>,
}

/// A change to the host, from plan to end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// Its name.
    pub id: ActionId,
    /// What kind.
    pub kind: ActionKind,
    /// About whom.
    pub target: Target,
    /// For which incident; absent when a person asked for it directly.
    pub incident: Option<IncidentId>,
    /// By which warrant.
    pub warrant: WarrantId,
    /// Where it stands, as the host shows it.
    pub state: ActionState,
    /// What it is meant to be: only its plan, a confirmation, an undo, its end and a failure decide that.
    #[serde(default)]
    pub desired: Desired,
    /// When the intent was recorded.
    pub planned_at: Timestamp,
    /// When it took.
    pub applied_at: Option<Timestamp>,
    /// When the kernel last confirmed it.
    pub verified_at: Option<Timestamp>,
    /// When the host undoes it by itself.
    pub expires_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Who allowed it.
    #[serde(flatten)]
    pub by: Approver,
    /// Why, in one sentence.
    pub reason: String,
    /// What was done, step by step.
    pub preview: Vec<String>,
    /// How it is or was undone.
    pub undo: Vec<String>,
    /// What the kernel showed, or why it failed.
    pub note: String,
    /// What was kept of the processes before they were frozen for good or killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<KeptEvidence>,
    /// For a disruptive action: until when a person must confirm it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmation: Option<Confirmation>,
    /// How the host's health probes are under it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vitals: Option<ProbeCheck>,
}

impl Action {
    /// Until when a person must confirm it, while nobody has.
    pub fn awaits_confirmation(&self) -> Option<Timestamp> {
        let open = self.state.is_active() && self.desired == Desired::Live;
        self.confirmation.as_ref().filter(|c| c.confirmed_at.is_none() && open).map(|c| c.until)
    }

    /// When the host undoes it as things stand: at its end, or earlier when nobody confirms it.
    pub fn ends_at(&self) -> Timestamp {
        self.awaits_confirmation().map_or(self.expires_at, |until| until.min(self.expires_at))
    }

    /// Meant to be gone while the host may still show something of it: why, and what keeps it.
    pub fn undo_pending(&self) -> Option<&Ending> {
        self.desired.ending().filter(|_| self.state.is_active())
    }

    /// Where it stands, as people read it.
    pub fn standing(&self) -> &'static str {
        if self.undo_pending().is_some() { "undo pending" } else { self.state.noun() }
    }

    /// Why it is still there although it is meant to be gone: for a cell, a line of the log, a status bar.
    pub fn pending_words(&self) -> Option<String> {
        let ending = self.undo_pending()?;
        let error = ending.last_error.as_deref().unwrap_or("not undone yet");
        let tries = if ending.failed_tries > 1 { format!(" ({} tries)", ending.failed_tries) } else { String::new() };
        Some(format!("undo pending, {}: {error}{tries}", ending.cause.noun()))
    }
}
