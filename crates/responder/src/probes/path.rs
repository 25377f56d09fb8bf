//! Whether an action can have harmed a sign: only through what it touches. Load, strangers and chance have no such path, so
//! whoever brings them about undoes nothing.

use std::net::IpAddr;

use serde_json::Value;

use crate::actions::{holds_process, keeps_address, took_addresses};
use bartizan_model::{Action, Probe, ProbeKind, Target};

/// How this action reaches this sign, in words; none: it does not. `may_carry`: whether the lifeline could not say that nobody
/// comes by the action's address.
pub(super) fn path(action: &Action, snapshot: &Value, sign: &Probe, may_carry: bool) -> Option<String> {
    let under = || under(sign).filter(|_| may_carry);
    match &action.target {
        Target::Address { addr, .. } | Target::Source { addr, .. } => over(sign, |way| way == addr.to_canonical()).or_else(under),
        Target::Addresses { addrs } => over(sign, |way| addrs.contains(&way)).or_else(under),
        // What asks the other signs is the agent itself, whose packets no such action drops.
        Target::Destination { addr, .. } if sign.kind == ProbeKind::OperatorConnection => over(sign, |way| way == addr.to_canonical()),
        Target::Destination { .. } => None,
        // New connections alone, and only of addresses that it does not let through: an open session goes on.
        Target::Host if sign.kind == ProbeKind::SshServer => None,
        Target::Host => over(sign, |way| !way.is_loopback() && !keeps_address(snapshot, way)).or_else(under),
        Target::ProcessTree { .. } => held(snapshot, sign),
        Target::Container { .. } => over(sign, |way| took_addresses(snapshot).contains(&way)),
        // Its own file: sshd reads those that decide who gets in at each connection.
        Target::File { path, .. } if sign.kind == ProbeKind::SshServer => Some(format!("it reads {}", path.escaped())),
        Target::File { .. } => None,
        // Sessions of the account end on purpose; services that run under it are left alone.
        Target::User { .. } => None,
    }
}

/// An address over which the sign is reached and that the action cuts off.
fn over(sign: &Probe, cut: impl Fn(IpAddr) -> bool) -> Option<String> {
    sign.ways.iter().find(|way| cut(**way)).map(|way| format!("it is reached over {way}"))
}

/// A session by a tunnel answered until then, and falls silent when packets of others are dropped: what lies under the tunnel
/// is not known, and only who carries it can silence it.
fn under(sign: &Probe) -> Option<String> {
    sign.tunnel.as_ref().map(|tunnel| format!("it comes through {tunnel}, whose own way may have been cut"))
}

/// Everybody who serves it is held: another who shares the socket would go on serving.
pub(super) fn held(snapshot: &Value, sign: &Probe) -> Option<String> {
    let all = !sign.servers.is_empty() && sign.servers.iter().all(|server| holds_process(snapshot, *server));
    sign.servers.first().filter(|_| all).map(|server| format!("its process {} is held", server.pid))
}
