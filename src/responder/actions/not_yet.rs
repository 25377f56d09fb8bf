//! Kinds that have a name and no hand yet: refused before anything is begun.

use serde_json::Value;

use super::{Act, ActError, Hand, Sight};
use crate::model::{Action, ActionId, ActionPlan, Preview, Timestamp};

pub(super) struct NotYet;

impl Act for NotYet {
    fn preview(&self, _hand: &Hand, plan: &ActionPlan) -> Result<Preview, ActError> {
        Err(ActError::NotYet(plan.kind().name()))
    }
    fn snapshot(&self, _hand: &Hand, _id: ActionId, plan: &ActionPlan) -> Result<Value, ActError> {
        Err(ActError::NotYet(plan.kind().name()))
    }
    fn apply(&self, _hand: &Hand, action: &Action, _by_person: bool, _snapshot: Value) -> Result<Value, ActError> {
        Err(ActError::NotYet(action.kind.name()))
    }
    fn verify(&self, _hand: &Hand, action: &Action, _snapshot: &Value, _now: Timestamp) -> Result<Sight, ActError> {
        Err(ActError::NotYet(action.kind.name()))
    }
    fn revert(&self, _hand: &Hand, _action: &Action, _snapshot: &Value) -> Result<Vec<String>, ActError> {
        Ok(Vec::new())
    }
}
