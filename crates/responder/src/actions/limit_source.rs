//! Let only so many packets a second of one address pass; the kernel itself ends the limit.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::block_address::{table_step, undo_steps};
use super::{Act, ActError, Hand, Sight};
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

    fn preview(&self, hand: &Hand, plan: &ActionPlan) -> Result<Preview, ActError> {
        let (addr, rate) = whom(plan.target())?;
        hand.able(&[Member::Limit(addr, rate)])?;
        let mut steps: Vec<String> = table_step(hand)?.into_iter().collect();
        steps.push(Member::Limit(addr, rate).as_command(plan.lasts()));
        let blast_radius = format!(
            "of the packets from {addr} to this host or through it {rate} a second pass (as many at once), the rest is dropped; what is open stays open; nobody else is touched"
        );
        Ok(Preview { steps, blast_radius, undo: undo_steps(plan), ..Preview::default() })
    }

    fn snapshot(&self, hand: &Hand, _id: ActionId, plan: &ActionPlan) -> Result<Self::Snapshot, ActError> {
        let (addr, rate) = whom(plan.target())?;
        match hand.ruleset()?.find(Member::Limit(addr, rate))? {
            Some(_) => Err(NftError::Exists.into()),
            None => Ok(Snapshot {}),
        }
    }

    fn apply(&self, hand: &Hand, action: &Action, snapshot: Self::Snapshot) -> Result<Self::Snapshot, ActError> {
        let by_person = action.by.is_person();
        hand.may_touch(&action.target, by_person)?;
        hand.put(action, &Act::members(self, action, &snapshot)?, by_person, begun(action))?;
        Ok(snapshot)
    }

    fn verify(&self, hand: &Hand, action: &Action, snapshot: &Self::Snapshot, now: Timestamp) -> Result<Sight, ActError> {
        let (addr, rate) = whom(&action.target)?;
        Ok(match hand.sees(&Act::members(self, action, snapshot)?, &addr.to_string(), now)? {
            Err(sight) => sight,
            Ok(left) => Sight::Live(vec![format!(
                "table inet {TABLE} is as we made it and limits {addr} to {rate} packets a second for {} more seconds",
                left.as_secs()
            )]),
        })
    }

    fn revert(&self, hand: &Hand, action: &Action, snapshot: &Self::Snapshot) -> Result<Vec<String>, ActError> {
        hand.take(&Act::members(self, action, snapshot)?)
    }

    fn prolong(&self, hand: &Hand, action: &Action, snapshot: Self::Snapshot, now: Timestamp) -> Result<Self::Snapshot, ActError> {
        hand.put(action, &Act::members(self, action, &snapshot)?, true, now)?;
        Ok(snapshot)
    }

    fn restore(&self, hand: &Hand, action: &Action, others: &[Action], now: Timestamp) -> Option<Result<(), ActError>> {
        match hand.may_touch(&action.target, action.by.is_person()) {
            Ok(()) => hand.mend(action, Act::members(self, action, &Snapshot {}), others, now),
            Err(error) => Some(Err(error)),
        }
    }
}
