//! The owner's own access: what no action may ever cut, whatever the configuration says.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::ProcessKey;

/// Why something belongs to the lifeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LifelineReason {
    /// The far end of a live SSH session.
    SshSession,
    /// A source from which somebody logged in lately (utmp, wtmp) or a console is attached (SSH_CONNECTION).
    RecentLogin,
    /// The default gateway.
    Gateway,
    /// A name server of this host.
    Resolver,
    /// An address of this host.
    OwnAddress,
    /// Loopback, unspecified, multicast or broadcast: never a stranger.
    NotAStranger,
    /// init, or a kernel thread.
    Init,
    /// The SSH server, or a session that a person opened through it.
    LoginPath,
    /// Bartizan, its console, or what it runs under.
    Agent,
}

impl LifelineReason {
    /// In a sentence: "the far end of a live SSH session".
    pub fn noun(self) -> &'static str {
        match self {
            Self::SshSession => "the far end of a live SSH session",
            Self::RecentLogin => "where somebody lately logged in from",
            Self::Gateway => "the default gateway",
            Self::Resolver => "a name server of this host",
            Self::OwnAddress => "an address of this host",
            Self::NotAStranger => "loopback, multicast or no single host",
            Self::Init => "init or a kernel thread",
            Self::LoginPath => "the SSH server or a login session",
            Self::Agent => "Bartizan or what it runs under",
        }
    }
}

/// Everything on the owner's path at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Lifeline {
    /// Addresses that must stay reachable. IPv4-mapped forms are stored as IPv4.
    pub addresses: Vec<(IpAddr, LifelineReason)>,
    /// Processes that must keep running.
    pub processes: Vec<(ProcessKey, LifelineReason)>,
    /// What could not be read, one line each; while anything is listed, the lifeline counts as incomplete and
    /// nothing is cut without a person.
    pub unknown: Vec<String>,
}

impl Lifeline {
    /// Why this address must not be cut, if so. Checks the shape of the address even when nothing is known.
    pub fn holds_address(&self, addr: IpAddr) -> Option<LifelineReason> {
        let addr = addr.to_canonical();
        let no_stranger = addr.is_loopback()
            || addr.is_unspecified()
            || addr.is_multicast()
            || matches!(addr, IpAddr::V4(v4) if v4.is_broadcast() || v4.octets()[0] == 0);
        if no_stranger {
            return Some(LifelineReason::NotAStranger);
        }
        self.addresses.iter().find(|(held, _)| held.to_canonical() == addr).map(|(_, why)| *why)
    }

    /// Why this process must not be stopped, if so.
    pub fn holds_process(&self, key: ProcessKey) -> Option<LifelineReason> {
        if key.pid <= 1 {
            return Some(LifelineReason::Init);
        }
        self.processes.iter().find(|(held, _)| *held == key).map(|(_, why)| *why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_held_in_every_spelling() {
        let lifeline = Lifeline { addresses: vec![("203.0.113.9".parse().unwrap(), LifelineReason::SshSession)], ..Lifeline::default() };
        assert_eq!(lifeline.holds_address("::ffff:203.0.113.9".parse().unwrap()), Some(LifelineReason::SshSession));
        assert_eq!(lifeline.holds_address("127.8.8.8".parse().unwrap()), Some(LifelineReason::NotAStranger));
        assert_eq!(lifeline.holds_address("::ffff:127.0.0.1".parse().unwrap()), Some(LifelineReason::NotAStranger));
        assert_eq!(lifeline.holds_address("203.0.113.10".parse().unwrap()), None);
    }
}
