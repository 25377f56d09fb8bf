//! What a client may ask about exceptions.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use bartizan_model::{ExceptionId, ExceptionScope, Role};

/// What a client may ask about exceptions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExceptionRequest {
    /// All that are kept, those that are over too.
    List,
    /// What one would have hidden, from the archive.
    Preview {
        /// To what it would be bound.
        scope: ExceptionScope,
    },
    /// Add one.
    Add {
        /// To what it is bound.
        scope: ExceptionScope,
        /// Why it is harmless.
        reason: String,
        /// How long it holds.
        lasts: Duration,
    },
    /// End one before its time.
    Remove {
        /// Which.
        id: ExceptionId,
        /// Why.
        reason: String,
    },
}

impl ExceptionRequest {
    /// The least role that may ask this.
    pub fn needs(&self) -> Role {
        match self {
            Self::List | Self::Preview { .. } => Role::Viewer,
            Self::Add { .. } | Self::Remove { .. } => Role::Admin,
        }
    }

    /// Its name in messages and in the audit log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::List => "exceptions list",
            Self::Preview { .. } => "exceptions preview",
            Self::Add { .. } => "exceptions add",
            Self::Remove { .. } => "exceptions remove",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_administrator_adds_or_removes_an_exception() {
        let (scope, reason) = (ExceptionScope::default(), String::new());
        let add = ExceptionRequest::Add { scope: scope.clone(), reason: reason.clone(), lasts: Duration::from_secs(1) };
        let remove = ExceptionRequest::Remove { id: ExceptionId(1), reason };
        let needs = [ExceptionRequest::List, ExceptionRequest::Preview { scope }, add, remove].map(|request| request.needs());
        assert_eq!(needs, [Role::Viewer, Role::Viewer, Role::Admin, Role::Admin]);
    }
}
