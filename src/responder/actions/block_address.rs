//! Drop packets from or to one address and close what is open with it; the kernel itself ends the block.

use std::net::IpAddr;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::open_connections::{self, Cut};
use super::{Act, ActError, Hand, Sight, is_person};
use crate::host::nft::{Blocked, Nft, NftError, TABLE, TableState, as_command};
use crate::model::{Action, ActionId, ActionPlan, ActionState, Direction, Preview, Target, Timestamp};

/// How far the kernel's remaining time may be from ours: clocks tick in 1 to 10 ms, and a busy host is late.
const SLACK: Duration = Duration::from_secs(3);

/// Where the snapshot keeps what became of the open connections.
const CUT: &str = "connections";

pub(super) struct BlockAddress;

fn whom(target: &Target) -> Result<(IpAddr, Direction), ActError> {
    match target {
        Target::Address { addr, direction } => Ok((addr.to_canonical(), *direction)),
        _ => Err(ActError::Misfit("what is no address")),
    }
}

fn remaining(action: &Action, now: Timestamp) -> Duration {
    (action.expires_at - now).to_std().unwrap_or_default()
}

/// No rule of ours stays when nobody is blocked: the ruleset is then what it was before us.
fn drop_empty_table(nft: &Nft) -> Result<bool, NftError> {
    Ok(nft.blocked()?.is_empty() && nft.delete_table()?)
}

impl Act for BlockAddress {
    fn preview(&self, _hand: &Hand, plan: &ActionPlan) -> Result<Preview, ActError> {
        let (addr, direction) = whom(plan.target())?;
        let (exists, mut steps) = (Nft::open()?.table_exists()?, Vec::new());
        if !exists {
            steps.push(format!("nft add table inet {TABLE} (sets with timeouts; chains input, forward, output at priority -10)"));
        }
        steps.push(as_command(addr, direction, plan.lasts()));
        steps.push(open_connections::foretell(addr, direction));
        let packets = match direction {
            Direction::In => format!("every packet from {addr} to this host or through it is dropped, open connections too"),
            Direction::Out => format!("every packet from this host or through it to {addr} is dropped, open connections too"),
        };
        let until = humantime::format_duration(plan.lasts());
        let undo = vec![
            format!("nft delete element inet {TABLE} (this one address)"),
            format!("with the last address: nft delete table inet {TABLE}"),
            format!("the kernel does the first by itself after {until}"),
            "connections that were closed are not opened again: both ends may connect anew".to_owned(),
        ];
        Ok(Preview { steps, blast_radius: format!("{packets}; nobody else is touched"), undo })
    }

    fn snapshot(&self, _hand: &Hand, _id: ActionId, plan: &ActionPlan) -> Result<Value, ActError> {
        let (addr, direction) = whom(plan.target())?;
        let nft = Nft::open()?;
        if nft.find(addr, direction)?.is_some() {
            return Err(NftError::Exists(addr).into());
        }
        Ok(json!({ "table_existed": nft.table_exists()? }))
    }

    fn apply(&self, hand: &Hand, action: &Action, by_person: bool, mut snapshot: Value) -> Result<Value, ActError> {
        let (addr, direction) = whom(&action.target)?;
        hand.may_cut(addr, by_person)?;
        let nft = Nft::open()?;
        match nft.table_state()? {
            TableState::Intact => {}
            TableState::Absent => nft.create_table()?,
            TableState::Altered(_) => nft.rebuild(&nft.blocked()?)?,
        }
        let lasts = (action.expires_at - action.planned_at).to_std().unwrap_or_default();
        nft.add(addr, direction, lasts)?;
        let cut = open_connections::cut(hand, addr, by_person)?;
        if let Some(fields) = snapshot.as_object_mut() {
            fields.insert(CUT.to_owned(), json!(cut));
        }
        Ok(snapshot)
    }

    fn verify(&self, _hand: &Hand, action: &Action, snapshot: &Value, now: Timestamp) -> Result<Sight, ActError> {
        let (addr, direction) = whom(&action.target)?;
        let nft = Nft::open()?;
        let left = remaining(action, now);
        let Some(entry) = nft.find(addr, direction)? else {
            return Ok(match left {
                left if left <= SLACK => Sight::Gone("the kernel ended it at its time".into()),
                _ => Sight::Drifted(format!("{addr} is no longer in our table: somebody removed it")),
            });
        };
        if let TableState::Altered(what) = nft.table_state()? {
            return Ok(Sight::Drifted(format!("somebody changed table inet {TABLE} ({what})")));
        }
        match entry.remaining {
            None => Ok(Sight::Drifted(format!("somebody made the block of {addr} endless"))),
            Some(shown) if shown > left + SLACK || shown + SLACK < left => {
                Ok(Sight::Drifted(format!("somebody changed the end of the block of {addr}")))
            }
            Some(shown) => {
                let mut proof = vec![format!("table inet {TABLE} is as we made it and holds {addr} for {} more seconds", shown.as_secs())];
                proof.extend(connections_seen(action, snapshot, addr));
                Ok(Sight::Live(proof))
            }
        }
    }

    fn revert(&self, _hand: &Hand, action: &Action, snapshot: &Value) -> Result<Vec<String>, ActError> {
        let (addr, direction) = whom(&action.target)?;
        let nft = Nft::open()?;
        let mut done = Vec::new();
        if nft.table_exists()? && nft.remove(addr, direction)? {
            done.push(format!("removed {addr} from table inet {TABLE}"));
        }
        if nft.find(addr, direction)?.is_some() {
            return Err(ActError::Unverified(format!("{addr} is still blocked")));
        }
        if drop_empty_table(&nft)? {
            done.push(format!("removed the empty table inet {TABLE}"));
        }
        done.extend(cut_of(snapshot).and_then(|cut| cut.farewell()));
        Ok(done)
    }

    /// We may have died between the block and the closing, which does no harm when done twice.
    fn is_whole(&self, hand: &Hand, action: &Action, snapshot: &Value, now: Timestamp) -> Result<bool, ActError> {
        let whole = matches!(self.verify(hand, action, snapshot, now)?, Sight::Live(_));
        if whole && cut_of(snapshot).is_none() {
            open_connections::cut(hand, whom(&action.target)?.0, is_person(&action.by))?;
        }
        Ok(whole)
    }

    fn restore(&self, hand: &Hand, action: &Action, others: &[Action], now: Timestamp) -> Option<Result<(), ActError>> {
        let left = remaining(action, now);
        (left > SLACK).then(|| {
            let (addr, _) = whom(&action.target)?;
            // The owner may have logged in from there since.
            hand.may_cut(addr, is_person(&action.by))?;
            let live = others.iter().filter(|other| matches!(other.state, ActionState::Live | ActionState::Drifted));
            let mut wanted: Vec<Blocked> = live.chain([action]).filter_map(|action| entry(action, now)).collect();
            wanted.sort_by_key(|entry| (entry.addr, entry.direction));
            wanted.dedup_by_key(|entry| (entry.addr, entry.direction));
            wanted.retain(|entry| (hand.lifeline)().holds_address(entry.addr).is_none());
            Nft::open()?.rebuild(&wanted)?;
            // While the block was gone, new ones may have been opened.
            let cut = open_connections::cut(hand, addr, is_person(&action.by))?;
            match cut.is_whole() {
                true => Ok(()),
                false => Err(ActError::Unverified(format!("{addr} is blocked again, but {}", cut.receipt(addr).unwrap_or_default()))),
            }
        })
    }
}

fn cut_of(snapshot: &Value) -> Option<Cut> {
    Cut::deserialize(snapshot.get(CUT)?).ok()
}

/// What became of the open connections. The kernel is asked when the change is confirmed, and later for as long as not
/// all were closed: what a block starves cannot come back, and a look at all sockets every two seconds costs.
fn connections_seen(action: &Action, snapshot: &Value, addr: IpAddr) -> Option<String> {
    match cut_of(snapshot) {
        Some(cut) if action.applied_at.is_none() => cut.receipt(addr),
        Some(cut) if cut.is_whole() => cut.tally(),
        _ => open_connections::still_open(addr),
    }
}

fn entry(action: &Action, now: Timestamp) -> Option<Blocked> {
    let (addr, direction) = whom(&action.target).ok()?;
    let left = remaining(action, now);
    (!left.is_zero()).then_some(Blocked { addr, direction, timeout: Some(left), remaining: Some(left) })
}
