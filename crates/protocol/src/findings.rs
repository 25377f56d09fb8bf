//! What a client may ask about findings of scans, and what the agent answers.

use serde::{Deserialize, Serialize};

use bartizan_model::{Finding, Role, Timestamp};

/// What a client may ask about findings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingRequest {
    /// What the last scans found, the worst first.
    List,
    /// Live with a finding for a time: it fails no scan until then.
    Accept {
        /// Which: `F0123456789ab`.
        id: String,
        /// Until when; at most 366 days from now.
        until: Timestamp,
        /// Why.
        reason: String,
    },
}

impl FindingRequest {
    /// The least role that may ask this.
    pub fn needs(&self) -> Role {
        match self {
            Self::List => Role::Viewer,
            Self::Accept { .. } => Role::Admin,
        }
    }

    /// Its name in messages and in the audit log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::List => "findings",
            Self::Accept { .. } => "findings accept",
        }
    }
}

/// Findings of the last scans.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FindingsPage {
    /// Open ones first, the worst first; the agent gives at most 1,000.
    pub findings: Vec<Finding>,
    /// How many there are beside those.
    pub more: u64,
    /// What they amount to, in one sentence: "NOT PASSED: open findings: 2 high".
    pub verdict: String,
    /// When a scan ran last; `None`: never.
    pub scanned: Option<Timestamp>,
}

/// One file as the baseline knows it, beside what it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDiff {
    /// Which.
    pub path: bartizan_model::HostText,
    /// How it differs, in one sentence; `None`: not at all.
    pub change: Option<String>,
    /// The lines that differ; `None` when one of the contents is not known: only small texts are stored.
    pub diff: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_administrator_accepts_a_finding() {
        let accept = FindingRequest::Accept { id: String::new(), until: Timestamp::UNIX_EPOCH, reason: String::new() };
        assert_eq!([FindingRequest::List.needs(), accept.needs()], [Role::Viewer, Role::Admin]);
    }
}
