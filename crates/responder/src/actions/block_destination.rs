//! Drop what one user, cgroup or container sends to one address, and close what is open; the kernel itself ends it.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::block_address::{CUT, cut_of, table_step, undo_steps};
use super::open_connections::{self, Owner};
use super::{Act, ActError, Hand, Sight};
use crate::ruleset::{Timed, begun};
use bartizan_enforce::accounts;
use bartizan_enforce::nft::{Member, NftError, TABLE};
use bartizan_model::{Action, ActionId, ActionPlan, HostText, Preview, Target, Timestamp, Whose};
use bartizan_sys::{cgroup_number, container_addresses};

pub(super) struct BlockDestination;

/// How the kernel tells the sender, found out before the change; part of the snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Sender {
    /// By the user id of the socket.
    User(u32),
    /// By the socket's cgroup, or one above it.
    Cgroup { path: HostText, number: u64 },
    /// By the source address of what is forwarded; the process in whose network it lives.
    Behind { addresses: Vec<IpAddr>, pid: u32 },
}

fn whom(target: &Target) -> Result<(IpAddr, &Whose), ActError> {
    match target {
        Target::Destination { addr, whose } => Ok((addr.to_canonical(), whose)),
        _ => Err(ActError::Misfit("what is no destination")),
    }
}

fn find(whose: &Whose) -> Result<Sender, ActError> {
    let unreadable = |why: std::io::Error| ActError::Unknowable(format!("{whose}: {why}"));
    let cgroup = |path: &HostText| Ok(Sender::Cgroup { path: path.clone(), number: cgroup_number::of(path).map_err(unreadable)? });
    match whose {
        Whose::User { uid } => Ok(Sender::User(*uid)),
        Whose::Cgroup { path } => cgroup(path),
        Whose::Container { id } => {
            let reach = container_addresses::of_container(id).map_err(|why| ActError::Unknowable(why.to_string()))?;
            if reach.on_host_network {
                return cgroup(&reach.cgroup);
            }
            Ok(Sender::Behind { addresses: reach.addresses, pid: reach.pid })
        }
    }
}

impl Sender {
    fn members(&self, addr: IpAddr) -> Vec<Member> {
        match self {
            Self::User(uid) => vec![Member::DenyTo(addr), Member::DenyUser(*uid, addr)],
            Self::Cgroup { number, .. } => vec![Member::DenyTo(addr), Member::DenyCgroup(*number, addr)],
            Self::Behind { addresses, .. } => {
                let same_family = addresses.iter().filter(|own| own.is_ipv4() == addr.is_ipv4());
                same_family.map(|own| Member::DenyFrom(*own, addr)).collect()
            }
        }
    }

    fn owner(&self) -> Result<Owner, ActError> {
        Ok(match self {
            Self::User(uid) => Owner::User(*uid),
            Self::Cgroup { path, .. } => {
                Owner::Cgroups(cgroup_number::with_all_below(path).map_err(|why| ActError::Unknowable(format!("cgroup {path}: {why}")))?)
            }
            Self::Behind { pid, .. } => Owner::Network(*pid),
        })
    }

    fn words(&self) -> String {
        match self {
            Self::User(uid) => {
                let account = accounts::find_uid(*uid).ok().flatten();
                let name = account.map_or_else(|| "no account of this host".to_owned(), |account| format!("account {}", account.name));
                format!("sockets of uid {uid} ({name}) on this host")
            }
            Self::Cgroup { path, .. } => format!("sockets of cgroup {path} and below on this host"),
            Self::Behind { addresses, .. } => {
                format!("what is forwarded from {}", addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

fn sender_of(snapshot: &Value) -> Option<Sender> {
    Sender::deserialize(snapshot.get("sender")?).ok()
}

/// What it has in the table; nothing before its snapshot is known.
pub(super) fn members(action: &Action, snapshot: &Value) -> Result<Vec<Timed>, ActError> {
    let (addr, _) = whom(&action.target)?;
    let members = sender_of(snapshot).map(|sender| sender.members(addr)).unwrap_or_default();
    Ok(members.into_iter().map(|member| (member, action.ends_at())).collect())
}

fn known(addr: IpAddr, sender: &Sender) -> Result<Vec<Member>, ActError> {
    let members = sender.members(addr);
    if members.is_empty() { Err(ActError::Unknowable(format!("it has no address from which it could reach {addr}"))) } else { Ok(members) }
}

impl Act for BlockDestination {
    fn preview(&self, hand: &Hand, plan: &ActionPlan) -> Result<Preview, ActError> {
        let (addr, whose) = whom(plan.target())?;
        let sender = find(whose)?;
        hand.able(&known(addr, &sender)?)?;
        let mut steps: Vec<String> = table_step(hand)?.into_iter().collect();
        steps.extend(known(addr, &sender)?.iter().map(|member| member.as_command(plan.lasts())));
        steps.push(format!("closes what is open with {addr} of {}", sender.words()));
        let blast_radius = format!("{} no longer reach {addr}; everybody else does", sender.words());
        let mut undo = undo_steps(plan);
        undo.push("connections that were closed are not opened again".to_owned());
        Ok(Preview { steps, blast_radius, undo, ..Preview::default() })
    }

    fn snapshot(&self, hand: &Hand, _id: ActionId, plan: &ActionPlan) -> Result<Value, ActError> {
        let (addr, whose) = whom(plan.target())?;
        let sender = find(whose)?;
        let ruleset = hand.ruleset()?;
        for member in known(addr, &sender)? {
            if !member.is_shared() && ruleset.find(member)?.is_some() {
                return Err(NftError::Exists.into());
            }
        }
        Ok(json!({ "sender": sender }))
    }

    fn apply(&self, hand: &Hand, action: &Action, mut snapshot: Value) -> Result<Value, ActError> {
        let by_person = action.by.is_person();
        let (addr, _) = whom(&action.target)?;
        hand.may_touch(&action.target, by_person)?;
        hand.put(action, &members(action, &snapshot)?, by_person, begun(action))?;
        let sender = sender_of(&snapshot).ok_or(ActError::Misfit("a snapshot without a sender"))?;
        let cut = open_connections::cut_some(hand, addr, by_person, &sender.owner()?)?;
        if let Some(fields) = snapshot.as_object_mut() {
            fields.insert(CUT.to_owned(), json!(cut));
        }
        Ok(snapshot)
    }

    fn verify(&self, hand: &Hand, action: &Action, snapshot: &Value, now: Timestamp) -> Result<Sight, ActError> {
        let (addr, whose) = whom(&action.target)?;
        Ok(match hand.sees(&members(action, snapshot)?, &format!("{addr} for {whose}"), now)? {
            Err(sight) => sight,
            Ok(left) => {
                let seconds = left.as_secs();
                let mut proof =
                    vec![format!("table inet {TABLE} is as we made it and keeps {whose} from {addr} for {seconds} more seconds")];
                proof.extend(cut_of(snapshot).and_then(|cut| cut.told()));
                Sight::Live(proof)
            }
        })
    }

    fn revert(&self, hand: &Hand, action: &Action, snapshot: &Value) -> Result<Vec<String>, ActError> {
        let mut done = hand.take(&members(action, snapshot)?)?;
        done.extend(cut_of(snapshot).and_then(|cut| cut.farewell()));
        Ok(done)
    }

    fn prolong(&self, hand: &Hand, action: &Action, snapshot: Value, now: Timestamp) -> Result<Value, ActError> {
        hand.put(action, &members(action, &snapshot)?, true, now)?;
        Ok(snapshot)
    }

    fn restore(&self, hand: &Hand, action: &Action, others: &[Action], now: Timestamp) -> Option<Result<(), ActError>> {
        let allowed = hand.may_touch(&action.target, action.by.is_person());
        match allowed.and_then(|()| Ok(hand.ledger.snapshot(action.id)?.unwrap_or_default())) {
            Ok(snapshot) => hand.mend(action, &snapshot, others, now),
            Err(error) => Some(Err(error)),
        }
    }
}
