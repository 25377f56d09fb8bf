//! A shell itself opens a connection: shells start programs that talk, they do not talk.

use crate::model::{Entity, Event, EventKind, Family, Protocol, Severity, Stage, Tier, is_public};

use super::kinship::{by_container_runtime, by_package_manager, by_person, grown_from, named, subject};
use super::{Detector, Info, Opinion, Sight};

static INFO: Info = Info {
    name: "shell_connects",
    title: "Shell opens a connection by itself",
    technique: &["T1059.004", "T1095"],
    family: Family::Outbound,
    stage: Stage::Exfiltration,
    tier: Tier::Stable,
    severity: Severity::High,
    confidence: 0.9,
    meaning: "A shell opened a network connection itself (bash's /dev/tcp, zsh's ztcp): the shortest reverse shell there is.",
    false_positives: "Scripts that wait for a port (wait-for-it) use /dev/tcp towards their own network; shells that look users up over LDAP.",
    quiet: "Use a real client (nc -z, curl) in scripts; loopback is never counted.",
};

/// DNS and LDAP: name and user look-ups happen inside the shell through the C library.
const LOOKUPS: [u16; 4] = [53, 853, 389, 636];

pub(super) struct ShellConnects;

impl Detector for ShellConnects {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn observe(&mut self, event: &Event, sight: &Sight<'_>) -> Option<Opinion> {
        let (EventKind::Connect { net }, Some(process)) = (&event.kind, event.process.as_deref()) else {
            return None;
        };
        let (dst, dport) = (net.dst?.to_canonical(), net.dport?);
        if !sight.is_shell(process) || dst.is_loopback() || dst.is_unspecified() || dport == 0 {
            return None;
        }
        if LOOKUPS.contains(&dport) && (net.proto == Protocol::Udp || !is_public(dst)) {
            return None;
        }
        let opinion = Opinion::new(format!("{} connected to {}", named(process), std::net::SocketAddr::from((dst, dport))));
        let near = dst_is_near(dst);
        let opinion = if by_package_manager(process) {
            opinion.rated(Severity::Low, 0.3)
        } else if grown_from(process).is_some() {
            opinion.rated(Severity::Critical, if near { 0.8 } else { 0.95 })
        } else if by_container_runtime(process) && near {
            opinion.rated(Severity::Low, 0.25)
        } else if by_person(process) {
            opinion.rated(Severity::Medium, if near { 0.3 } else { 0.6 })
        } else if near {
            opinion.rated(Severity::Medium, 0.5)
        } else {
            opinion
        };
        Some(opinion.about(Entity::Address(dst)).on(subject(process)))
    }
}

/// A private or link-local network (RFC 1918, 3927, 4193): our own parts usually live there.
fn dst_is_near(dst: std::net::IpAddr) -> bool {
    match dst {
        std::net::IpAddr::V4(v4) => v4.is_private() || v4.is_link_local(),
        std::net::IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}
