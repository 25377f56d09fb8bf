//! The owner's own access: what no action may ever cut, whatever the configuration says.

use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

use super::{HostText, ProcessKey, Target, Whose};

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
    /// A program, or its far end, over which the owner's session arrives: a tunnel, a proxy, a remote forward.
    Carrier,
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
            Self::Carrier => "what carries a live SSH session",
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
    /// Cgroups (v2 paths, beginning with `/`) in which the guard, its console and the SSH server run.
    #[serde(default)]
    pub cgroups: Vec<(HostText, LifelineReason)>,
    /// Accounts that are logged in now, by user id and name. Not held: a person may disable one, the guard alone never does.
    #[serde(default)]
    pub logged_in: Vec<(u32, HostText)>,
    /// Addresses from which the owner may come, without proof, and why: a person who acts on one must confirm it in time,
    /// the guard alone leaves it.
    #[serde(default)]
    pub uncertain: Vec<(IpAddr, String)>,
    /// Over what sessions arrive that do not come straight from the network, one line each.
    #[serde(default)]
    pub ways: Vec<String>,
    /// What could not be read, one line each; while anything is listed, the lifeline counts as incomplete and
    /// nothing is cut without a person.
    pub unknown: Vec<String>,
}

impl Lifeline {
    /// Why this address must not be cut, if so. Checks the shape of the address even when nothing is known. An IPv6
    /// address that embeds an IPv4 one ([`embedded`]) stands for both; beside an address from which somebody logs in, its
    /// whole /64 is held, because hosts change the lower half every day (RFC 8981).
    pub fn holds_address(&self, addr: IpAddr) -> Option<LifelineReason> {
        let addr = addr.to_canonical();
        if is_no_stranger(addr) || embedded(addr).is_some_and(|v4| is_no_stranger(v4.into())) {
            return Some(LifelineReason::NotAStranger);
        }
        let held = self.addresses.iter().find(|(held, _)| is_same(*held, addr));
        let login = |why: LifelineReason| matches!(why, LifelineReason::SshSession | LifelineReason::RecentLogin | LifelineReason::Carrier);
        held.or_else(|| self.addresses.iter().find(|(held, why)| login(*why) && is_neighbour(*held, addr))).map(|(_, why)| *why)
    }

    /// Why it is not certain that the owner stays connected when this target is cut off, although nothing proves that it is
    /// theirs; `None` for what is no address.
    pub fn doubt(&self, target: &Target) -> Option<&str> {
        target.addresses().iter().find_map(|addr| self.doubts_address(*addr))
    }

    /// The same of one address, in every spelling and with its neighbours.
    pub fn doubts_address(&self, addr: IpAddr) -> Option<&str> {
        let addr = addr.to_canonical();
        let near = |held: IpAddr| is_same(held, addr) || is_neighbour(held, addr);
        let about = self.uncertain.iter().find(|(held, _)| near(*held)).map(|(_, why)| why.as_str());
        about.or_else(|| self.unknown.first().map(String::as_str))
    }

    /// Why a packet of this cgroup, or of one below it, must not be dropped, if so. The root never may be.
    pub fn holds_cgroup(&self, path: &HostText) -> Option<LifelineReason> {
        let parts = |path: &HostText| -> Vec<Vec<u8>> {
            path.as_bytes().split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").map(<[u8]>::to_vec).collect()
        };
        let asked = parts(path);
        if asked.is_empty() {
            return Some(LifelineReason::Init);
        }
        self.cgroups.iter().find(|(held, _)| parts(held).starts_with(&asked)).map(|(_, why)| *why)
    }

    /// Why this target must not be touched, if so: the top of a tree only, the rest is asked for process by process.
    pub fn holds(&self, target: &Target) -> Option<LifelineReason> {
        match target {
            Target::Address { addr, .. } | Target::Source { addr, .. } => self.holds_address(*addr),
            Target::Addresses { addrs } => addrs.iter().find_map(|addr| self.holds_address(*addr)),
            Target::Destination { addr, whose } => self.holds_address(*addr).or_else(|| self.holds_whose(whose)),
            Target::ProcessTree { root, .. } => self.holds_process(*root),
            Target::User { uid, .. } => self.holds_account(*uid),
            Target::Container { id, .. } => self.holds_container(id),
            // What of it stays open is decided by what is let through.
            Target::Host => None,
            Target::File { .. } => None,
        }
    }

    /// Root's packets are those of the SSH server and of the guard itself.
    fn holds_whose(&self, whose: &Whose) -> Option<LifelineReason> {
        match whose {
            Whose::User { uid } => (*uid == 0).then_some(LifelineReason::OwnAccount),
            Whose::Cgroup { path } => self.holds_cgroup(path),
            Whose::Container { id } => self.holds_container(id),
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

/// Whether somebody at the one address may come from the other next time: the same address in any spelling, or its /64.
pub fn is_same_place(a: IpAddr, b: IpAddr) -> bool {
    let (a, b) = (a.to_canonical(), b.to_canonical());
    is_same(a, b) || is_neighbour(a, b)
}

/// Two spellings of one address; the second is in its canonical form.
fn is_same(held: IpAddr, addr: IpAddr) -> bool {
    let plain = |addr: IpAddr| embedded(addr).map_or(addr, IpAddr::from);
    let held = held.to_canonical();
    held == addr || plain(held) == plain(addr)
}

/// The IPv4 address that an IPv6 address embeds: mapped and compatible (RFC 4291), translated (RFC 6052 and RFC 8215)
/// and 6to4 (RFC 3056). Blocking such a spelling may cut the IPv4 peer off.
pub fn embedded(addr: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(v6) = addr else { return None };
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let join = |high: u16, low: u16| Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match (a, b, c) {
        (0, 0, 0) if (d, e) == (0, 0) && (f == 0xffff || f == 0 && (g, h) != (0, 0) && (g, h) != (0, 1)) => join(g, h),
        (0x64, 0xff9b, 0) if (d, e, f) == (0, 0, 0) => join(g, h),
        (0x64, 0xff9b, 1) => join(g, h),
        (0x2002, high, low) => join(high, low),
        _ => None,
    }
}

/// Loopback, unspecified, multicast, broadcast and "this network" (RFC 1122).
fn is_no_stranger(addr: IpAddr) -> bool {
    addr.is_loopback()
        || addr.is_unspecified()
        || addr.is_multicast()
        || matches!(addr, IpAddr::V4(v4) if v4.is_broadcast() || v4.octets()[0] == 0)
}

/// In the same /64; not link-local, where everybody is, nor where the lower half is an IPv4 address.
fn is_neighbour(held: IpAddr, addr: IpAddr) -> bool {
    match (held, addr) {
        (IpAddr::V6(held), IpAddr::V6(addr)) => {
            let alone = held.is_unicast_link_local() || embedded(held.into()).is_some();
            !alone && held.segments()[..4] == addr.segments()[..4]
        }
        _ => false,
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

    #[test]
    fn an_ipv4_address_inside_an_ipv6_one_is_held() {
        let lifeline = Lifeline { addresses: vec![("203.0.113.9".parse().unwrap(), LifelineReason::Gateway)], ..Lifeline::default() };
        for spelling in ["::203.0.113.9", "64:ff9b::203.0.113.9", "64:ff9b:1::203.0.113.9", "2002:cb00:7109::1", "2002:cb00:7109:5::77"] {
            assert_eq!(lifeline.holds_address(spelling.parse().unwrap()), Some(LifelineReason::Gateway), "{spelling}");
        }
        for other in ["64:ff9b::203.0.113.10", "2002:cb00:710a::1", "2001:db8::1"] {
            assert_eq!(lifeline.holds_address(other.parse().unwrap()), None, "{other}");
        }
        assert_eq!(lifeline.holds_address("64:ff9b::127.0.0.1".parse().unwrap()), Some(LifelineReason::NotAStranger));
        let tunnelled =
            Lifeline { addresses: vec![("2002:cb00:7109::1".parse().unwrap(), LifelineReason::SshSession)], ..Lifeline::default() };
        assert_eq!(tunnelled.holds_address("203.0.113.9".parse().unwrap()), Some(LifelineReason::SshSession));
    }

    #[test]
    fn the_whole_64_of_whoever_logs_in_is_held_and_nobody_elses() {
        let addresses = vec![
            ("2001:db8:1:2::9".parse().unwrap(), LifelineReason::SshSession),
            ("2001:db8:1:3::1".parse().unwrap(), LifelineReason::Resolver),
            ("fe80::9".parse().unwrap(), LifelineReason::SshSession),
            ("64:ff9b::203.0.113.9".parse().unwrap(), LifelineReason::SshSession),
        ];
        let lifeline = Lifeline { addresses, ..Lifeline::default() };
        let holds = |addr: &str| lifeline.holds_address(addr.parse().unwrap());
        assert_eq!(holds("2001:db8:1:2:abcd::1"), Some(LifelineReason::SshSession));
        assert_eq!(holds("2001:db8:1:3::2"), None);
        assert_eq!(holds("fe80::10"), None);
        assert_eq!(holds("64:ff9b::198.51.100.7"), None);
    }

    #[test]
    fn a_cgroup_above_the_ssh_server_is_held_one_beside_it_is_not() {
        let cgroups = vec![("/system.slice/ssh.service".into(), LifelineReason::LoginPath)];
        let lifeline = Lifeline { cgroups, ..Lifeline::default() };
        for held in ["/", "//", "/./", "/system.slice", "/system.slice/", "/system.slice/./ssh.service"] {
            assert!(lifeline.holds_cgroup(&held.into()).is_some(), "{held}");
        }
        for free in ["/system.slice/nginx.service", "/system", "/system.slice/ssh.service/child"] {
            assert_eq!(lifeline.holds_cgroup(&free.into()), None, "{free}");
        }
        let target = |whose| Target::Destination { addr: "203.0.113.9".parse().unwrap(), whose };
        assert!(lifeline.holds(&target(Whose::User { uid: 0 })).is_some());
        assert!(lifeline.holds(&target(Whose::User { uid: 33 })).is_none());
        assert!(lifeline.holds(&target(Whose::Cgroup { path: "/system.slice".into() })).is_some());
    }
}
