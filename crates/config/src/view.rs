//! The console's views: their names on the command line, in the keymap and on screen.

use std::fmt;
use std::str::FromStr;

/// One view of the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum View {
    /// How things stand, in one screen.
    Overview,
    /// Living processes as a tree.
    Processes,
    /// Connections and listeners.
    Network,
    /// The kill chain of one incident.
    Timeline,
    /// What people were told.
    Alerts,
    /// Questions to the operator.
    Approvals,
    /// Changes to the host and their undoing.
    Actions,
    /// How the guard itself is.
    Health,
    /// The record of every decision.
    Audit,
    /// Changes of the watched files.
    Files,
    /// Logs that are followed, and who attacks by them.
    Logs,
    /// What is normal here: habits that wait for a person.
    Baseline,
    /// What scans found.
    Findings,
    /// What people say is harmless.
    Exceptions,
}

impl View {
    /// All of them, in the order of their keys and tabs.
    pub const ALL: [Self; 14] = [
        Self::Overview,
        Self::Processes,
        Self::Network,
        Self::Timeline,
        Self::Alerts,
        Self::Approvals,
        Self::Actions,
        Self::Health,
        Self::Audit,
        Self::Files,
        Self::Logs,
        Self::Baseline,
        Self::Findings,
        Self::Exceptions,
    ];

    /// As on the command line and in the keymap: "overview".
    pub fn name(self) -> &'static str {
        match self {
            Self::Overview => "overview",
            Self::Processes => "processes",
            Self::Network => "network",
            Self::Timeline => "timeline",
            Self::Alerts => "alerts",
            Self::Approvals => "approvals",
            Self::Actions => "actions",
            Self::Health => "health",
            Self::Audit => "audit",
            Self::Files => "files",
            Self::Logs => "logs",
            Self::Baseline => "baseline",
            Self::Findings => "findings",
            Self::Exceptions => "exceptions",
        }
    }

    /// As on a tab: "Overview".
    pub fn title(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Processes => "Processes",
            Self::Network => "Network",
            Self::Timeline => "Timeline",
            Self::Alerts => "Alerts",
            Self::Approvals => "Approvals",
            Self::Actions => "Actions",
            Self::Health => "Health",
            Self::Audit => "Audit",
            Self::Files => "Files",
            Self::Logs => "Logs",
            Self::Baseline => "Baseline",
            Self::Findings => "Findings",
            Self::Exceptions => "Exceptions",
        }
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A view that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not a view: use overview, processes, network, timeline, alerts, approvals, actions, health, audit, files, logs, baseline, findings or exceptions"
)]
pub struct ViewError(String);

impl FromStr for View {
    type Err = ViewError;
    fn from_str(text: &str) -> Result<Self, ViewError> {
        let found = Self::ALL.into_iter().find(|view| view.name().eq_ignore_ascii_case(text));
        found.ok_or_else(|| ViewError(text.escape_debug().take(40).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back_and_the_error_lists_them_all() {
        let error = "nonsense".parse::<View>().unwrap_err().to_string();
        for view in View::ALL {
            assert_eq!(view.name().parse(), Ok(view));
            assert!(error.contains(view.name()), "{error}");
        }
    }
}
