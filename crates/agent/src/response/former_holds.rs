//! How addresses were held before: which actions kept their packets away, from the ledger, so that a restart forgets nothing.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use bartizan_court::History;
use bartizan_model::{Action, ActionId, Direction, EndCause, Target, Timestamp};
use bartizan_store::ledger::LedgerError;

/// Addresses remembered; beyond it the one whose last hold is the oldest goes.
const MAX_ADDRESSES: usize = 16_384;
/// Holds remembered of one: more steps than there are make no hold longer.
const MAX_OF_ONE: usize = 16;

/// The holds of each address, by the names of the actions: their rows say what became of them.
#[derive(Debug, Default)]
pub(crate) struct FormerHolds(BTreeMap<IpAddr, VecDeque<ActionId>>);

impl FormerHolds {
    /// Takes note of an action; of one that holds nobody, or is known, nothing.
    pub(super) fn note(&mut self, action: &Action) {
        for addr in held(&action.target) {
            if self.0.len() >= MAX_ADDRESSES && !self.0.contains_key(&addr) {
                let oldest = self.0.iter().min_by_key(|(_, ids)| ids.back().copied()).map(|(addr, _)| *addr);
                oldest.and_then(|addr| self.0.remove(&addr));
            }
            let ids = self.0.entry(addr).or_default();
            if ids.contains(&action.id) {
                continue;
            }
            let place = ids.partition_point(|known| *known < action.id);
            ids.insert(place, action.id);
            if ids.len() > MAX_OF_ONE {
                ids.pop_front();
            }
        }
    }

    /// What became of the holds of this address; `row` reads one from the ledger. One that cannot be read may have been undone.
    pub(super) fn of(&self, addr: IpAddr, since: Timestamp, row: impl Fn(ActionId) -> Result<Option<Action>, LedgerError>) -> History {
        let mut history = History::default();
        for id in self.0.get(&addr.to_canonical()).into_iter().flatten() {
            match row(*id) {
                Ok(Some(action)) if action.applied_at.is_some() => {
                    history.holds += u32::from(action.planned_at >= since);
                    history.ended = history.ended.max(Some(action.ended_at.unwrap_or(action.expires_at)));
                    history.undone = undone(&action).or(history.undone);
                }
                Ok(_) => {}
                Err(why) => history.undone = Some(format!("what became of {id}, which held it before, cannot be read ({why})")),
            }
        }
        history
    }
}

/// The addresses whose packets an action keeps away.
fn held(target: &Target) -> Vec<IpAddr> {
    match target {
        Target::Address { direction: Direction::Out, .. } | Target::Destination { .. } => Vec::new(),
        target => target.addresses().to_vec(),
    }
}

/// Somebody, or the harm that it did, ended it before its time.
fn undone(action: &Action) -> Option<String> {
    let ending = action.desired.ending()?;
    match ending.cause {
        EndCause::Undone | EndCause::Unconfirmed | EndCause::EmergencyStop => {
            Some(format!("{} held it before and was undone ({})", action.id, bartizan_model::sentence(&ending.why)))
        }
        EndCause::Failed | EndCause::Expired => None,
    }
}
