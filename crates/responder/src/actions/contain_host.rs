//! Containment mode: outbound only to what is kept, inbound limited, new SSH logins paused; the kernel itself ends each
//! step of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use chrono::Duration;
use serde::{Deserialize, Serialize};

use super::block_address::table_step;
use super::{Act, ActError, ActionContext, ObservedState};
use crate::ruleset::{Timed, begun};
use bartizan_enforce::nft::{Element, Member, NftError, TABLE, conntrack};
use bartizan_guard::ssh_ports;
use bartizan_model::{Action, ActionId, ActionPlan, Lifeline, Preview, Protocol, Target, Timestamp};
use bartizan_sys::package_mirrors::{self, Mirrors};
use bartizan_sys::sock_diag;

/// TCP and UDP as the IP header numbers them.
const TCP: u8 = 6;
const UDP: u8 = 17;
/// How long a UDP peer from before may be answered; each packet from it begins the time anew.
const ANSWERED: std::time::Duration = std::time::Duration::from_secs(120);
/// The most UDP peers from before.
const MAX_PEERS: usize = 8192;
/// The most addresses that are kept.
const MAX_KEPT: usize = 8192;

pub(super) struct ContainHost;

/// What was settled before the change; part of the snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bounds {
    /// Who is let through.
    keep: BTreeSet<IpAddr>,
    /// On which ports nobody else logs in.
    ssh: BTreeSet<u16>,
    /// New TCP connections a second, and UDP packets a second.
    connections: u32,
    datagrams: u32,
    /// Between two steps of the release, in milliseconds; at most a quarter of the whole.
    step: u64,
}

/// How long a person who asks what would happen waits for the first look-up of package servers.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

/// What is known of package servers, if they are let through. Nothing is looked up here: a change waits for no name server.
pub(super) fn mirrors(context: &ActionContext) -> Option<Mirrors> {
    context.policy().containment.package_mirrors.then(package_mirrors::known)
}

/// Kept addresses with the reason why, for people.
pub(super) fn kept(lifeline: &Lifeline, context: &ActionContext, mirrors: Option<Mirrors>) -> (BTreeMap<IpAddr, String>, Vec<String>) {
    let policy = context.policy();
    let mut keep: BTreeMap<IpAddr, String> = BTreeMap::new();
    let mut notes = Vec::new();
    let mut add = |addr: IpAddr, why: String| {
        let addr = addr.to_canonical();
        if !addr.is_loopback() && !addr.is_unspecified() {
            keep.entry(addr).or_insert(why);
        }
    };
    lifeline.addresses.iter().for_each(|(addr, why)| add(*addr, why.noun().to_owned()));
    policy.containment.allow.iter().for_each(|addr| add(*addr, "allowed by the policy".to_owned()));
    if let Some(mirrors) = mirrors {
        for (name, addresses) in &mirrors.found {
            addresses.iter().for_each(|addr| add(*addr, format!("packages from {name}")));
        }
        notes.extend(mirrors.unresolved.iter().map(|line| format!("package server not kept: {}", line.escape_debug())));
    }
    (keep, notes)
}

fn settle(context: &ActionContext, keep: impl IntoIterator<Item = IpAddr>) -> Bounds {
    let policy = context.policy();
    let containment = &policy.containment;
    Bounds {
        keep: keep.into_iter().take(MAX_KEPT).collect(),
        ssh: ssh_ports::open_or_configured(),
        connections: containment.connections_per_second,
        datagrams: containment.datagrams_per_second,
        step: u64::try_from(containment.release_step.as_millis()).unwrap_or(u64::MAX),
    }
}

/// Whether the host may still talk with this address.
pub(super) fn keeps(bounds: Option<&Bounds>, addr: IpAddr) -> bool {
    bounds.is_some_and(|bounds| bounds.keep.contains(&addr.to_canonical()))
}

fn whole_host(target: &Target) -> Result<(), ActError> {
    if *target == Target::Host { Ok(()) } else { Err(ActError::Misfit("what is no host")) }
}

/// The ends of the steps: SSH logins come back first, then inbound, then all.
fn ends(action: &Action, step: u64) -> [Timestamp; 3] {
    let end = action.ends_at();
    let step = step_of(end - action.planned_at, step);
    [end - step * 2, end - step, end]
}

/// Between two steps of the release of a containment that lasts so long: at most a quarter of it.
fn step_of(lasts: Duration, step: u64) -> Duration {
    Duration::milliseconds(i64::try_from(step).unwrap_or(i64::MAX / 2)).min(lasts / 4).max(Duration::zero())
}

/// UDP peers of now: connected sockets, and what conntrack remembers where it runs.
fn peers() -> Vec<Element> {
    let sockets = sock_diag::dump().map(|dump| dump.sockets).unwrap_or_default();
    let connected = sockets.iter().filter(|socket| socket.flow.proto == Protocol::Udp).filter_map(|socket| {
        let flow = &socket.flow;
        Some((flow.dst?, flow.dport?, flow.sport))
    });
    // A kernel that does not tell knows of none that we could.
    let remembered = conntrack::udp_peers(MAX_PEERS).unwrap_or_default();
    let all: BTreeSet<_> = connected.chain(remembered).filter(|(addr, ..)| !addr.is_loopback()).take(MAX_PEERS).collect();
    all.into_iter().map(|(addr, theirs, ours)| Element { member: Member::Answer(addr, theirs, ours), lasts: ANSWERED }).collect()
}

impl ContainHost {
    fn steps(context: &ActionContext, plan: &ActionPlan, mirrors: Option<Mirrors>) -> Result<Preview, ActError> {
        whole_host(plan.target())?;
        context.able(&[Member::ContainOut(false)])?;
        let (keep, notes) = kept(&(context.lifeline)(), context, mirrors);
        let bounds = settle(context, keep.keys().copied());
        let ports = bounds.ssh.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let mut steps: Vec<String> = table_step(context)?.into_iter().collect();
        // The kernel's own timeouts end with the time to confirm; confirming moves them.
        let given = plan.lasts().min(context.policy().actions.confirm_within);
        let step = step_of(Duration::from_std(given).unwrap_or_default(), bounds.step).to_std().unwrap_or_default();
        steps.extend([false, true].map(|six| Member::ContainOut(six).as_command(given)));
        let inbound = [Member::ContainIn(TCP, bounds.connections), Member::ContainIn(UDP, bounds.datagrams)];
        steps.extend(inbound.map(|member| member.as_command(given.saturating_sub(step))));
        steps.extend(bounds.ssh.iter().map(|port| Member::ContainSsh(*port).as_command(given.saturating_sub(step * 2))));
        if given < plan.lasts() {
            steps.push(format!("once confirmed: the same timeouts for {} in all", humantime::format_duration(plan.lasts())));
        }
        steps.extend(keep.iter().map(|(addr, why)| format!("kept: {addr} ({why})")));
        steps.extend(notes);
        let blast_radius = format!(
            "new outbound TCP connections and UDP packets to anybody but the {} kept addresses are dropped, of this host and of what it forwards; new inbound TCP connections pass {} a second, UDP packets {} a second; new SSH logins (port {ports}) only from the kept addresses. What is established, answers by UDP, ICMP, loopback and tunnels that are neither TCP nor UDP pass",
            keep.len(),
            bounds.connections,
            bounds.datagrams
        );
        let step = humantime::format_duration(step);
        let undo = vec![
            format!("nft delete element inet {TABLE} (all that the steps added); with the last element: nft delete table inet {TABLE}"),
            format!(
                "the kernel does it by itself: SSH logins two steps of {step} before the end, inbound one step, all after {}",
                humantime::format_duration(given)
            ),
        ];
        Ok(Preview { steps, blast_radius, undo, ..Preview::default() })
    }
}

impl Act for ContainHost {
    type Snapshot = Option<Bounds>;

    fn unrecorded() -> Option<Option<Bounds>> {
        Some(None)
    }

    /// Nothing before its snapshot is known.
    fn members(&self, action: &Action, snapshot: &Option<Bounds>) -> Result<Vec<Timed>, ActError> {
        whole_host(&action.target)?;
        let Some(bounds) = snapshot else { return Ok(Vec::new()) };
        let [ssh, inbound, all] = ends(action, bounds.step);
        let mut members: Vec<Timed> = [false, true].map(|six| (Member::ContainOut(six), all)).to_vec();
        members.extend([(Member::ContainIn(TCP, bounds.connections), inbound), (Member::ContainIn(UDP, bounds.datagrams), inbound)]);
        members.extend(bounds.ssh.iter().map(|port| (Member::ContainSsh(*port), ssh)));
        // Whoever is let through is let through a moment longer than others are not.
        members.extend(bounds.keep.iter().map(|addr| (Member::Keep(*addr), all + Duration::seconds(1))));
        Ok(members)
    }

    fn preview(&self, context: &ActionContext, plan: &ActionPlan) -> Result<Preview, ActError> {
        let mirrors = context.policy().containment.package_mirrors.then(|| package_mirrors::known_within(PATIENCE));
        Self::steps(context, plan, mirrors)
    }

    fn outline(&self, context: &ActionContext, plan: &ActionPlan) -> Result<Preview, ActError> {
        Self::steps(context, plan, mirrors(context))
    }

    fn snapshot(&self, context: &ActionContext, _id: ActionId, plan: &ActionPlan) -> Result<Self::Snapshot, ActError> {
        whole_host(plan.target())?;
        if context.ruleset()?.find(Member::ContainOut(false))?.is_some() {
            return Err(NftError::Exists.into());
        }
        let (keep, _) = kept(&(context.lifeline)(), context, mirrors(context));
        Ok(Some(settle(context, keep.into_keys())))
    }

    fn apply(&self, context: &ActionContext, action: &Action, snapshot: Self::Snapshot) -> Result<Self::Snapshot, ActError> {
        let by_person = action.by.is_person();
        context.may_touch(&action.target, by_person)?;
        context.put_with(action, &Act::members(self, action, &snapshot)?, peers(), by_person, begun(action))?;
        Ok(snapshot)
    }

    fn verify(
        &self,
        context: &ActionContext,
        action: &Action,
        snapshot: &Self::Snapshot,
        now: Timestamp,
    ) -> Result<ObservedState, ActError> {
        if let Err(sight) = context.sees(&Act::members(self, action, snapshot)?, "containment", now)? {
            return Ok(sight);
        }
        let bounds = snapshot.as_ref().ok_or(ActError::Misfit("a snapshot without bounds"))?;
        let [ssh, inbound, all] = ends(action, bounds.step);
        if all > now + Duration::seconds(1) {
            let ruleset = context.ruleset()?;
            for (addr, why) in (context.lifeline)().addresses {
                let inside = addr.to_canonical().is_loopback() || addr.is_unspecified();
                if !inside && ruleset.find(Member::Keep(addr))?.is_none() {
                    return Ok(ObservedState::Outgrown(format!("{addr} is {} by now and not let through yet", why.noun())));
                }
            }
        }
        if ssh > now + Duration::seconds(1) {
            let ruleset = context.ruleset()?;
            for port in ssh_ports::open().difference(&bounds.ssh) {
                if ruleset.find(Member::ContainSsh(*port))?.is_none() {
                    return Ok(ObservedState::Outgrown(format!("SSH is served on port {port} by now, where logins are not paused yet")));
                }
            }
        }
        let seconds = |end: Timestamp| (end - now).num_seconds().max(0);
        let mut proof = vec![format!(
            "table inet {TABLE} is as we made it: outbound only to {} addresses for {} more seconds",
            bounds.keep.len(),
            seconds(all)
        )];
        if inbound > now {
            proof.push(format!("inbound limited for {}", seconds(inbound)));
        }
        if ssh > now {
            proof.push(format!("new SSH logins paused for {}", seconds(ssh)));
        }
        Ok(ObservedState::Live(proof))
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

    /// Whoever came onto the lifeline since is let through too, and logins are paused on ports that SSH has taken since.
    fn restore(&self, context: &ActionContext, action: &Action, others: &[Action], now: Timestamp) -> Option<Result<(), ActError>> {
        let widened = || {
            context.may_touch(&action.target, action.by.is_person())?;
            let mut bounds = context.recorded::<Self>(action)?.ok_or(ActError::Misfit("a snapshot without bounds"))?;
            bounds.keep.extend((context.lifeline)().addresses.iter().map(|(addr, _)| addr.to_canonical()));
            bounds.ssh.extend(ssh_ports::open());
            let snapshot = Some(bounds);
            context.record::<Self>(action, &snapshot)?;
            Ok(snapshot)
        };
        match widened() {
            Ok(snapshot) => context.mend(action, Act::members(self, action, &snapshot), others, now),
            Err(error) => Some(Err(error)),
        }
    }
}
