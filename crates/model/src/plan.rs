//! A change not yet made: kind, target and how long, which always belong together.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ActionKind, Target, Whose};

/// Most packets a second that a limit may let pass: above it, it is no limit.
const MAX_PACKETS: u32 = 1_000_000;
/// Longest name of an account, path or cgroup that is taken, in bytes (PATH_MAX, linux/limits.h).
const LONGEST_NAME: usize = 4096;

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
    #[error(
        "{0} cannot be applied to {1}: name an address to block or limit, a process to freeze or kill, an account to disable, a container to isolate"
    )]
    Mismatch(ActionKind, Target),
    /// A part of the target makes no sense.
    #[error("{0}")]
    Target(String),
    /// Too short or too long.
    #[error("{} is not a duration for an action: use 1s to 24h, every action ends by itself", humantime::format_duration(*.0))]
    Duration(Duration),
}

impl ActionPlan {
    /// Longest life of any action: one day (no permanent rules).
    pub const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

    /// A plan, if kind and target belong together, the target makes sense and the life is 1 second to 24 hours.
    ///
    /// # Errors
    /// [`PlanError`] says which of them is wrong.
    pub fn new(kind: ActionKind, target: Target, lasts: Duration) -> Result<Self, PlanError> {
        if kind.spec().target != target.kind() {
            return Err(PlanError::Mismatch(kind, target));
        }
        if lasts < Duration::from_secs(1) || lasts > Self::LONGEST {
            return Err(PlanError::Duration(lasts));
        }
        sensible(&target)?;
        Ok(Self { kind, target: target.canonical(), lasts })
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

/// What comes over the wire is anybody's.
fn sensible(target: &Target) -> Result<(), PlanError> {
    let bad = |why: &str| Err(PlanError::Target(why.to_owned()));
    match target {
        Target::Addresses { addrs } if !(1..=Target::MAX_ADDRESSES).contains(&addrs.len()) => {
            bad("one decision is about 1 to 512 addresses")
        }
        Target::Source { packets_per_second, .. } if !(1..=MAX_PACKETS).contains(packets_per_second) => {
            bad("a limit lets 1 to 1000000 packets a second pass")
        }
        Target::Destination { whose: Whose::Container { id }, .. } | Target::Container { id, .. } if !is_container_id(id) => {
            bad("a container is named by 12 to 64 hex digits of its id")
        }
        Target::Destination { whose: Whose::Cgroup { path }, .. } if !is_absolute(path.as_bytes()) => {
            bad("a cgroup is named by its path, beginning with / and without ..")
        }
        Target::Destination { whose: Whose::User { uid: u32::MAX }, .. } | Target::User { uid: u32::MAX, .. } => {
            bad("4294967295 is nobody's user id")
        }
        Target::User { name, .. } if name.as_bytes().is_empty() || name.as_bytes().len() > 256 || !is_account(name.as_bytes()) => {
            bad("an account name is 1 to 256 bytes without colon, slash or control characters")
        }
        Target::File { path, copy } if !is_absolute(path.as_bytes()) || copy.len() != 64 || !is_hex(copy) => {
            bad("a file is named by its path, beginning with / and without .., and its copy by 64 hex digits")
        }
        _ => Ok(()),
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn is_container_id(id: &str) -> bool {
    (12..=64).contains(&id.len()) && is_hex(id)
}

fn is_absolute(path: &[u8]) -> bool {
    path.starts_with(b"/")
        && path.len() <= LONGEST_NAME
        && !path.contains(&0)
        && !path.contains(&b'\n')
        && !path.split(|b| *b == b'/').any(|part| part == b"..")
}

fn is_account(name: &[u8]) -> bool {
    !name.iter().any(|byte| *byte == b':' || *byte == b'/' || byte.is_ascii_control())
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
    /// What stays open for the person who is asked, in one short sentence.
    #[serde(default)]
    pub stays: String,
    /// A disruptive action is undone after this time unless somebody confirms it.
    #[serde(default)]
    pub confirm_within: Option<Duration>,
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::Direction;

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
