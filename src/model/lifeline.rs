//! The owner's own access: what no action may ever cut, whatever the configuration says.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{ProcessKey, Target};

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
    /// A time server of this host.
    TimeServer,
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
    /// Root, or the account of whoever sits at a console or asks.
    OwnAccount,
    /// The last account that can log in and become root.
    LastAdministrator,
    /// The container in which the guard, its console or the SSH server runs.
    OwnContainer,
}

impl LifelineReason {
    /// In a sentence: "the far end of a live SSH session".
    pub fn noun(self) -> &'static str {
        match self {
            Self::SshSession => "the far end of a live SSH session",
            Self::RecentLogin => "where somebody lately logged in from",
            Self::Gateway => "the default gateway",
            Self::Resolver => "a name server of this host",
            Self::TimeServer => "a time server of this host",
            Self::OwnAddress => "an address of this host",
            Self::NotAStranger => "loopback, multicast or no single host",
            Self::Init => "init or a kernel thread",
            Self::LoginPath => "the SSH server or a login session",
            Self::Agent => "Bartizan or what it runs under",
            Self::OwnAccount => "root, or the account from which the guard is used",
            Self::LastAdministrator => "the last account that can log in and become root",
            Self::OwnContainer => "the container in which the guard, its console or the SSH server runs",
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
    /// Accounts, by user id, that must be able to log in.
    #[serde(default)]
    pub accounts: Vec<(u32, LifelineReason)>,
    /// Containers, by full id, that must stay connected.
    #[serde(default)]
    pub containers: Vec<(String, LifelineReason)>,
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

    /// Why this target must not be touched, if so: the top of a tree only, the rest is asked for process by process.
    pub fn holds(&self, target: &Target) -> Option<LifelineReason> {
        match target {
            Target::Address { addr, .. } | Target::Source { addr, .. } | Target::Destination { addr, .. } => self.holds_address(*addr),
            Target::ProcessTree { root, .. } => self.holds_process(*root),
            Target::User { uid, .. } => self.holds_account(*uid),
            Target::Container { id, .. } => self.holds_container(id),
            // What of it stays open is decided by what is let through.
            Target::Host => None,
            Target::File { .. } => None,
        }
    }

    /// Why this account must not be disabled, if so. Root never is.
    pub fn holds_account(&self, uid: u32) -> Option<LifelineReason> {
        let root = (uid == 0).then_some(LifelineReason::OwnAccount);
        root.or_else(|| self.accounts.iter().find(|(held, _)| *held == uid).map(|(_, why)| *why))
    }

    /// Why this container must not be cut off, if so. Ids may be short: the longer begins with the shorter.
    pub fn holds_container(&self, id: &str) -> Option<LifelineReason> {
        let same = |held: &str| !held.is_empty() && !id.is_empty() && (held.starts_with(id) || id.starts_with(held));
        self.containers.iter().find(|(held, _)| same(held)).map(|(_, why)| *why)
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
