//! What a line of a web server's log says of an attack, and the line itself as evidence.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{HostText, LogLine};

/// A request that completed what a detector tells: an attack, a search, a failed login, one of a flood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebAttack {
    /// The client, as the server or a configured proxy names it.
    pub from: Option<IpAddr>,
    /// What was asked for. The client chose it.
    pub target: HostText,
    /// What the server answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Kinds of attack in it, by name: `sql-injection`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    /// Attack requests and failed logins of this client so far.
    pub attempts: u32,
    /// The line that says so.
    pub line: LogLine,
}

impl WebAttack {
    /// Bytes of the target that are kept.
    pub const LONGEST_TARGET: usize = 240;
}

impl fmt::Display for WebAttack {
    /// In a few words, safe to show.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.target.escaped())?;
        if let Some(from) = self.from {
            write!(f, " by {from}")?;
        }
        if let Some(status) = self.status {
            write!(f, ", answered {status}")?;
        }
        if !self.kinds.is_empty() {
            write!(f, " ({})", super::sentence(&self.kinds.join(", ")))?;
        }
        Ok(())
    }
}
