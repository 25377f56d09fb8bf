//! Commit-confirm: what may cut people off is undone by something outside of us unless a person confirms it in time.

use super::Responder;
use super::actions::{self, ActError, Sight};
use super::transaction::line;
use crate::model::{Action, ActionId, Timestamp};

impl Responder {
    /// A person stands behind a disruptive action: its end moves from the confirmation's deadline to its own. The host's
    /// vital signs are compared once more first: what does harm is undone instead.
    ///
    /// # Errors
    /// When there is no such action, it awaits nothing, its time is over, the signs say that it does harm, or its end cannot
    /// be moved; in the last case it still awaits confirmation, and is undone at the deadline.
    pub fn confirm(&self, id: ActionId, by: &str, now: Timestamp) -> Result<Action, ActError> {
        self.awaiting(id, now)?;
        let after = self.measure(true);
        if let Some(judged) = self.compare_signs(id, &after, now)
            && !judged.state.is_active()
        {
            return Err(ActError::Failed { why: judged.note.clone(), action: Box::new(judged) });
        }
        let _turn = self.my_turn();
        let (mut action, moment) = self.awaiting(id, now)?;
        let snapshot = self.snapshot(id)?;
        if let Some(confirmation) = &mut action.confirmation {
            (confirmation.confirmed_at, confirmation.confirmed_by) = (Some(moment), Some(by.to_owned()));
        }
        self.checkpoint("before prolonging");
        let act = actions::of(action.kind);
        // First the end, then the row: should we die between the two, it is undone at the deadline, which is the safe side.
        let snapshot = act.prolong(&self.hand, &action, snapshot, moment)?;
        self.checkpoint("after prolonging");
        self.forget_ruleset();
        match act.verify(&self.hand, &action, &snapshot, moment)? {
            Sight::Live(proof) => (action.verified_at, action.note) = (Some(now), format!("confirmed by {by}; {}", proof.join("; "))),
            Sight::Drifted(why) | Sight::Gone(why) => return Err(ActError::Unverified(why)),
        }
        self.ledger.settle(&action, Some(&snapshot), Some(&line(now, by, "action.confirmed", id, action.note.clone())))?;
        Ok(action)
    }

    /// An action that awaits confirmation, and the moment on its own clock.
    fn awaiting(&self, id: ActionId, now: Timestamp) -> Result<(Action, Timestamp), ActError> {
        let Some(held) = self.ledger.held_one(id) else {
            let action = self.ledger.action(id)?.ok_or(ActError::NotFound(id))?;
            return Err(ActError::NotAwaiting { id, why: format!("it is {}", action.state.noun()) });
        };
        let moment = self.moment_of(&held, now);
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
