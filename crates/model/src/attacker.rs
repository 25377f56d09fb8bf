//! Who knocks: a source of failed logins, and what is done about it.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{ActionId, ActionKind, ApprovalId, Timestamp};

/// An action that holds a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Which.
    pub action: ActionId,
    /// What it does.
    pub kind: ActionKind,
    /// When it ends by itself.
    pub until: Timestamp,
}

/// A source of failed logins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attacker {
    /// Its address; of an IPv6 network, the one that failed the most.
    pub address: IpAddr,
    /// Failed attempts, as far as they are remembered.
    pub attempts: u32,
    /// About how many accounts it tried within the last hours.
    pub accounts: u32,
    /// First seen.
    pub first: Option<Timestamp>,
    /// Last seen.
    pub last: Option<Timestamp>,
    /// How often it was reported.
    pub strikes: u8,
    /// What holds it now.
    #[serde(default)]
    pub held: Option<Hold>,
    /// The question that waits about it.
    #[serde(default)]
    pub asked: Option<ApprovalId>,
    /// Who holds it besides the agent: "fail2ban (set addr-set-sshd of table inet f2b-table)". Safe to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<String>,
}
