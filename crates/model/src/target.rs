//! Whom or what a change to the host is about.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{HostText, ProcessKey};

/// Which packets a block drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the address, to us or through us.
    In,
    /// To the address, from us or through us.
    Out,
}

/// Whose packets a block of a destination drops. Everybody's is [`Target::Address`] with [`Direction::Out`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whose {
    /// Of sockets that this user's processes opened, on the host itself.
    User {
        /// User id.
        uid: u32,
    },
    /// Of sockets opened in this cgroup (v2) and below it, on the host itself.
    Cgroup {
        /// Its path from the root of the hierarchy, beginning with `/`.
        path: HostText,
    },
    /// Of one container, by its own addresses when it has a network of its own, else by its cgroup.
    Container {
        /// Its id, at least the first twelve hex digits.
        id: String,
    },
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User { uid } => write!(f, "uid {uid}"),
            Self::Cgroup { path } => write!(f, "cgroup {path}"),
            Self::Container { id } => write!(f, "container {}", id.escape_debug()),
        }
    }
}

/// How a container is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// Disconnected from every network; it runs on.
    Network,
    /// Stopped where it stands.
    Pause,
}

/// Whom or what a change is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// One remote address. Never a network.
    Address {
        /// Which.
        addr: IpAddr,
        /// Which packets.
        direction: Direction,
    },
    /// Many remote addresses of one attack, inbound. Each is one address, never a network; only a person decides about them together.
    Addresses {
        /// Which, sorted, each once: 1 to [`Target::MAX_ADDRESSES`].
        addrs: Vec<IpAddr>,
    },
    /// One remote address that may send only so much.
    Source {
        /// Which.
        addr: IpAddr,
        /// Packets a second that still pass, 1 to 1,000,000.
        packets_per_second: u32,
    },
    /// One remote address that one user, cgroup or container may not reach.
    Destination {
        /// Which.
        addr: IpAddr,
        /// Who may not.
        whose: Whose,
    },
    /// A process and everything below it.
    ProcessTree {
        /// The top of the tree.
        root: ProcessKey,
        /// What it runs, for people.
        exe: HostText,
    },
    /// An account of this host.
    User {
        /// Its name.
        name: HostText,
        /// Its user id.
        uid: u32,
    },
    /// A container.
    Container {
        /// Its full id.
        id: String,
        /// Its name, for people.
        name: HostText,
        /// How it is cut off.
        isolation: Isolation,
    },
    /// The whole host.
    Host,
    /// One file that decides who gets in, put back to a copy that was kept of it.
    File {
        /// Where it lies.
        path: HostText,
        /// Which copy: the BLAKE3 of its content, 64 hex digits.
        copy: String,
    },
}

impl Target {
    /// Addresses that one decision may be about at most: what a person can still look through.
    pub const MAX_ADDRESSES: usize = 512;

    /// Every remote address that it cuts off or slows down.
    pub fn addresses(&self) -> &[IpAddr] {
        match self {
            Self::Address { addr, .. } | Self::Source { addr, .. } | Self::Destination { addr, .. } => std::slice::from_ref(addr),
            Self::Addresses { addrs } => addrs,
            Self::ProcessTree { .. } | Self::User { .. } | Self::Container { .. } | Self::Host | Self::File { .. } => &[],
        }
    }

    /// Whether packets from this address no longer arrive under it.
    pub fn keeps_out(&self, addr: IpAddr) -> bool {
        let inbound = matches!(self, Self::Address { direction: Direction::In, .. } | Self::Addresses { .. });
        inbound && self.addresses().iter().any(|held| held.to_canonical() == addr.to_canonical())
    }

    /// Whether both keep packets of the same address from arriving, so that the kernel would hold one element for two.
    pub fn shares_a_block(&self, other: &Self) -> bool {
        self.addresses().iter().any(|addr| self.keeps_out(*addr) && other.keeps_out(*addr))
    }

    /// The one remote address that it cuts off or slows down, if one.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Address { addr, .. } | Self::Source { addr, .. } | Self::Destination { addr, .. } => Some(addr.to_canonical()),
            _ => None,
        }
    }

    /// The top of the process tree that it stops, if one.
    pub fn root(&self) -> Option<ProcessKey> {
        if let Self::ProcessTree { root, .. } = self { Some(*root) } else { None }
    }

    /// Whether two targets are the same peer, tree, account, container, host or file. What a tree ran when, how many
    /// packets pass, how a container is cut off and to which copy a file goes back is no part of who it is.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Address { addr: a, direction: x }, Self::Address { addr: b, direction: y }) => {
                a.to_canonical() == b.to_canonical() && x == y
            }
            (Self::Addresses { addrs: a }, Self::Addresses { addrs: b }) => a == b,
            (Self::Source { addr: a, .. }, Self::Source { addr: b, .. }) => a.to_canonical() == b.to_canonical(),
            (Self::Destination { addr: a, whose: x }, Self::Destination { addr: b, whose: y }) => {
                a.to_canonical() == b.to_canonical() && x == y
            }
            (Self::ProcessTree { root: a, .. }, Self::ProcessTree { root: b, .. }) => a == b,
            (Self::User { uid: a, name: x }, Self::User { uid: b, name: y }) => a == b && x == y,
            (Self::Container { id: a, .. }, Self::Container { id: b, .. }) => a == b,
            (Self::Host, Self::Host) => true,
            (Self::File { path: a, .. }, Self::File { path: b, .. }) => a == b,
            _ => false,
        }
    }

    /// The same with every address in its one canonical form: an IPv4-mapped address is the same peer as its IPv4 self.
    pub(super) fn canonical(self) -> Self {
        match self {
            Self::Address { addr, direction } => Self::Address { addr: addr.to_canonical(), direction },
            Self::Addresses { addrs } => {
                let mut addrs: Vec<IpAddr> = addrs.iter().map(IpAddr::to_canonical).collect();
                addrs.sort_unstable();
                addrs.dedup();
                Self::Addresses { addrs }
            }
            Self::Source { addr, packets_per_second } => Self::Source { addr: addr.to_canonical(), packets_per_second },
            Self::Destination { addr, whose } => Self::Destination { addr: addr.to_canonical(), whose },
            other => other,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { addr, direction: Direction::In } => write!(f, "from {addr}"),
            Self::Address { addr, direction: Direction::Out } => write!(f, "to {addr}"),
            Self::Addresses { addrs } => match addrs.as_slice() {
                [one] => write!(f, "from {one}"),
                many => write!(f, "from {} addresses", many.len()),
            },
            Self::Source { addr, packets_per_second } => write!(f, "{addr} to {packets_per_second} packets a second"),
            Self::Destination { addr, whose } => write!(f, "to {addr} for {whose}"),
            Self::ProcessTree { root, exe } => write!(f, "{exe} (pid {}) and below", root.pid),
            Self::User { name, uid } => write!(f, "account {name} (uid {uid})"),
            Self::Container { id, name, isolation } => {
                let how = match isolation {
                    Isolation::Network => "off every network",
                    Isolation::Pause => "paused",
                };
                write!(f, "container {name} ({}) {how}", id.get(..12).unwrap_or(id).escape_debug())
            }
            Self::Host => f.write_str("this host"),
            Self::File { path, copy } => write!(f, "{path} to copy {}", copy.get(..8).unwrap_or(copy).escape_debug()),
        }
    }
}
