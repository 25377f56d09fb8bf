//! What holds the court back: the lifeline (nobody overrides it) and the protected list (a person may).

use std::net::IpAddr;
use std::sync::Arc;

use bartizan_config::Policy;
use bartizan_model::{Action, ActionId, ActionKind, ActionPlan, HostText, Lifeline, LifelineReason, Process, ServiceRole, Target};

/// Why the court does not let a thing be done, whoever asks. All texts are safe to show.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It would cut the owner off.
    #[error("{plan} is refused: {held} is {}, and no configuration and no person can override that here", .why.noun())]
    Lifeline {
        /// What was asked for.
        plan: String,
        /// What of it is on the lifeline.
        held: String,
        /// Why that is on it.
        why: LifelineReason,
    },
    /// The owner's policy names the address.
    #[error("{plan} is refused: policy.toml lists {addr} under [protected] addresses; take it off there first")]
    ListedAddress {
        /// What was asked for.
        plan: String,
        /// Which address.
        addr: IpAddr,
    },
    /// Nothing is left to act on.
    #[error("{0} is refused: no such process lives now; look it up again")]
    Gone(String),
    /// The same is in force.
    #[error("{plan} is refused: {by} does the same already; roll it back or let it expire first")]
    AlreadyActive {
        /// What was asked for.
        plan: String,
        /// By which action.
        by: ActionId,
    },
    /// Somebody else holds the address already.
    #[error("{plan} is not needed: it is already held by {by}")]
    HeldElsewhere {
        /// What would have been done.
        plan: String,
        /// By whom.
        by: String,
    },
    /// A person switched this kind off.
    #[error("{plan} is refused: policy.toml switches {kind} off ([actions] off); take it off there and reload")]
    SwitchedOff {
        /// What was asked for.
        plan: String,
        /// Which kind.
        kind: ActionKind,
    },
    /// Too many actions are alive.
    #[error("{plan} is refused: {most} actions are alive and policy.toml ([actions] most_active) allows no more; roll some back first")]
    TooManyActive {
        /// What was asked for.
        plan: String,
        /// How many are allowed.
        most: u32,
    },
}

/// Checks that nobody can override: the lifeline in every spelling and at any depth of the tree.
pub(super) fn lifeline(plan: &ActionPlan, lifeline: &Lifeline, tree: &[Arc<Process>], policy: &Policy) -> Result<(), Refusal> {
    let refuse = |held: String, why| Err(Refusal::Lifeline { plan: plan.to_string(), held, why });
    let target = plan.target();
    if let Some(why) = lifeline.holds(target) {
        return refuse(held(target, lifeline), why);
    }
    let is_listed = |addr: &IpAddr| policy.protected.addresses.iter().any(|listed| listed.to_canonical() == addr.to_canonical());
    if let Some(addr) = target.addresses().iter().copied().find(is_listed) {
        return Err(Refusal::ListedAddress { plan: plan.to_string(), addr });
    }
    if let Some(root) = target.root() {
        for process in tree {
            let agent = is_service(process).filter(|role| *role == ServiceRole::Agent).map(|_| LifelineReason::Agent);
            if let Some(why) = lifeline.holds_process(process.key).or(agent) {
                return refuse(named(process), why);
            }
        }
        if !tree.iter().any(|process| process.key == root) {
            return Err(Refusal::Gone(plan.to_string()));
        }
    }
    Ok(())
}

/// Checks that hold for everybody but are about our own bounds.
pub(super) fn limits(plan: &ActionPlan, active: &[Action], policy: &Policy) -> Result<(), Refusal> {
    if is_off(plan, policy) {
        return Err(Refusal::SwitchedOff { plan: plan.to_string(), kind: plan.kind() });
    }
    if let Some(same) = same_active(plan, active) {
        return Err(Refusal::AlreadyActive { plan: plan.to_string(), by: same.id });
    }
    let alive = active.iter().filter(|action| action.state.is_active()).count();
    if alive >= policy.actions.most_active as usize {
        return Err(Refusal::TooManyActive { plan: plan.to_string(), most: policy.actions.most_active });
    }
    Ok(())
}

/// Whether a person switched this kind of action off.
pub(super) fn is_off(plan: &ActionPlan, policy: &Policy) -> bool {
    policy.actions.off.contains(&plan.kind())
}

/// The living action that does the same already.
pub(super) fn same_active<'a>(plan: &ActionPlan, active: &'a [Action]) -> Option<&'a Action> {
    let is_same = |action: &Action| action.kind == plan.kind() && action.target.is_same(plan.target());
    active.iter().find(|action| action.state.is_active() && (is_same(action) || action.target.shares_a_block(plan.target())))
}

/// The living action that keeps packets from this address away, all or most.
pub(super) fn held_by(addr: IpAddr, active: &[Action]) -> Option<&Action> {
    active.iter().find(|action| {
        let limited = matches!(action.target, Target::Source { addr: limited, .. } if limited.to_canonical() == addr);
        action.state.is_active() && (limited || action.target.keeps_out(addr))
    })
}

/// What of a target is on the lifeline, in a few words.
fn held(target: &Target, lifeline: &Lifeline) -> String {
    match (target, target.address(), target.root()) {
        (Target::Destination { addr, whose }, ..) if lifeline.holds_address(*addr).is_none() => whose.to_string(),
        (Target::Addresses { addrs }, ..) => {
            addrs.iter().find(|addr| lifeline.holds_address(**addr).is_some()).map_or_else(|| target.to_string(), IpAddr::to_string)
        }
        (_, Some(addr), _) => addr.to_string(),
        (_, _, Some(root)) => format!("pid {}", root.pid),
        _ => target.to_string(),
    }
}

/// Why only a person may do this, if so.
pub(super) fn protected(plan: &ActionPlan, tree: &[Arc<Process>], policy: &Policy) -> Option<String> {
    match plan.target() {
        Target::Address { addr, .. } | Target::Source { addr, .. } | Target::Destination { addr, .. } => {
            is_near(*addr).then(|| format!("{addr} is on a private network, where our own services live"))
        }
        Target::Addresses { addrs } => {
            addrs.iter().find(|addr| is_near(**addr)).map(|addr| format!("{addr} is on a private network, where our own services live"))
        }
        Target::ProcessTree { .. } => tree.iter().find_map(|process| why_protected(process, policy)),
        Target::User { name, uid } => Some(protected_account(name, *uid, policy)),
        Target::Container { name, .. } => Some(format!("container {name} serves somebody")),
        Target::Host => None,
        Target::File { path, .. } => Some(format!("{path} controls who can log in")),
    }
}

/// Every account is: those of the system (user id below 1000, login.defs(5) UID_MIN), those that the policy
/// lists, and those of people.
fn protected_account(name: &HostText, uid: u32, policy: &Policy) -> String {
    let listed = policy.protected.users.iter().any(|listed| name == listed.as_str());
    let why = match uid {
        _ if listed => "policy.toml protects it",
        ..1000 => "it belongs to the system",
        _ => "it is a person's",
    };
    format!("account {name}: {why}")
}

fn why_protected(process: &Process, policy: &Policy) -> Option<String> {
    let who = named(process);
    if let Some(role) = is_service(process) {
        if policy.protected.roles.contains(&role) {
            return Some(format!("{who} is a {}, which policy.toml protects", role.noun()));
        }
        // A backdoor that listens is a network service too; a shell or netcat is not what a daemon runs.
        if process.uid < 1000 && !could_be_anything(process, policy) {
            return Some(format!("{who} is itself a {} of the system", role.noun()));
        }
    }
    if policy.protected.exes.iter().any(|exe| process.exe == **exe) {
        return Some(format!("{who} runs {}, which policy.toml protects", process.exe));
    }
    if let Some(user) = process.user.as_ref().filter(|user| policy.protected.users.iter().any(|name| **user == **name)) {
        return Some(format!("{who} runs as {user}, whom policy.toml protects"));
    }
    process.container.as_ref().map(|_| format!("{who} runs in a container"))
}

/// What kind of service the process is itself, not by descent.
pub(super) fn is_service(process: &Process) -> Option<ServiceRole> {
    process.lineage.roots.iter().find(|root| root.key == process.key && root.exe == process.exe).map(|root| root.role)
}

fn could_be_anything(process: &Process, policy: &Policy) -> bool {
    let name = process.exe.basename();
    let bare = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    policy.roles.shells.iter().chain(&policy.roles.interpreters).any(|known| *known == name || known == bare)
}

/// Private, shared and link-local networks (RFC 1918, 6598, 3927, 4193, 4291): blocking there may cut our own parts apart.
fn is_near(addr: IpAddr) -> bool {
    match addr.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private() || v4.is_link_local() || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// `sh (pid 900)`.
pub(super) fn named(process: &Process) -> String {
    format!("{} (pid {})", super::warrant::sentence(&process.name(), 60), process.pid)
}
