//! Drop packets from or to one address and close what is open with it; the kernel itself ends the block.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::open_connections::{self, Cut};
use super::{Act, ActError, ActionContext, ObservedState};
use crate::ruleset::{Timed, begun};
use bartizan_enforce::nft::{Member, NftError, TABLE, TableState};
use bartizan_model::{Action, ActionId, ActionPlan, Direction, Preview, Target, Timestamp};

pub(super) struct BlockAddress;

/// What became of the open connections; the kernel needs nothing to undo the block.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Snapshot {
    #[serde(default)]
    connections: Option<Cut>,
}

fn whom(target: &Target) -> Result<(IpAddr, Direction), ActError> {
    match target {
        Target::Address { addr, direction } => Ok((addr.to_canonical(), *direction)),
        _ => Err(ActError::Misfit("what is no address")),
    }
}

/// The first step of a preview, when the table is not there yet.
pub(super) fn table_step(context: &ActionContext) -> Result<Option<String>, ActError> {
    context.forget_ruleset();
    let absent = *context.ruleset()?.state() == TableState::Absent;
    Ok(absent.then(|| format!("nft add table inet {TABLE} (sets with timeouts; chains input, forward, output at priority -10)")))
}

/// How every element in the table is undone.
pub(super) fn undo_steps(plan: &ActionPlan) -> Vec<String> {
    let until = humantime::format_duration(plan.lasts());
    vec![
        format!("nft delete element inet {TABLE} (what the steps added)"),
        format!("with the last element: nft delete table inet {TABLE}"),
        format!("the kernel does the first by itself after {until}"),
    ]
}

impl Act for BlockAddress {
    type Snapshot = Snapshot;

    fn unrecorded() -> Option<Snapshot> {
        Some(Snapshot::default())
    }

    fn members(&self, action: &Action, _snapshot: &Snapshot) -> Result<Vec<Timed>, ActError> {
        let (addr, direction) = whom(&action.target)?;
        Ok(vec![(Member::Block(addr, direction), action.ends_at())])
    }

    fn preview(&self, context: &ActionContext, plan: &ActionPlan) -> Result<Preview, ActError> {
        let (addr, direction) = whom(plan.target())?;
        let mut preview = Act::outline(self, context, plan)?;
        // The last step says it without a number.
        preview.steps.pop();
        preview.steps.push(open_connections::foretell(addr, direction));
        Ok(preview)
    }

    /// How many connections it closes is counted when they are closed: counting takes longer than blocking.
    fn outline(&self, context: &ActionContext, plan: &ActionPlan) -> Result<Preview, ActError> {
        let (addr, direction) = whom(plan.target())?;
        let mut steps: Vec<String> = table_step(context)?.into_iter().collect();
        steps.push(Member::Block(addr, direction).as_command(plan.lasts()));
        steps.push("closes every connection of this host that is open with it".to_owned());
        let packets = match direction {
            Direction::In => format!("every packet from {addr} to this host or through it is dropped, open connections too"),
            Direction::Out => format!("every packet from this host or through it to {addr} is dropped, open connections too"),
        };
        let mut undo = undo_steps(plan);
        undo.push("connections that were closed are not opened again: both ends may connect anew".to_owned());
        Ok(Preview { steps, blast_radius: format!("{packets}; nobody else is touched"), undo, ..Preview::default() })
    }

    fn snapshot(&self, context: &ActionContext, _id: ActionId, plan: &ActionPlan) -> Result<Self::Snapshot, ActError> {
        let (addr, direction) = whom(plan.target())?;
        let ruleset = context.ruleset()?;
        if ruleset.find(Member::Block(addr, direction))?.is_some() {
            return Err(NftError::Exists.into());
        }
        Ok(Snapshot::default())
    }

    fn apply(&self, context: &ActionContext, action: &Action, mut snapshot: Self::Snapshot) -> Result<Self::Snapshot, ActError> {
        let by_person = action.by.is_person();
        let (addr, _) = whom(&action.target)?;
        context.may_cut(addr, by_person)?;
        context.put(action, &Act::members(self, action, &snapshot)?, by_person, begun(action))?;
        let cut = open_connections::cut(context, addr, by_person)?;
        snapshot.connections = Some(cut);
        Ok(snapshot)
    }

    fn verify(
        &self,
        context: &ActionContext,
        action: &Action,
        snapshot: &Self::Snapshot,
        now: Timestamp,
    ) -> Result<ObservedState, ActError> {
        let (addr, _) = whom(&action.target)?;
        Ok(match context.sees(&Act::members(self, action, snapshot)?, &addr.to_string(), now)? {
            Err(sight) => sight,
            Ok(left) => {
                let mut proof = vec![format!("table inet {TABLE} is as we made it and holds {addr} for {} more seconds", left.as_secs())];
                proof.extend(connections_seen(action, snapshot, addr));
                ObservedState::Live(proof)
            }
        })
    }

    fn revert(&self, context: &ActionContext, action: &Action, snapshot: &Self::Snapshot) -> Result<Vec<String>, ActError> {
        let mut done = context.take(&Act::members(self, action, snapshot)?)?;
        done.extend(snapshot.connections.as_ref().and_then(Cut::farewell));
        Ok(done)
    }

    /// We may have died between the block and the closing, which does no harm when done twice.
    fn is_whole(&self, context: &ActionContext, action: &Action, snapshot: &Self::Snapshot, now: Timestamp) -> Result<bool, ActError> {
        let whole = matches!(Act::verify(self, context, action, snapshot, now)?, ObservedState::Live(_));
        if whole && snapshot.connections.is_none() {
            open_connections::cut(context, whom(&action.target)?.0, action.by.is_person())?;
        }
        Ok(whole)
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
        let again = || {
            let (addr, _) = whom(&action.target)?;
            // The owner may have logged in from there since.
            context.may_cut(addr, action.by.is_person())?;
            Ok(addr)
        };
        let addr = match again() {
            Ok(addr) => addr,
            Err(error) => return Some(Err(error)),
        };
        let mended = context.mend(action, Act::members(self, action, &Snapshot::default()), others, now)?;
        Some(mended.and_then(|()| {
            // While the block was gone, new ones may have been opened.
            let cut = open_connections::cut(context, addr, action.by.is_person())?;
            match cut.is_whole() {
                true => Ok(()),
                false => Err(ActError::Unverified(format!("{addr} is blocked again, but {}", cut.told().unwrap_or_default()))),
            }
        }))
    }
}

/// What became of the open connections. The closing ended with a look that found none; the kernel is asked again for as long
/// as not all were closed: what a block starves cannot come back, and a look at all sockets costs milliseconds.
fn connections_seen(action: &Action, snapshot: &Snapshot, addr: IpAddr) -> Option<String> {
    match &snapshot.connections {
        Some(cut) if action.applied_at.is_none() => cut.told(),
        Some(cut) if cut.is_whole() => cut.tally(),
        _ => open_connections::still_open(addr),
    }
}
