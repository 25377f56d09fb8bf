//! Commit-confirm: what may cut people off is undone by something outside of us unless a person confirms it in time.

use super::Responder;
use super::actions::{self, ActError, ObservedState};
use super::transaction::line;
use bartizan_model::{Action, ActionId, ActionState, Timestamp};

impl Responder {
    /// A person stands behind a disruptive action: its end moves from the confirmation's deadline to its own. The host's
    /// health probes are compared once more first: what does harm is undone instead.
    ///
    /// # Errors
    /// When there is no such action, it awaits nothing, its time is over, the signs say that it does harm, or its end cannot
    /// be moved; in the last case it still awaits confirmation, and is undone at the deadline.
    pub fn confirm(&self, id: ActionId, by: &str, now: Timestamp) -> Result<Action, ActError> {
        self.awaiting(id, now)?;
        let operation = self.operations.begin();
        if let Some(judged) = self.look_until_sure(id, now, &operation)
            && !judged.state.is_active()
        {
            return Err(ActError::Failed { why: judged.note.clone(), action: Box::new(judged) });
        }
        operation.step();
        let _turn = self.my_turn();
        operation.step();
        let (asked, moment) = self.awaiting(id, now)?;
        let mut action = asked.clone();
        if let Some(confirmation) = &mut action.confirmation {
            (confirmation.confirmed_at, confirmation.confirmed_by) = (Some(moment), Some(by.to_owned()));
        }
        self.checkpoint("before confirming");
        // First the word, then the end outside of us: should we die between the two, recovery moves the end.
        let words = format!("lasts until {}", action.expires_at.format("%H:%M:%S UTC"));
        if let Err(error) = self.ledger.settle(&action, None, Some(&line(now, by, "action.confirmed", id, words))) {
            return Err(self.unconfirm(&asked, error.into()));
        }
        self.checkpoint("before prolonging");
        match self.prolong(&mut action, by, moment, now) {
            Ok(()) => Ok(action),
            Err(error) => {
                self.tell(now, by, "action.confirmation_failed", id, error.to_string());
                Err(self.unconfirm(&asked, error))
            }
        }
    }

    /// Moves the end outside of us to where it belongs now that somebody stands behind the action, and looks at it.
    fn prolong(&self, action: &mut Action, by: &str, moment: Timestamp, now: Timestamp) -> Result<(), ActError> {
        let act = actions::of(action.kind);
        // The word had to reach the disk first, which may have taken seconds. The kernel's ends are held against the clock; a
        // note's end is what it says, and it was confirmed at that moment.
        let fresh = |moment| match action.kind.outlives_reboot() {
            true => moment,
            false => self.ledger.held_one(action.id).map_or(moment, |held| self.moment_of(&held, now)),
        };
        let (kept, moment) = (moment, fresh(moment));
        let snapshot = act.prolong(&self.context, action, &self.snapshot(action.id)?, moment)?;
        self.checkpoint("after prolonging");
        self.forget_ruleset();
        let moment = fresh(kept);
        match act.verify(&self.context, action, &snapshot, moment)? {
            ObservedState::Live(proof) => {
                (action.verified_at, action.note) = (Some(now), format!("confirmed by {by}; {}", proof.join("; ")))
            }
            // A file that was put back stays from here on: there is nothing left to undo.
            ObservedState::Gone(proof) => {
                (action.state, action.ended_at, action.verified_at) = (ActionState::Expired, Some(now), Some(now));
                action.note = format!("confirmed by {by}; {proof}");
                self.signs.forget(action.id);
            }
            ObservedState::Outgrown(why) => (action.verified_at, action.note) = (Some(now), format!("confirmed by {by}; {why}")),
            ObservedState::Drifted(why) => return Err(ActError::Unverified(why)),
        }
        // What cannot be written now is kept in memory until it can: the end is where it should be.
        let _ = self.ledger.settle(action, Some(&snapshot), None);
        Ok(())
    }

    /// Nobody stands behind it after all: it is undone at the deadline.
    fn unconfirm(&self, asked: &Action, why: ActError) -> ActError {
        let _ = self.ledger.update(asked);
        why
    }

    /// After a crash between the word and the end outside of us: the end is moved once more, which does no harm.
    pub(super) fn prolong_again(&self, now: Timestamp) {
        for held in self.ledger.held() {
            let meant = held.action.undo_pending().is_none();
            let confirmed = held.action.confirmation.as_ref().filter(|given| given.confirmed_at.is_some() && meant);
            let Some(by) = confirmed.map(|given| given.confirmed_by.clone().unwrap_or_default()) else { continue };
            let moment = self.moment_of(&held, now);
            if held.action.state == ActionState::Live && moment < held.action.expires_at && !self.died_with_its_kernel(&held) {
                let mut action = Action::clone(&held.action);
                if let Err(error) = self.prolong(&mut action, &by, moment, now) {
                    self.tell(now, "recovery", "action.confirmation_failed", action.id, error.to_string());
                }
            }
        }
    }

    /// An action that awaits confirmation, and the moment on its own clock.
    fn awaiting(&self, id: ActionId, now: Timestamp) -> Result<(Action, Timestamp), ActError> {
        let Some(held) = self.ledger.held_one(id) else {
            let action = self.ledger.action(id)?.ok_or(ActError::NotFound(id))?;
            return Err(ActError::NotAwaiting { id, why: format!("it is {}", action.state.noun()) });
        };
        let moment = self.moment_of(&held, now);
        if let Some(ending) = held.action.undo_pending() {
            return Err(ActError::NotAwaiting { id, why: format!("it is being undone ({})", ending.cause.noun()) });
        }
        let confirmation = held.action.confirmation.as_ref();
        match confirmation {
            None => Err(ActError::NotAwaiting { id, why: format!("a {} needs no confirmation", held.action.kind) }),
            Some(given) if given.confirmed_at.is_some() => {
                let by = given.confirmed_by.as_deref().unwrap_or("somebody");
                Err(ActError::NotAwaiting { id, why: format!("{by} confirmed it already") })
            }
            Some(asked) if moment >= asked.until => {
                Err(ActError::NotAwaiting { id, why: "its time to be confirmed is over: it is being undone".to_owned() })
            }
            Some(_) => Ok((Action::clone(&held.action), moment)),
        }
    }
}

/// "2m": how long people had to confirm an action.
pub(super) fn time_given(action: &Action) -> String {
    let given = action.confirmation.as_ref().map(|asked| asked.until - action.planned_at);
    let seconds = given.and_then(|given| u64::try_from(given.num_seconds()).ok()).unwrap_or(0);
    humantime::format_duration(std::time::Duration::from_secs(seconds)).to_string()
}
