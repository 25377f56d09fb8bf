//! What the agent does not do without a person whatever the evidence: by kind and by share of the traffic.

use std::net::IpAddr;

use bartizan_config::Policy;
use bartizan_model::{ActionPlan, Confidence, Lifeline, Posture, Target};

/// Below so many connections a share says nothing: on an idle host the intruder's own is half of them.
const FEW: u64 = 16;

/// What of the case bears on it.
pub(super) struct Bearing<'a> {
    pub(super) posture: Posture,
    /// What stable detectors alone prove.
    pub(super) score: Confidence,
    pub(super) lifeline: &'a Lifeline,
    /// Established connections by remote address.
    pub(super) connections: &'a [(IpAddr, u32)],
}

/// Why this kind of thing is not done without a person; `None` when its kind stands in nobody's way.
pub(super) fn held(plan: &ActionPlan, bearing: &Bearing<'_>, policy: &Policy) -> Option<String> {
    if let Target::User { uid, .. } = plan.target()
        && bearing.lifeline.logged_in.iter().any(|(known, _)| known == uid)
    {
        return Some("the account is logged in now, and only a person ends a person's session".to_owned());
    }
    if let Some(why) = plan.kind().spec().only_by_a_person {
        return Some(why.to_owned());
    }
    match plan.target() {
        Target::Address { addr, .. } | Target::Source { addr, .. } | Target::Destination { addr, .. } => {
            carries_most(addr.to_canonical(), bearing.connections)
        }
        Target::Addresses { addrs } => addrs.iter().find_map(|addr| carries_most(*addr, bearing.connections)),
        Target::Host => closes_host(bearing, policy),
        Target::ProcessTree { .. } | Target::User { .. } | Target::Container { .. } | Target::File { .. } => None,
    }
}

fn closes_host(bearing: &Bearing<'_>, policy: &Policy) -> Option<String> {
    let needed = policy.posture.lockdown;
    (bearing.posture < Posture::Lockdown || bearing.score.get() < needed)
        .then(|| format!("stable detectors reach confidence {}; the host is contained without a person from {needed:.2}", bearing.score))
}

/// A peer that more than half of the traffic depends on is rather a proxy or a balancer than one intruder.
pub(super) fn carries_most(addr: IpAddr, connections: &[(IpAddr, u32)]) -> Option<String> {
    let outside = connections.iter().filter(|(peer, _)| !peer.to_canonical().is_loopback());
    let all: u64 = outside.clone().map(|(_, count)| u64::from(*count)).sum();
    let own: u64 = outside.filter(|(peer, _)| peer.to_canonical() == addr).map(|(_, count)| u64::from(*count)).sum();
    (own >= FEW && own * 2 > all).then(|| format!("{addr} carries {own} of the {all} connections of this host"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_carries_more_than_half_is_not_cut_off_alone() {
        let peer: IpAddr = "203.0.113.9".parse().unwrap();
        let others: IpAddr = "198.51.100.1".parse().unwrap();
        let home: IpAddr = "127.0.0.1".parse().unwrap();
        for (connections, is_held) in [
            (vec![(peer, 51), (others, 50)], true),
            (vec![(peer, 50), (others, 50)], false),
            (vec![(peer, 15)], false),
            (vec![(peer, 16)], true),
            (vec![("::ffff:203.0.113.9".parse().unwrap(), 40), (home, 900)], true),
            (vec![], false),
        ] {
            assert_eq!(carries_most(peer, &connections).is_some(), is_held, "{connections:?}");
        }
    }
}
