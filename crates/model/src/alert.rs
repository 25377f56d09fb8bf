//! What a person is told.

use serde::{Deserialize, Serialize};

use super::{AlertId, IncidentId, Severity, Timestamp};

/// Whether a person has seen it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// Nobody has said so.
    New,
    /// Somebody has.
    Acknowledged,
}

/// What a person is told: one alert an incident, updated in place, counting what it folds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Its name.
    pub id: AlertId,
    /// About which incident.
    pub incident: IncidentId,
    /// First time.
    pub at: Timestamp,
    /// Last time.
    pub updated: Timestamp,
    /// How bad.
    pub severity: Severity,
    /// One plain sentence. Safe to show.
    pub sentence: String,
    /// How many signals it stands for.
    pub count: u64,
    /// Whether a person has seen it.
    pub state: AlertState,
    /// Who acknowledged it.
    pub by: Option<String>,
}
