//! Let only so many packets a second of one address pass; the kernel itself ends the limit.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::block_address::{table_step, undo_steps};
use super::{Act, ActError, ActionContext, ObservedState};
use crate::ruleset::{Timed, begun};
use bartizan_enforce::nft::{Member, NftError, TABLE};
use bartizan_model::{Action, ActionId, ActionPlan, Preview, Target, Timestamp};

pub(super) struct LimitSource;

/// The kernel needs nothing to undo a limit.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Snapshot {}

fn whom(target: &Target) -> Result<(IpAddr, u32), ActError> {
    match target {
        Target::Source { addr, packets_per_second } => Ok((addr.to_canonical(), *packets_per_second)),
        _ => Err(ActError::Misfit("what is no source")),
    }
}

impl Act for LimitSource {
    type Snapshot = Snapshot;

    fn unrecorded() -> Option<Snapshot> {
        Some(Snapshot {})
    }

    fn members(&self, action: &Action, _snapshot: &Snapshot) -> Result<Vec<Timed>, ActError> {
        let (addr, rate) = whom(&action.target)?;
        Ok(vec![(Member::Limit(addr, rate), action.ends_at())])
    }

    fn preview(&self, context: &ActionContext, plan: &ActionPlan) -> Result<Preview, ActError> {
        let (addr, rate) = whom(plan.target())?;
        context.able(&[Member::Limit(addr, rate)])?;
        let mut steps: Vec<String> = table_step(context)?.into_iter().collect();
        steps.push(Member::Limit(addr, rate).as_command(plan.lasts()));
        let blast_radius = format!(
            "of the packets from {addr} to this host or through it {rate} a second pass (as many at once), the rest is dropped; what is open stays open; nobody else is touched"
        );
        Ok(Preview { steps, blast_radius, undo: undo_steps(plan), ..Preview::default() })
    }

    fn snapshot(&self, context: &ActionContext, _id: ActionId, plan: &ActionPlan) -> Result<Self::Snapshot, ActError> {
        let (addr, rate) = whom(plan.target())?;
        match context.ruleset()?.find(Member::Limit(addr, rate))? {
            Some(_) => Err(NftError::Exists.into()),
            None => Ok(Snapshot {}),
        }
    }

    fn apply(&self, context: &ActionContext, action: &Action, snapshot: Self::Snapshot) -> Result<Self::Snapshot, ActError> {
        let by_person = action.by.is_person();
        context.may_touch(&action.target, by_person)?;
        context.put(action, &Act::members(self, action, &snapshot)?, by_person, begun(action))?;
        Ok(snapshot)
    }

    fn verify(
        &self,
        context: &ActionContext,
        action: &Action,
        snapshot: &Self::Snapshot,
        now: Timestamp,
    ) -> Result<ObservedState, ActError> {
        let (addr, rate) = whom(&action.target)?;
        Ok(match context.sees(&Act::members(self, action, snapshot)?, &addr.to_string(), now)? {
            Err(sight) => sight,
            Ok(left) => ObservedState::Live(vec![format!(
                "table inet {TABLE} is as we made it and limits {addr} to {rate} packets a second for {} more seconds",
                left.as_secs()
            )]),
        })
    }

    fn revert(&self, context: &ActionContext, action: &Action, snapshot: &Self::Snapshot) -> Result<Vec<String>, ActError> {
        context.take(&Act::members(self, action, snapshot)?)
    }

    fn prolong(
        &self,
        context: &ActionContext,
        action: &Action,
        snapshot: Self::Snapshot,
        now: Timestamp,
    ) -> Result<Self::Snapshot, ActError> {
        context.put(action, &Act::members(self, action, &snapshot)?, true, now)?;
        Ok(snapshot)
    }

    fn restore(&self, context: &ActionContext, action: &Action, others: &[Action], now: Timestamp) -> Option<Result<(), ActError>> {
        match context.may_touch(&action.target, action.by.is_person()) {
            Ok(()) => context.mend(action, Act::members(self, action, &Snapshot {}), others, now),
            Err(error) => Some(Err(error)),
        }
    }
}
