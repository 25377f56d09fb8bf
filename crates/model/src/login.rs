//! What a line of a log says of a login, and the line itself as evidence.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::HostText;

/// A line of a log: where it stands, and how it begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// The file, or `journal`.
    pub source: HostText,
    /// Where it begins in the file, in bytes; of a journal, in what was read since the agent began.
    pub offset: u64,
    /// Its first bytes; of an entry of the journal those of its message.
    pub text: HostText,
}

impl LogLine {
    /// Bytes of a line that are kept.
    pub const LONGEST: usize = 240;
}

impl fmt::Display for LogLine {
    /// Safe to show.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}: {}", self.source, self.offset, self.text)
    }
}

/// Somebody was let in or refused: by a login service, by sudo or su.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// Who said so: `sshd`, `sudo`, `dovecot` ...
    pub service: String,
    /// The account. A client may have chosen the name.
    pub user: Option<HostText>,
    /// The address that the daemon wrote.
    pub from: Option<IpAddr>,
    /// How: `password`, `public-key` ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Type and fingerprint of the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<HostText>,
    /// Failed attempts of this source so far, where this one stands for all of them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempts: u32,
    /// The line that says so.
    pub line: LogLine,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl fmt::Display for Login {
    /// In a few words, safe to show.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.user.as_ref().map_or_else(|| "nobody by name".to_owned(), HostText::escaped);
        write!(f, "{user}")?;
        if let Some(from) = self.from {
            write!(f, " from {from}")?;
        }
        if let Some(method) = &self.method {
            write!(f, " by {}", super::sentence(method))?;
        }
        if self.attempts > 1 {
            write!(f, ", attempt {}", self.attempts)?;
        }
        write!(f, " ({})", super::sentence(&self.service))
    }
}
