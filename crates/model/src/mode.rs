//! How much the agent may do alone, how far a response has gone, and who may ask for what.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How much it may do alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A person approves everything.
    #[default]
    Paranoid,
    /// Limits an address that guesses passwords; does the reversible minimum alone on two independent pieces of evidence from confidence 0.85.
    Balanced,
    /// The same from 0.75, on one piece about a hostile address, and more on three.
    Aggressive,
}

impl Mode {
    /// All of them, most careful first.
    pub const ALL: [Self; 3] = [Self::Paranoid, Self::Balanced, Self::Aggressive];

    /// What it means, in one line.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Paranoid => "a person approves everything",
            Self::Balanced => {
                "limits password guessers; otherwise acts without a person on two independent pieces of evidence, from confidence 0.85"
            }
            Self::Aggressive => {
                "acts without a person on two independent pieces of evidence from confidence 0.75, on one against a hostile address"
            }
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Paranoid => "PARANOID",
            Self::Balanced => "BALANCED",
            Self::Aggressive => "AGGRESSIVE",
        })
    }
}

/// A mode that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a mode: use paranoid, balanced or aggressive")]
pub struct ModeError(String);

impl FromStr for Mode {
    type Err = ModeError;
    fn from_str(text: &str) -> Result<Self, ModeError> {
        match text.to_ascii_lowercase().as_str() {
            "paranoid" => Ok(Self::Paranoid),
            "balanced" => Ok(Self::Balanced),
            "aggressive" => Ok(Self::Aggressive),
            _ => Err(ModeError(text.escape_debug().take(40).collect())),
        }
    }
}

/// How far a response has gone, or may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Posture {
    /// Watching.
    #[default]
    Observe,
    /// Reversible, narrow action.
    Contain,
    /// Reversible action on everything that the incident names.
    AggressiveContain,
    /// The whole host closes but for its owner.
    Lockdown,
}

impl Posture {
    /// How the host stands now, in words that no action has.
    pub fn standing(self) -> &'static str {
        match self {
            Self::Observe => "watching",
            Self::Contain | Self::AggressiveContain => "acting",
            Self::Lockdown => "LOCKDOWN",
        }
    }
}

impl fmt::Display for Posture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Observe => "observe",
            Self::Contain => "contain",
            Self::AggressiveContain => "aggressive-contain",
            Self::Lockdown => "lockdown",
        })
    }
}

/// What a peer on the control socket may do. Each includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// May look.
    Viewer,
    /// May approve, reject, act, undo.
    Operator,
    /// May change the mode and stop the agent.
    Admin,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        })
    }
}
