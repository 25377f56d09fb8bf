//! Drop packets from many addresses of one attack: one decision of a person, one transaction, one undo. The kernel ends each element.
//!
//! A kind of its own beside `block_address`, whose target stays one address: nothing that may act alone can be given a list.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::block_address::{table_step, undo_steps};
use super::{Act, ActError, ActionContext, ObservedState};
use crate::ruleset::{Timed, begun};
use bartizan_enforce::nft::{Member, NftError, TABLE};
use bartizan_model::{Action, ActionId, ActionPlan, Direction, Preview, Target, Timestamp};

/// Addresses on one line of a preview.
const ON_A_LINE: usize = 4;

pub(super) struct BlockAddresses;

/// The kernel needs nothing to undo it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Snapshot {}

fn whom(target: &Target) -> Result<&[IpAddr], ActError> {
    match target {
        Target::Addresses { addrs } => Ok(addrs),
        _ => Err(ActError::Misfit("what is no list of addresses")),
    }
}

fn member(addr: IpAddr) -> Member {
    Member::Block(addr, Direction::In)
}

/// All of them, some on each line.
fn listed(addrs: &[IpAddr], lasts: Duration) -> impl Iterator<Item = String> {
    let lines = addrs.chunks(ON_A_LINE).map(|some| some.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", "));
    let first = format!("nft add element inet {TABLE} block_in4, block_in6 (timeout {}s each):", lasts.as_secs());
    std::iter::once(first).chain(lines)
}

impl Act for BlockAddresses {
    type Snapshot = Snapshot;

    fn unrecorded() -> Option<Snapshot> {
        Some(Snapshot {})
    }

    fn members(&self, action: &Action, _snapshot: &Snapshot) -> Result<Vec<Timed>, ActError> {
        Ok(whom(&action.target)?.iter().map(|addr| (member(*addr), action.ends_at())).collect())
    }

    fn preview(&self, context: &ActionContext, plan: &ActionPlan) -> Result<Preview, ActError> {
        let addrs = whom(plan.target())?;
        let mut steps: Vec<String> = table_step(context)?.into_iter().collect();
        steps.extend(listed(addrs, plan.lasts()));
        let blast_radius = format!(
            "every packet from {} to this host or through it is dropped; what is open with them starves; nobody else is touched",
            if addrs.len() == 1 { "this address".to_owned() } else { format!("these {} addresses", addrs.len()) }
        );
        Ok(Preview { steps, blast_radius, undo: undo_steps(plan), ..Preview::default() })
    }

    fn snapshot(&self, context: &ActionContext, _id: ActionId, plan: &ActionPlan) -> Result<Snapshot, ActError> {
        let ruleset = context.ruleset()?;
        for addr in whom(plan.target())? {
            if ruleset.find(member(*addr))?.is_some() {
                return Err(NftError::Exists.into());
            }
        }
        Ok(Snapshot {})
    }

    fn apply(&self, context: &ActionContext, action: &Action, snapshot: Snapshot) -> Result<Snapshot, ActError> {
        let by_person = action.by.is_person();
        context.may_touch(&action.target, by_person)?;
        context.put(action, &Act::members(self, action, &snapshot)?, by_person, begun(action))?;
        Ok(snapshot)
    }

    fn verify(&self, context: &ActionContext, action: &Action, snapshot: &Snapshot, now: Timestamp) -> Result<ObservedState, ActError> {
        let count = whom(&action.target)?.len();
        let what = if count == 1 { "its address".to_owned() } else { format!("one of its {count} addresses") };
        Ok(match context.sees(&Act::members(self, action, snapshot)?, &what, now)? {
            Err(sight) => sight,
            Ok(left) => {
                let who = if count == 1 { "its address".to_owned() } else { format!("its {count} addresses") };
                ObservedState::Live(vec![format!(
                    "table inet {TABLE} is as we made it and holds {who} for {} more seconds",
                    left.as_secs()
                )])
            }
        })
    }

    fn revert(&self, context: &ActionContext, action: &Action, snapshot: &Snapshot) -> Result<Vec<String>, ActError> {
        context.take(&Act::members(self, action, snapshot)?)
    }

    fn prolong(&self, context: &ActionContext, action: &Action, snapshot: Snapshot, now: Timestamp) -> Result<Snapshot, ActError> {
        context.put(action, &Act::members(self, action, &snapshot)?, true, now)?;
        Ok(snapshot)
    }

    fn restore(&self, context: &ActionContext, action: &Action, others: &[Action], now: Timestamp) -> Option<Result<(), ActError>> {
        // The owner may have logged in from one of them since.
        match context.may_touch(&action.target, action.by.is_person()) {
            Ok(()) => context.mend(action, Act::members(self, action, &Snapshot {}), others, now),
            Err(error) => Some(Err(error)),
        }
    }
}
