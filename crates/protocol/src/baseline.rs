//! What a client may ask about what is normal here.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use bartizan_model::{Habit, HabitId, HabitKind, HabitState, Role};

/// Which habits are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HabitQuery {
    /// Of this kind only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<HabitKind>,
    /// In this state only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<HabitState>,
    /// Whose profile or value has this text in it, as it is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// After this one, in the order of their names: the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<HabitId>,
    /// At most so many; the agent may give fewer.
    pub limit: u32,
}

/// What a client may ask about what is normal here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BaselineRequest {
    /// How far learning has come.
    Status,
    /// Habits, a page of them.
    Show(HabitQuery),
    /// What waits for a person, and what was learned since the last review.
    Review,
    /// A person says what is normal and what is not.
    Decide {
        /// Which habits.
        ids: Vec<HabitId>,
        /// They are normal; else they are reported whenever they happen.
        normal: bool,
    },
    /// All versions.
    Versions,
    /// What differs between two versions.
    Diff {
        /// The older one.
        from: u64,
        /// The newer one.
        to: u64,
    },
    /// Make every habit count as it did in a version.
    Revert {
        /// Which.
        version: u64,
    },
    /// Take over what is learned on another host.
    Import {
        /// What is learned there.
        habits: Vec<Habit>,
    },
    /// Learn from the events in the archive.
    Learn {
        /// How far back.
        back: Duration,
    },
}

impl BaselineRequest {
    /// The least role that may ask this.
    pub fn needs(&self) -> Role {
        match self {
            Self::Status | Self::Show(_) | Self::Review | Self::Versions | Self::Diff { .. } => Role::Viewer,
            Self::Decide { .. } | Self::Revert { .. } | Self::Import { .. } | Self::Learn { .. } => Role::Admin,
        }
    }

    /// Its name in messages and in the audit log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Status => "baseline status",
            Self::Show(_) => "baseline show",
            Self::Review => "baseline review",
            Self::Decide { normal: true, .. } => "baseline approve",
            Self::Decide { normal: false, .. } => "baseline reject",
            Self::Versions => "baseline versions",
            Self::Diff { .. } => "baseline diff",
            Self::Revert { .. } => "baseline revert",
            Self::Import { .. } => "baseline import",
            Self::Learn { .. } => "baseline learn",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_administrator_changes_what_counts_as_normal() {
        let reads = [BaselineRequest::Status, BaselineRequest::Review, BaselineRequest::Versions, BaselineRequest::Diff { from: 1, to: 2 }];
        assert!(reads.iter().all(|request| request.needs() == Role::Viewer));
        let changes = [
            BaselineRequest::Decide { ids: vec![HabitId(1)], normal: true },
            BaselineRequest::Revert { version: 1 },
            BaselineRequest::Import { habits: Vec::new() },
            BaselineRequest::Learn { back: Duration::from_secs(1) },
        ];
        assert!(changes.iter().all(|request| request.needs() == Role::Admin));
    }
}
