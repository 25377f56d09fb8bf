//! A question to the operator: may this be done?

use serde::{Deserialize, Serialize};

use super::{ActionPlan, ApprovalId, Confidence, IncidentId, Preview, Timestamp};

/// What became of the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApprovalState {
    /// Waiting for a person.
    Pending,
    /// A person said yes.
    Approved,
    /// A person said no.
    Rejected,
    /// Nobody answered in time.
    Expired,
}

/// A question to the operator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    /// Its name.
    pub id: ApprovalId,
    /// For which incident.
    pub incident: IncidentId,
    /// What would be done.
    pub action: ActionPlan,
    /// Why, in one sentence.
    pub reason: String,
    /// Why it was not done without asking.
    pub held_because: String,
    /// How sure the incident is.
    pub confidence: Confidence,
    /// Exactly what would happen, what it touches and how it is undone.
    pub preview: Preview,
    /// What it touches, once more for readers of JSON.
    pub blast_radius: String,
    /// When it was asked.
    pub asked_at: Timestamp,
    /// When the question lapses.
    pub expires_at: Timestamp,
    /// What became of it.
    pub state: ApprovalState,
    /// Who answered.
    pub answered_by: Option<String>,
}
