//! One line of the hash-chained record of every decision, approval and action.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// What is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditBody {
    /// When.
    pub at: Timestamp,
    /// Who: a person (`root via uid 0`), a mode, or the agent itself.
    pub actor: String,
    /// What, as `noun.verb`: `warrant.issued`, `action.applied`, `request.refused` ...
    pub what: String,
    /// About what: an id or a target.
    pub subject: String,
    /// One sentence more.
    pub detail: String,
}

/// A line of the record, with its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Its number, from 1, without gaps.
    pub seq: u64,
    /// What is recorded.
    #[serde(flatten)]
    pub body: AuditBody,
    /// BLAKE3 (hex) over the hash before, the number and the body.
    pub hash: String,
}
