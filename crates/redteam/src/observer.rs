//! Whoever watches the drill: a running agent over its socket, or any other source of signals and incidents.

use bartizan_model::{Action, Approval, Explanation, Incident, IncidentId, Signal, Timestamp};

/// What the guard decided about an incident.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Verdicts {
    /// Questions to the operator.
    pub approvals: Vec<Approval>,
    /// Changes that were made.
    pub actions: Vec<Action>,
}

/// A watcher. Errors are one sentence, safe to show.
pub trait Observer {
    /// Signals whose event happened at or after `since`, in any order.
    ///
    /// # Errors
    /// When the watcher cannot be asked.
    fn signals_since(&mut self, since: Timestamp) -> Result<Vec<Signal>, String>;

    /// All incidents that are known, in any order.
    ///
    /// # Errors
    /// When the watcher cannot be asked.
    fn incidents(&mut self) -> Result<Vec<Incident>, String>;

    /// Why an incident scores what it scores.
    ///
    /// # Errors
    /// When the watcher cannot be asked or no longer knows it.
    fn explain(&mut self, id: IncidentId) -> Result<Explanation, String>;

    /// What was asked and done about it.
    ///
    /// # Errors
    /// When the watcher cannot be asked.
    fn verdicts(&mut self, id: IncidentId) -> Result<Verdicts, String>;
}
