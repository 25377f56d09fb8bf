//! Leave to do one thing once: single use, short-lived, sealed.

use std::collections::BTreeSet;
use std::sync::Mutex;

use crate::model::{ActionPlan, IncidentId, Timestamp, WarrantId};

/// Leave to do one thing once.
#[derive(Debug)]
pub struct Warrant {
    id: WarrantId,
    plan: ActionPlan,
    incident: Option<IncidentId>,
    reason: String,
    approver: String,
    expires: Timestamp,
}

/// Why a warrant does not open.
#[derive(Debug, thiserror::Error)]
pub enum WarrantError {
    /// Too late.
    #[error("warrant {0} has lapsed: ask again")]
    Expired(WarrantId),
    /// Used before.
    #[error("warrant {0} was used before: ask again")]
    Spent(WarrantId),
}

/// Knows which warrants were used.
#[derive(Debug, Default)]
pub struct Verifier {
    spent: Mutex<BTreeSet<WarrantId>>,
}

/// An opened warrant.
#[derive(Debug)]
pub struct Grant(Warrant);

impl Warrant {
    /// Opens it, once.
    ///
    /// # Errors
    /// When it lapsed or was used.
    pub fn open(self, verifier: &Verifier, now: Timestamp) -> Result<Grant, WarrantError> {
        if now > self.expires {
            return Err(WarrantError::Expired(self.id));
        }
        let mut spent = verifier.spent.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if spent.insert(self.id) { Ok(Grant(self)) } else { Err(WarrantError::Spent(self.id)) }
    }
}

impl Grant {
    /// What may be done.
    pub fn plan(&self) -> &ActionPlan {
        &self.0.plan
    }
    /// Its name.
    pub fn id(&self) -> WarrantId {
        self.0.id
    }
    /// For which incident.
    pub fn incident(&self) -> Option<IncidentId> {
        self.0.incident
    }
    /// Why.
    pub fn reason(&self) -> &str {
        &self.0.reason
    }
    /// Who allowed it.
    pub fn approver(&self) -> &str {
        &self.0.approver
    }
}
