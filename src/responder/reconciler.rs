//! What the journal says against what the kernel says, again and again: nothing drifts unseen.

use std::time::Duration;

use super::Responder;
use super::actions::{self, ActError, Sight};
use crate::model::{Action, ActionState, Timestamp};

/// How long after its time the kernel or the watchdog may take before we end it ourselves.
const GRACE: Duration = Duration::from_secs(3);

impl Responder {
    /// Compares every active action with the kernel; gives those whose row changed. Drifted blocks are brought back
    /// for the time they still have; a drifted freeze is only shown. What has ended is cleaned up.
    ///
    /// # Errors
    /// When the ledger cannot be read; errors of single actions are in their notes.
    pub fn reconcile(&self, now: Timestamp) -> Result<Vec<Action>, ActError> {
        let _turn = self.my_turn();
        self.compare_all(now)
    }

    pub(super) fn compare_all(&self, now: Timestamp) -> Result<Vec<Action>, ActError> {
        let active = self.ledger.active()?;
        let mut changed = Vec::new();
        for action in &active {
            let before = action.clone();
            let after = self.compare(action.clone(), &active, now)?;
            if after != before {
                self.ledger.update(&after)?;
                if after.state != before.state || after.note != before.note && after.state != ActionState::Live {
                    self.record(now, "reconciler", &format!("action.{}", word(after.state)), after.id, after.note.clone())?;
                }
                changed.push(after);
            }
        }
        Ok(changed)
    }

    /// One action as the kernel shows it now.
    fn compare(&self, mut action: Action, others: &[Action], now: Timestamp) -> Result<Action, ActError> {
        let act = actions::of(action.kind);
        let snapshot = self.snapshot(action.id)?;
        let overdue = now > action.expires_at + chrono::Duration::from_std(GRACE).unwrap_or_default();
        match act.verify(&self.hand, &action, &snapshot, now) {
            Ok(Sight::Gone(why)) => self.finish(&mut action, &snapshot, why, now),
            Ok(_) if overdue => {
                self.finish(&mut action, &snapshot, "its time was over and it was still there: ended by bartizan".into(), now)
            }
            Ok(Sight::Live(proof)) => {
                (action.state, action.verified_at, action.note) = (ActionState::Live, Some(now), proof.join("; "));
            }
            // About to end by itself: the difference is the ending.
            Ok(Sight::Drifted(_)) if now > action.expires_at => {}
            Ok(Sight::Drifted(why)) => self.bring_back(&mut action, others, &snapshot, why, now)?,
            Err(error) => (action.state, action.note) = (ActionState::Unknown, format!("the kernel cannot be asked: {error}")),
        }
        Ok(action)
    }

    fn finish(&self, action: &mut Action, snapshot: &serde_json::Value, why: String, now: Timestamp) {
        match actions::of(action.kind).revert(&self.hand, action, snapshot) {
            Ok(_) => (action.state, action.ended_at, action.verified_at, action.note) = (ActionState::Expired, Some(now), Some(now), why),
            Err(error) => (action.state, action.note) = (ActionState::Drifted, format!("{why}; cleaning up failed: {error}")),
        }
    }

    fn bring_back(
        &self,
        action: &mut Action,
        others: &[Action],
        snapshot: &serde_json::Value,
        why: String,
        now: Timestamp,
    ) -> Result<(), ActError> {
        let act = actions::of(action.kind);
        (action.state, action.note) = (ActionState::Drifted, why.clone());
        let Some(restored) = act.restore(&self.hand, action, others, now) else { return Ok(()) };
        self.record(now, "reconciler", "action.drifted", action.id, why.clone())?;
        let shown = restored.and_then(|()| act.verify(&self.hand, action, snapshot, now));
        match shown {
            Ok(Sight::Live(proof)) => {
                (action.state, action.verified_at) = (ActionState::Live, Some(now));
                action.note = format!("brought back ({why}); {}", proof.join("; "));
                self.record(now, "reconciler", "action.reapplied", action.id, action.note.clone())?;
            }
            Ok(Sight::Drifted(still) | Sight::Gone(still)) => action.note = format!("{why}; bringing it back did not help: {still}"),
            Err(error) => action.note = format!("{why}; not brought back: {error}"),
        }
        Ok(())
    }
}

fn word(state: ActionState) -> String {
    state.noun().replace(' ', "_")
}
