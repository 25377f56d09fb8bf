//! What a line of a web server's log says of an attack, and the line itself as evidence.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{HostText, LogLine};

/// A request that completed what a detector tells: an attack, a search, a failed login, one of a flood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebAttack {
    /// The client, as the server or a configured proxy names it.
    pub client: Option<IpAddr>,
    /// How it was asked for; an error log does not say. The client chose it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<HostText>,
    /// What was asked for, with its query. The client chose it.
    pub path: HostText,
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
    /// Bytes of the path that are kept.
    pub const LONGEST_PATH: usize = 240;
}

impl fmt::Display for WebAttack {
    /// In a few words, safe to show.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.escaped())?;
        if let Some(client) = self.client {
            write!(f, " by {client}")?;
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
