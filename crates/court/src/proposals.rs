//! Everything that could be done about a case, narrowest first.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::court::Case;
use super::tree::tops;
use bartizan_config::Policy;
use bartizan_model::{
    Action, ActionKind, ActionPlan, Direction, Family, HostText, Isolation, Posture, Process, ServiceRole, Stage, Target,
};

/// Containers, and accounts, proposed at most for one case.
const MAX_OF_EACH: usize = 2;
/// A login user id that was never set (audit: AUDIT_UID_UNSET).
const UNSET: u32 = u32::MAX;
/// The first user id of people (login.defs(5), UID_MIN).
const FIRST_PERSON: u32 = 1000;

/// A plan, and for a process tree everything that it would hold.
pub(super) type Proposal = (ActionPlan, Vec<Arc<Process>>);

/// Freeze what grew below the service; slow down or cut off its addresses; cut the container off; disable the account
/// that was used; close the host.
pub(super) fn of(case: &Case<'_>, policy: &Policy) -> Vec<Proposal> {
    let limits = &policy.actions;
    let mut proposals = Vec::new();
    if let Some(subject) = case.incident.subject {
        for (root, tree) in tops(subject, case.tree) {
            let target = Target::ProcessTree { root: root.key, exe: root.exe.clone() };
            proposals.extend(ActionPlan::new(ActionKind::FreezeTree, target, limits.freeze_for).ok().map(|plan| (plan, tree)));
        }
    }
    let mut add = |kind: ActionKind, target: Target, lasts: Duration| {
        proposals.extend(ActionPlan::new(kind, target, lasts).ok().map(|plan| (plan, Vec::new())));
    };
    let looking = is_only_looking(case);
    for addr in addresses(case) {
        if looking && case.proof.sources.iter().any(|source| source.addr == addr) {
            // Held by what a daemon counted (`court/holds`).
            continue;
        }
        if looking {
            let packets_per_second = limits.limit_packets;
            add(ActionKind::LimitSource, Target::Source { addr, packets_per_second }, limits.limit_for);
            if case.incident.posture > Posture::Contain || is_limited(addr, case.active) {
                add(ActionKind::BlockAddress, Target::Address { addr, direction: Direction::In }, limits.block_for);
            }
        } else {
            for direction in [Direction::Out, Direction::In] {
                add(ActionKind::BlockAddress, Target::Address { addr, direction }, limits.block_for);
            }
        }
    }
    for (id, name) in containers(case) {
        let target = Target::Container { id, name, isolation: Isolation::Network };
        add(ActionKind::IsolateContainer, target, limits.isolate_for);
    }
    for (uid, name) in accounts(case) {
        add(ActionKind::DisableUser, Target::User { name, uid }, limits.disable_for);
    }
    if case.incident.posture >= Posture::Lockdown {
        add(ActionKind::ContainHost, Target::Host, limits.contain_for);
    }
    proposals
}

/// Each once, in its one canonical form.
fn addresses(case: &Case<'_>) -> Vec<IpAddr> {
    let mut all: Vec<IpAddr> = Vec::new();
    for addr in case.incident.addresses.iter().map(IpAddr::to_canonical) {
        if !all.contains(&addr) {
            all.push(addr);
        }
    }
    all
}

/// Somebody knocks and looks around, and nothing of theirs runs here: to be slowed down before it is cut off.
fn is_only_looking(case: &Case<'_>) -> bool {
    let incident = case.incident;
    let looking = |stage: &Stage| matches!(stage, Stage::Recon | Stage::InitialAccess);
    let outside = |family: &Family| matches!(family, Family::Auth | Family::Anomaly | Family::Tools);
    case.tree.is_empty() && !incident.stages.is_empty() && incident.stages.iter().all(looking) && incident.families.iter().all(outside)
}

fn is_limited(addr: IpAddr, active: &[Action]) -> bool {
    active.iter().any(|action| action.state.is_active() && action.kind == ActionKind::LimitSource && action.target.address() == Some(addr))
}

/// Containers in which the tree runs, by id, with their names.
fn containers(case: &Case<'_>) -> Vec<(String, HostText)> {
    let mut found: Vec<(String, HostText)> = Vec::new();
    for process in case.tree {
        let Some(id) = process.container.as_ref().filter(|id| !found.iter().any(|(known, _)| known == *id)) else { continue };
        if found.len() >= MAX_OF_EACH {
            break;
        }
        found.push((id.clone(), process.container_name.clone().unwrap_or_else(|| HostText::from(id.as_str()))));
    }
    found
}

/// Accounts of people who came in from elsewhere and to whom the tree belongs, whatever they became since.
fn accounts(case: &Case<'_>) -> Vec<(u32, HostText)> {
    let mut found: Vec<(u32, HostText)> = Vec::new();
    let from_elsewhere = |process: &&Arc<Process>| {
        [ServiceRole::SshServer, ServiceRole::LoginSession].into_iter().any(|role| process.lineage.root(role).is_some())
    };
    for process in case.tree.iter().filter(from_elsewhere) {
        let uid = process.loginuid.filter(|uid| *uid != UNSET).unwrap_or(process.uid);
        if uid < FIRST_PERSON || uid == UNSET || found.iter().any(|(known, _)| *known == uid) {
            continue;
        }
        let in_tree = || case.tree.iter().find(|other| other.uid == uid).and_then(|other| other.user.clone());
        let logged_in = || case.lifeline.logged_in.iter().find(|(known, _)| *known == uid).map(|(_, name)| name.clone());
        // Without a name nothing can be disabled.
        let Some(name) = in_tree().or_else(logged_in) else { continue };
        if found.len() >= MAX_OF_EACH {
            break;
        }
        found.push((uid, name));
    }
    found
}
