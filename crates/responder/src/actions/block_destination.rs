//! Drop what one user, cgroup or container sends to one address, and close what is open; the kernel itself ends it.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::block_address::{table_step, undo_steps};
use super::open_connections::{self, Cut, Owner};
use super::{Act, ActError, ActionContext, ObservedState};
use crate::ruleset::{Timed, begun};
use bartizan_enforce::accounts;
use bartizan_enforce::nft::{Member, NftError, TABLE};
use bartizan_model::{Action, ActionId, ActionPlan, HostText, Preview, Target, Timestamp, Whose};
use bartizan_sys::{cgroup_number, container_addresses};

pub(super) struct BlockDestination;

/// What it needs to be undone.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Snapshot {
    #[serde(default)]
    sender: Option<Sender>,
    /// What became of the open connections.
    #[serde(default)]
    connections: Option<Cut>,
}

/// How the kernel tells the sender, found out before the change.
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

fn known(addr: IpAddr, sender: &Sender) -> Result<Vec<Member>, ActError> {
    let members = sender.members(addr);
    if members.is_empty() { Err(ActError::Unknowable(format!("it has no address from which it could reach {addr}"))) } else { Ok(members) }
}

impl Act for BlockDestination {
    type Snapshot = Snapshot;

    fn unrecorded() -> Option<Snapshot> {
        Some(Snapshot::default())
    }

    /// Nothing before its snapshot is known.
    fn members(&self, action: &Action, snapshot: &Snapshot) -> Result<Vec<Timed>, ActError> {
        let (addr, _) = whom(&action.target)?;
        let members = snapshot.sender.as_ref().map(|sender| sender.members(addr)).unwrap_or_default();
        Ok(members.into_iter().map(|member| (member, action.ends_at())).collect())
    }

    fn preview(&self, context: &ActionContext, plan: &ActionPlan) -> Result<Preview, ActError> {
        let (addr, whose) = whom(plan.target())?;
        let sender = find(whose)?;
        context.able(&known(addr, &sender)?)?;
        let mut steps: Vec<String> = table_step(context)?.into_iter().collect();
        steps.extend(known(addr, &sender)?.iter().map(|member| member.as_command(plan.lasts())));
        steps.push(format!("closes what is open with {addr} of {}", sender.words()));
        let blast_radius = format!("{} no longer reach {addr}; everybody else does", sender.words());
        let mut undo = undo_steps(plan);
        undo.push("connections that were closed are not opened again".to_owned());
        Ok(Preview { steps, blast_radius, undo, ..Preview::default() })
    }

    fn snapshot(&self, context: &ActionContext, _id: ActionId, plan: &ActionPlan) -> Result<Self::Snapshot, ActError> {
        let (addr, whose) = whom(plan.target())?;
        let sender = find(whose)?;
        let ruleset = context.ruleset()?;
        for member in known(addr, &sender)? {
            if !member.is_shared() && ruleset.find(member)?.is_some() {
                return Err(NftError::Exists.into());
            }
        }
        Ok(Snapshot { sender: Some(sender), connections: None })
    }

    fn apply(&self, context: &ActionContext, action: &Action, mut snapshot: Self::Snapshot) -> Result<Self::Snapshot, ActError> {
        let by_person = action.by.is_person();
        let (addr, _) = whom(&action.target)?;
        context.may_touch(&action.target, by_person)?;
        context.put(action, &Act::members(self, action, &snapshot)?, by_person, begun(action))?;
        let sender = snapshot.sender.as_ref().ok_or(ActError::Misfit("a snapshot without a sender"))?;
        let cut = open_connections::cut_some(context, addr, by_person, &sender.owner()?)?;
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
        let (addr, whose) = whom(&action.target)?;
        Ok(match context.sees(&Act::members(self, action, snapshot)?, &format!("{addr} for {whose}"), now)? {
            Err(sight) => sight,
            Ok(left) => {
                let seconds = left.as_secs();
                let mut proof =
                    vec![format!("table inet {TABLE} is as we made it and keeps {whose} from {addr} for {seconds} more seconds")];
                proof.extend(snapshot.connections.as_ref().and_then(Cut::told));
                ObservedState::Live(proof)
            }
        })
    }

    fn revert(&self, context: &ActionContext, action: &Action, snapshot: &Self::Snapshot) -> Result<Vec<String>, ActError> {
        let mut done = context.take(&Act::members(self, action, snapshot)?)?;
        done.extend(snapshot.connections.as_ref().and_then(Cut::farewell));
        Ok(done)
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
        let allowed = context.may_touch(&action.target, action.by.is_person());
        match allowed.and_then(|()| context.recorded::<Self>(action)) {
            Ok(snapshot) => context.mend(action, Act::members(self, action, &snapshot), others, now),
            Err(error) => Some(Err(error)),
        }
    }
}
