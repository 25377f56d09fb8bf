//! One change, whole or not at all: warrant, lifeline, intent on disk, snapshot, apply, verify, receipt, health probes.

use std::sync::Arc;

use chrono::Duration;
use serde_json::Value;

use super::Responder;
use super::actions::{self, ActError, ObservedState};
use super::ending::word;
use super::operations::Operation;
use super::probes::Before;
use bartizan_court::Warrant;
use bartizan_model::{
    Action, ActionId, ActionKind, ActionPlan, ActionState, Alarm, AlarmKind, AuditBody, Confirmation, Desired, EndCause, HostText, Preview,
    Target, Timestamp,
};
use bartizan_store::ledger::Anchor;

impl Responder {
    /// Does what the warrant allows, once. The action is returned when the kernel shows it; of a disruptive kind, when the
    /// host's health probes have been compared too.
    ///
    /// # Errors
    /// [`ActError::Failed`] carries the action when it was begun and undone again; all others mean that nothing was
    /// begun.
    pub fn execute(&self, warrant: Warrant, now: Timestamp) -> Result<Action, ActError> {
        if let Err(error) = warrant.check(now) {
            let detail = HostText::from(format!("{error} ({} for {})", warrant.id(), warrant.plan()).as_str());
            (self.context.alarm)(Alarm { what: AlarmKind::WarrantRefused, detail, action: None, path: None });
            self.tell(now, "responder", "warrant.refused", "a warrant", error.to_string());
            return Err(error.into());
        }
        let (mut pace, asked, asked_at) = (super::pace::Pace::begin(), now, self.clock.now());
        let operation = self.operations.begin();
        // What may cut people off is measured right before; the rest has no time for it: the last round counts.
        let doubt = self.context.doubt(warrant.plan().target());
        let signs = match warrant.plan().kind().is_disruptive() || doubt.is_some() {
            true => Arc::new(self.measure_all()),
            false => self.signs.before(),
        };
        let before = Before { signs, may_carry: doubt.is_some() || *warrant.plan().target() == Target::Host };
        pace.step("health probes before");
        self.checkpoint("before its turn");
        let turn = self.my_turn();
        pace.step("turn");
        operation.step();
        // Name servers that do not answer, and others whose turn it was, may have taken seconds.
        let (now, planned_at) = (self.grown(asked, asked_at), self.clock.now());
        let begun = self.begin(&warrant, doubt, (now, planned_at), &mut pace);
        let (mut action, snapshot) = match begun {
            Ok(begun) => begun,
            Err(error) => {
                self.tell(now, &warrant.by().to_string(), "action.refused", warrant.id(), format!("{}: {error}", warrant.plan()));
                return Err(error);
            }
        };
        self.checkpoint("after intent");
        if action.confirmation.is_some() {
            self.keep_before(action.id, &before, self.clock.now());
        }
        operation.step();
        let act = actions::of(action.kind);
        let applied = act.apply(&self.context, &action, &snapshot);
        pace.step("apply");
        operation.step();
        self.checkpoint("after apply");
        if action.kind == ActionKind::KillTree {
            // On record since it was kept, whatever came of the rest.
            action.evidence = self.ledger.action(action.id).ok().flatten().and_then(|row| row.evidence);
        }
        if let Err(error) = applied.and_then(|snapshot| self.receipt(&mut action, &snapshot, now, &mut pace)) {
            return Err(self.take_back(action, &error, now));
        }
        drop(turn);
        pace.end(self, &action);
        self.after_it(action, before, now, &operation)
    }

    /// What follows a change that stands: nobody waits for it but who asked for a disruptive one.
    fn after_it(&self, action: Action, before: Before, now: Timestamp, operation: &Operation<'_>) -> Result<Action, ActError> {
        if action.kind == ActionKind::FreezeTree {
            self.keep_evidence_of(&action);
        }
        if !action.state.is_active() {
            return Ok(action);
        }
        if action.kind == ActionKind::FreezeTree || action.kind.outlives_reboot() {
            self.look_after_second_end_soon();
        }
        let since = self.clock.now();
        if action.confirmation.is_none() {
            // Enforcement did not wait for the file.
            self.keep_before(action.id, &before, since);
        }
        self.signs.watch(action.id, before, since);
        if action.confirmation.is_none() {
            return Ok(action);
        }
        let judged = self.look_until_sure(action.id, now, operation);
        self.checkpoint("after health probes");
        match judged {
            Some(judged) if judged.state.is_active() => Ok(judged),
            Some(judged) => Err(ActError::Failed { why: judged.note.clone(), action: Box::new(judged) }),
            // Over: somebody undid it meanwhile, or it ended.
            None => match self.ledger.action(action.id).ok().flatten() {
                Some(over) if !over.state.is_active() => Err(ActError::Failed { why: over.note.clone(), action: Box::new(over) }),
                over => Ok(over.unwrap_or(action)),
            },
        }
    }

    /// Everything that must be known before the host is touched; ends with the intent on disk.
    fn begin(
        &self,
        warrant: &Warrant,
        doubt: Option<String>,
        (now, planned_at): (Timestamp, u64),
        pace: &mut super::pace::Pace,
    ) -> Result<(Action, Value), ActError> {
        // Waiting for its turn may have taken longer than it holds.
        warrant.check(now)?;
        if self.halt.voids(warrant.id()) {
            return Err(ActError::Stopped);
        }
        let by_person = warrant.by().is_person();
        if by_person {
            self.signs.no_longer_shun(warrant.plan().target());
        } else if self.signs.shuns(warrant.plan().target(), self.clock.now()) {
            return Err(ActError::Harmful(warrant.plan().target().to_string()));
        }
        // The court asked this before; here it is asked again of the kernel, by other code, on the exact target. The rest
        // of a tree is asked for one by one when it is caught.
        self.context.may_touch(warrant.plan().target(), by_person)?;
        pace.step("lifeline");
        if let Some(same) = self.same_target(warrant.plan()) {
            if let Some(why) = same.pending_words() {
                return Err(ActError::StillUndoing { id: same.id, target: same.target.to_string(), why });
            }
            let until = same.expires_at.format("%H:%M:%S UTC").to_string();
            return Err(ActError::Duplicate { id: same.id, target: same.target.to_string(), until });
        }
        let id = self.ledger.next_action_id()?;
        let act = actions::of(warrant.plan().kind());
        let mut preview = act.outline(&self.context, warrant.plan())?;
        preview.steps.extend(doubt.as_ref().map(|doubt| self.to_be_confirmed(warrant.plan(), doubt)));
        pace.step("outline");
        let snapshot = act.snapshot(&self.context, id, warrant.plan())?;
        pace.step("snapshot");
        let action = self.planned(id, warrant, (preview, doubt.is_some()), now);
        // What was looked at since may have taken seconds, which count.
        let anchor = Anchor { boot: self.clock.boot(), ns: planned_at };
        let words = format!("{} under {}: {}", warrant.plan(), warrant.id(), action.reason);
        let name = self.name_of(&action);
        self.context.marks.set(&name).map_err(|why| ActError::Unnoted { name: name.clone(), why })?;
        let intended = self.ledger.intend(&action, &snapshot, anchor, &line(now, &action.by.to_string(), "action.intended", id, words));
        intended.inspect_err(|_| self.context.marks.remove(&name))?;
        pace.step("intent");
        Ok((action, snapshot))
    }

    /// What a person reads of an action on an address of which it is not certain whose it is.
    pub(super) fn to_be_confirmed(&self, plan: &ActionPlan, doubt: &str) -> String {
        let within = plan.lasts().min(self.context.policy().actions.confirm_within);
        format!(
            "undone after {} unless confirmed: it is not certain that this cuts off none of your own connections ({})",
            humantime::format_duration(within),
            doubt.escape_debug()
        )
    }

    fn planned(&self, id: ActionId, warrant: &Warrant, (preview, uncertain): (Preview, bool), now: Timestamp) -> Action {
        let expires_at = now + Duration::from_std(warrant.plan().lasts()).unwrap_or_default();
        let confirm_within = Duration::from_std(self.context.policy().actions.confirm_within).unwrap_or_default();
        let confirmation = (uncertain || warrant.plan().kind().is_disruptive()).then(|| Confirmation {
            until: (now + confirm_within).min(expires_at),
            confirmed_at: None,
            confirmed_by: None,
        });
        Action {
            id,
            kind: warrant.plan().kind(),
            target: warrant.plan().target().clone(),
            incident: warrant.incident(),
            warrant: warrant.id(),
            state: ActionState::Applying,
            desired: Desired::Live,
            planned_at: now,
            applied_at: None,
            verified_at: None,
            expires_at,
            ended_at: None,
            by: warrant.by().clone(),
            reason: warrant.reason().to_owned(),
            preview: preview.steps,
            undo: preview.undo,
            note: String::new(),
            evidence: None,
            confirmation,
            vitals: None,
        }
    }

    /// Reads the kernel back and writes the receipt.
    fn receipt(&self, action: &mut Action, snapshot: &Value, now: Timestamp, pace: &mut super::pace::Pace) -> Result<(), ActError> {
        // What undoes it is on record before anything can fail that makes undoing necessary.
        self.ledger.settle(action, Some(snapshot), None)?;
        pace.step("snapshot on record");
        self.forget_ruleset();
        // The journal's own clock: it began with the intent, and applying may have taken seconds.
        let now = self.ledger.held_one(action.id).map_or(now, |held| self.moment_of(&held, now));
        let sight = actions::of(action.kind).verify(&self.context, action, snapshot, now)?;
        pace.step("verify");
        let (state, proof) = match (action.kind, sight) {
            (ActionKind::KillTree, ObservedState::Gone(proof)) => (ActionState::Expired, proof),
            (_, ObservedState::Live(proof)) => (ActionState::Live, proof.join("; ")),
            // The next comparison covers what is new.
            (_, ObservedState::Outgrown(why)) => (ActionState::Live, why),
            (_, ObservedState::Drifted(why) | ObservedState::Gone(why)) => return Err(ActError::Unverified(why)),
        };
        action.state = state;
        action.ended_at = (state == ActionState::Expired).then_some(now);
        (action.applied_at, action.verified_at, action.note) = (Some(now), Some(now), proof);
        self.checkpoint("before receipt");
        self.ledger.settle(action, None, Some(&line(now, &action.by.to_string(), "action.applied", action.id, action.note.clone())))?;
        self.checkpoint("after receipt");
        pace.step("receipt");
        Ok(())
    }

    /// Undoes what was begun and says so in the ledger; what cannot be undone now is tried until it is gone. Works with a
    /// full disk: an effect that cannot be put on record must not stay.
    fn take_back(&self, mut action: Action, why: &ActError, now: Timestamp) -> ActError {
        let by = action.by.to_string();
        self.want_gone(&mut action, EndCause::Failed, &by, &why.to_string(), now);
        let snapshot = self.snapshot(action.id).unwrap_or_default();
        let undone = self.try_to_undo(&mut action, &snapshot, now);
        self.checkpoint("after taking back");
        let mut said = why.to_string();
        if let Err(error) = undone {
            said =
                format!("{said}; undoing it failed too: {error}; it will not be applied again, and undoing it is tried until it is gone");
        }
        if let Err(error) = self.put(&action, now, &by, &word(&action)) {
            said = format!("{said}; and the ledger could not be written yet: {error}");
        }
        ActError::Failed { why: said, action: Box::new(action) }
    }
}

/// A line of the record.
pub(super) fn line(now: Timestamp, actor: &str, what: &str, subject: impl ToString, detail: impl Into<String>) -> AuditBody {
    AuditBody { at: now, actor: actor.to_owned(), what: what.to_owned(), subject: subject.to_string(), detail: detail.into() }
}
