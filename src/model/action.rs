//! A change to the host: what is planned, what was done, and the proof of it.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ActionId, HostText, IncidentId, KeptEvidence, ProcessKey, Timestamp, WarrantId};

/// What kind of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActionKind {
    /// Drop packets from or to one address, in nftables, with a kernel timeout.
    BlockAddress,
    /// Stop a process and everything below it from running, keeping it intact.
    FreezeTree,
    /// End a process and everything below it. Cannot be undone.
    KillTree,
}

impl ActionKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::BlockAddress, Self::FreezeTree, Self::KillTree];

    /// Whether the host can be put back exactly as it was.
    pub fn is_reversible(self) -> bool {
        !matches!(self, Self::KillTree)
    }

    /// As a verb: "block".
    pub fn verb(self) -> &'static str {
        match self {
            Self::BlockAddress => "block",
            Self::FreezeTree => "freeze",
            Self::KillTree => "kill",
        }
    }
}

impl fmt::Display for ActionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::BlockAddress => "block-address",
            Self::FreezeTree => "freeze-tree",
            Self::KillTree => "kill-tree",
        })
    }
}

/// Which packets a block drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the address, to us or through us.
    In,
    /// To the address, from us or through us.
    Out,
}

/// Whom or what a change is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// One remote address. Never a network.
    Address {
        /// Which.
        addr: IpAddr,
        /// Which packets.
        direction: Direction,
    },
    /// A process and everything below it.
    ProcessTree {
        /// The top of the tree.
        root: ProcessKey,
        /// What it runs, for people.
        exe: HostText,
    },
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { addr, direction: Direction::In } => write!(f, "from {addr}"),
            Self::Address { addr, direction: Direction::Out } => write!(f, "to {addr}"),
            Self::ProcessTree { root, exe } => write!(f, "{exe} (pid {}) and below", root.pid),
        }
    }
}

/// A change not yet made. Kind and target always belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "PlanParts")]
pub struct ActionPlan {
    kind: ActionKind,
    target: Target,
    lasts: Duration,
}

#[derive(Deserialize)]
struct PlanParts {
    kind: ActionKind,
    target: Target,
    lasts: Duration,
}

impl TryFrom<PlanParts> for ActionPlan {
    type Error = PlanError;
    fn try_from(parts: PlanParts) -> Result<Self, PlanError> {
        Self::new(parts.kind, parts.target, parts.lasts)
    }
}

/// Why a change cannot even be planned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Kind and target do not belong together.
    #[error("{0} cannot be applied to {1}: name an address to block, a process to freeze or kill")]
    Mismatch(ActionKind, Target),
    /// Too short or too long.
    #[error("{} is not a duration for an action: use 1s to 24h, every action ends by itself", humantime::format_duration(*.0))]
    Duration(Duration),
}

impl ActionPlan {
    /// Longest life of any action: one day (row H6: no permanent rules).
    pub const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

    /// A plan, if kind and target belong together and the life is 1 second to 24 hours.
    ///
    /// # Errors
    /// [`PlanError`] says which of the two is wrong.
    pub fn new(kind: ActionKind, target: Target, lasts: Duration) -> Result<Self, PlanError> {
        let fits = match kind {
            ActionKind::BlockAddress => matches!(target, Target::Address { .. }),
            ActionKind::FreezeTree | ActionKind::KillTree => matches!(target, Target::ProcessTree { .. }),
        };
        if !fits {
            return Err(PlanError::Mismatch(kind, target));
        }
        if lasts < Duration::from_secs(1) || lasts > Self::LONGEST {
            return Err(PlanError::Duration(lasts));
        }
        // An IPv4-mapped address is the same peer as its IPv4 self; keep one name for it.
        let target = match target {
            Target::Address { addr, direction } => Target::Address { addr: addr.to_canonical(), direction },
            tree => tree,
        };
        Ok(Self { kind, target, lasts })
    }

    /// What kind of change.
    pub fn kind(&self) -> ActionKind {
        self.kind
    }

    /// Whom or what it is about.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// How long it lasts before the host undoes it by itself.
    pub fn lasts(&self) -> Duration {
        self.lasts
    }

    /// The same with another life.
    ///
    /// # Errors
    /// [`PlanError::Duration`] outside 1 second to 24 hours.
    pub fn lasting(&self, lasts: Duration) -> Result<Self, PlanError> {
        Self::new(self.kind, self.target.clone(), lasts)
    }
}

impl fmt::Display for ActionPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.verb(), self.target)
    }
}

/// What a person sees before saying yes. All texts are safe to show.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Preview {
    /// The exact kernel changes or commands, in order.
    pub steps: Vec<String>,
    /// What else it touches.
    pub blast_radius: String,
    /// How it is undone, in order.
    pub undo: Vec<String>,
}

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
    /// Where it stands.
    pub state: ActionState,
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
    /// Who allowed it: a person's name, or the mode that allowed it.
    pub by: String,
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_refuses_what_cannot_be_done() {
        let addr = Target::Address { addr: "::ffff:203.0.113.5".parse().unwrap(), direction: Direction::In };
        let minute = Duration::from_secs(60);
        let plan = ActionPlan::new(ActionKind::BlockAddress, addr.clone(), minute).unwrap();
        assert_eq!(plan.to_string(), "block from 203.0.113.5");
        assert!(ActionPlan::new(ActionKind::FreezeTree, addr.clone(), minute).is_err());
        assert!(ActionPlan::new(ActionKind::BlockAddress, addr.clone(), Duration::ZERO).is_err());
        assert!(ActionPlan::new(ActionKind::BlockAddress, addr, Duration::from_secs(86_401)).is_err());
    }

    #[test]
    fn a_plan_from_outside_is_checked_too() {
        let json = r#"{"kind":"freeze-tree","target":{"address":{"addr":"1.2.3.4","direction":"in"}},"lasts":{"secs":60,"nanos":0}}"#;
        assert!(serde_json::from_str::<ActionPlan>(json).unwrap_err().to_string().contains("cannot be applied"));
    }
}
