//! One change, whole or not at all: warrant, lifeline, intent on disk, snapshot, apply, verify, receipt.

use chrono::Duration;
use serde_json::Value;

use super::Responder;
use super::actions::{self, ActError, Sight, is_person};
use crate::court::Warrant;
use crate::model::{Action, ActionKind, ActionPlan, ActionState, IncidentId, Timestamp, WarrantId};

/// An opened warrant's content.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) plan: ActionPlan,
    pub(super) warrant: WarrantId,
    pub(super) incident: Option<IncidentId>,
    pub(super) reason: String,
    pub(super) approver: String,
}

impl Responder {
    /// Does what the warrant allows, once. The action is returned when the kernel shows it.
    ///
    /// # Errors
    /// [`ActError::Failed`] carries the action when it was begun and undone again; all others mean that nothing was
    /// begun.
    pub fn execute(&self, warrant: Warrant, now: Timestamp) -> Result<Action, ActError> {
        let grant = match warrant.open(&self.verifier, now) {
            Ok(grant) => grant,
            Err(error) => {
                self.record(now, "responder", "warrant.refused", "a warrant", error.to_string())?;
                return Err(error.into());
            }
        };
        self.carry_out(
            Order {
                plan: grant.plan().clone(),
                warrant: grant.id(),
                incident: grant.incident(),
                reason: grant.reason().to_owned(),
                approver: grant.approver().to_owned(),
            },
            now,
        )
    }

    pub(super) fn carry_out(&self, order: Order, now: Timestamp) -> Result<Action, ActError> {
        let _turn = self.my_turn();
        let (mut action, snapshot) = match self.begin(&order, now) {
            Ok(begun) => begun,
            Err(error) => {
                self.record(now, &order.approver, "action.refused", order.warrant, format!("{}: {error}", order.plan))?;
                return Err(error);
            }
        };
        self.checkpoint("after intent");
        let by_person = is_person(&order.approver);
        let act = actions::of(action.kind);
        let applied = act.apply(&self.hand, &action, by_person, snapshot.clone());
        self.checkpoint("after apply");
        // On record since it was kept, whatever came of the rest.
        action.evidence = self.ledger.action(action.id).ok().flatten().and_then(|row| row.evidence);
        match applied.and_then(|snapshot| self.confirm(&mut action, snapshot, now)) {
            Ok(()) => Ok(action),
            Err(error) => Err(self.take_back(action, &error, now)),
        }
    }

    /// Everything that must be known before the host is touched; ends with the intent on disk.
    fn begin(&self, order: &Order, now: Timestamp) -> Result<(Action, Value), ActError> {
        self.lifeline_again(order)?;
        if let Some(same) = self.same_target(&order.plan)? {
            let until = same.expires_at.format("%H:%M:%S UTC").to_string();
            return Err(ActError::Duplicate { id: same.id, target: same.target.to_string(), until });
        }
        let id = self.ledger.next_action_id()?;
        let act = actions::of(order.plan.kind());
        let preview = act.preview(&self.hand, &order.plan)?;
        let snapshot = act.snapshot(&self.hand, id, &order.plan)?;
        let lasts = Duration::from_std(order.plan.lasts()).unwrap_or_default();
        let action = Action {
            id,
            kind: order.plan.kind(),
            target: order.plan.target().clone(),
            incident: order.incident,
            warrant: order.warrant,
            state: ActionState::Applying,
            planned_at: now,
            applied_at: None,
            verified_at: None,
            expires_at: now + lasts,
            ended_at: None,
            by: order.approver.clone(),
            reason: order.reason.clone(),
            preview: preview.steps,
            undo: preview.undo,
            note: String::new(),
            evidence: None,
            confirmation: None,
            vitals: None,
        };
        self.ledger.intend(&action, &snapshot)?;
        self.record(now, &action.by, "action.intended", id, format!("{} under {}: {}", order.plan, order.warrant, action.reason))?;
        Ok((action, snapshot))
    }

    /// The court asked this before; here it is asked again of the kernel, by other code, on the exact target.
    fn lifeline_again(&self, order: &Order) -> Result<(), ActError> {
        let by_person = is_person(&order.approver);
        // The rest of a tree is asked for one by one when it is caught.
        self.hand.may_touch(order.plan.target(), by_person)
    }

    /// Reads the kernel back and writes the receipt.
    fn confirm(&self, action: &mut Action, snapshot: Value, now: Timestamp) -> Result<(), ActError> {
        self.ledger.set_snapshot(action.id, &snapshot)?;
        let sight = actions::of(action.kind).verify(&self.hand, action, &snapshot, now)?;
        let (state, proof) = match (action.kind, sight) {
            (ActionKind::KillTree, Sight::Gone(proof)) => (ActionState::Expired, proof),
            (_, Sight::Live(proof)) => (ActionState::Live, proof.join("; ")),
            (_, Sight::Drifted(why) | Sight::Gone(why)) => return Err(ActError::Unverified(why)),
        };
        action.state = state;
        action.ended_at = (state == ActionState::Expired).then_some(now);
        (action.applied_at, action.verified_at, action.note) = (Some(now), Some(now), proof);
        self.checkpoint("before receipt");
        self.ledger.update(action)?;
        self.record(now, &action.by, "action.applied", action.id, action.note.clone())?;
        Ok(())
    }

    /// Undoes what was begun and says so in the ledger; what cannot be undone stays active as unknown.
    fn take_back(&self, mut action: Action, why: &ActError, now: Timestamp) -> ActError {
        let snapshot = self.snapshot(action.id).unwrap_or_default();
        let undone = actions::of(action.kind).revert(&self.hand, &action, &snapshot);
        match undone {
            Ok(_) => {
                (action.state, action.ended_at) = (ActionState::Failed, Some(now));
                action.note = why.to_string();
            }
            Err(undo) => {
                action.state = ActionState::Unknown;
                action.note = format!("{why}; undoing it failed too: {undo}; use emergency-stop");
            }
        }
        let written =
            self.ledger.update(&action).and_then(|()| self.record(now, &action.by, "action.failed", action.id, action.note.clone()));
        if let Err(error) = written {
            action.note = format!("{}; and the ledger could not be written: {error}", action.note);
        }
        ActError::Failed { why: action.note.clone(), action: Box::new(action) }
    }
}
