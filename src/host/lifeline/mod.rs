//! The owner's own access, read from the kernel: who is logged in from where, and what the way there needs.
//!
//! All of it takes milliseconds ([`derive()`]), so a thread does that all the time; what changes within a second is read
//! again whenever somebody may be cut off ([`Snapshot::read`]). [`check`] asks the kernel about one target by other means.

mod accounts;
pub mod check;
mod connected;
mod login;
mod network;
mod place;
mod route_question;
mod session;
mod ssh;
#[cfg(test)]
mod test_sshd;
mod time_servers;
mod waker;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

pub use network::{name_servers, tunnel_to};
pub use time_servers::resolve;
pub use waker::Waker;

use crate::host::pidfd::{Stat, everything};
use crate::host::procfs;
use crate::host::sock_diag::{self, Phase, Socket};
use crate::host::system_program;
use crate::model::{HostText, Lifeline, LifelineReason, ProcessKey, Protocol};

/// The most addresses; more make the lifeline incomplete rather than wrong.
const MOST_ADDRESSES: usize = 4096;
/// The most processes, kernel threads among them (some hundreds for every core).
const MOST_PROCESSES: usize = 16_384;
/// The most accounts, containers and cgroups, each.
const MOST_PLACES: usize = 1024;
/// Far ends counted one by one; the rest is counted together.
const MOST_PEERS: usize = 4096;
/// An older snapshot is none: what the thread that makes it does not see may be the owner.
pub const STALE: Duration = Duration::from_secs(5);
/// Steps up from a console at most, when its ancestors are read one by one.
const DEEPEST: usize = 64;

/// What only the agent itself knows of its owner.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Far ends of attached consoles (the first word of their SSH_CONNECTION), and addresses that the policy adds.
    pub consoles: &'a [IpAddr],
    /// Processes of attached consoles and of whoever asks: they and what they run under belong to the owner.
    pub attached: &'a [u32],
    /// Addresses to which names of time servers resolved.
    pub time_servers: &'a BTreeSet<IpAddr>,
}

/// Everything, as of one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    lifeline: Lifeline,
    taken: Instant,
    /// How long it took to make.
    pub took: Duration,
    /// What ran then: whatever else runs has begun since.
    pids: BTreeSet<u32>,
    /// Established TCP connections by far end; under 0.0.0.0 stand those of whom there were too many.
    pub connections: Vec<(IpAddr, u32)>,
    /// Names of time servers that the configuration mentions.
    pub time_names: BTreeSet<String>,
}

/// Reads all of it; takes milliseconds, and longer on a host with many processes.
pub fn derive(known: Known<'_>) -> Snapshot {
    let taken = Instant::now();
    let mut found = Found::default();
    let open = match sock_diag::dump() {
        Ok(dump) => dump.sockets,
        Err(why) => {
            found.unknown("sockets", why);
            Vec::new()
        }
    };
    let ssh::Served { people, shells, pids } = ssh::peers_and_processes(&mut found, known.attached, &open);
    network::own_addresses(&mut found);
    network::gateways(&mut found);
    network::tunnels(&mut found);
    network::resolvers(&mut found);
    let times = time_servers::configured();
    for addr in times.addresses.iter().chain(known.time_servers).copied().chain(time_servers::spoken_with(&open)) {
        found.address(addr, LifelineReason::TimeServer);
    }
    let files = accounts::Files::default();
    accounts::find(&mut found, &files, &people, &shells);
    login::recent(&mut found);
    for addr in files.session_sources().iter().chain(known.consoles) {
        found.address(*addr, LifelineReason::RecentLogin);
    }
    let connections = by_peer(&open);
    Snapshot { lifeline: found.lifeline, taken, took: taken.elapsed(), pids, connections, time_names: times.names }
}

/// The sessions of this very moment.
fn sessions_now(found: &mut Found, attached: &[u32]) {
    match sock_diag::dump() {
        Ok(dump) => drop(ssh::peers_and_processes(found, attached, &dump.sockets)),
        Err(why) => found.unknown("sockets", why),
    }
}

/// The SSH server's processes of each session of this moment: over their connection somebody has logged in.
pub fn sessions() -> Vec<Vec<u32>> {
    let world = everything().unwrap_or_default();
    let sessions = session::logged_in(&session::parts(&world), &world, &session::unprivileged());
    sessions.into_iter().map(|session| session.holders).collect()
}

/// How many connections there are with whom.
fn by_peer(open: &[Socket]) -> Vec<(IpAddr, u32)> {
    let mut peers: BTreeMap<IpAddr, u32> = BTreeMap::new();
    let talking = open.iter().filter(|socket| socket.flow.proto == Protocol::Tcp && socket.phase == Phase::Connected);
    for peer in talking.filter_map(|socket| socket.flow.dst) {
        let full = peers.len() >= MOST_PEERS && !peers.contains_key(&peer);
        *peers.entry(if full { Ipv4Addr::UNSPECIFIED.into() } else { peer }).or_default() += 1;
    }
    peers.into_iter().collect()
}

impl Snapshot {
    /// The lifeline at this moment: the snapshot, and over it who has logged in since and who sits at a console right now.
    /// Takes some hundred microseconds while no SSH server has started a process since.
    pub fn read(&self, known: Known<'_>) -> Lifeline {
        let mut found = Found { lifeline: self.lifeline.clone() };
        let age = self.taken.elapsed();
        if age > STALE {
            found.unknown("the owner's access", format!("it was last read {} s ago", age.as_secs()));
        }
        match procfs::pids() {
            Ok(now) => {
                if now.into_iter().filter(|pid| !self.pids.contains(pid)).any(system_program::is_ssh_server) {
                    sessions_now(&mut found, known.attached);
                }
            }
            Err(why) => found.unknown("processes", why),
        }
        for addr in known.consoles {
            found.address(*addr, LifelineReason::RecentLogin);
        }
        for pid in known.attached {
            found.upwards(*pid);
        }
        found.lifeline
    }

    /// How long ago it was made.
    pub fn age(&self) -> Duration {
        self.taken.elapsed()
    }
}

/// What has been read so far.
#[derive(Debug, Default)]
struct Found {
    lifeline: Lifeline,
}

impl Found {
    /// The first reason given for an address stays, but a live session is the best of all: it holds the whole /64.
    fn address(&mut self, addr: IpAddr, why: LifelineReason) {
        let addr = addr.to_canonical();
        if addr.is_unspecified() || addr.is_loopback() {
            return;
        }
        if let Some((_, known)) = self.lifeline.addresses.iter_mut().find(|(known, _)| *known == addr) {
            if why == LifelineReason::SshSession && *known != LifelineReason::OwnAddress {
                *known = why;
            }
            return;
        }
        if self.lifeline.addresses.len() >= MOST_ADDRESSES {
            return self.unknown("addresses", "more than 4096 of them");
        }
        self.lifeline.addresses.push((addr, why));
    }

    fn process(&mut self, key: ProcessKey, why: LifelineReason) {
        let processes = &mut self.lifeline.processes;
        if processes.iter().any(|(known, _)| *known == key) {
            return;
        }
        if processes.len() >= MOST_PROCESSES {
            return self.unknown("processes", "more than 16384 of them");
        }
        processes.push((key, why));
    }

    /// A process of a person and everything above it, each read by itself, and whose they are.
    fn upwards(&mut self, pid: u32) {
        let mut next = Stat::read(pid);
        for _ in 0..DEEPEST {
            let Some(stat) = next else { return };
            let is_new = !self.lifeline.processes.iter().any(|(known, _)| *known == stat.key());
            self.process(stat.key(), LifelineReason::LoginPath);
            if is_new {
                accounts::whose(stat.pid).for_each(|uid| self.account(uid, LifelineReason::OwnAccount));
                place::of(self, stat.pid, LifelineReason::LoginPath);
            }
            next = Stat::read(stat.ppid);
        }
    }

    fn account(&mut self, uid: u32, why: LifelineReason) {
        let accounts = &mut self.lifeline.accounts;
        if accounts.iter().any(|(known, _)| *known == uid) {
            return;
        }
        if accounts.len() >= MOST_PLACES {
            return self.unknown("accounts", "more than 1024 of them");
        }
        accounts.push((uid, why));
    }

    fn container(&mut self, id: String, why: LifelineReason) {
        let containers = &mut self.lifeline.containers;
        if containers.iter().any(|(known, _)| *known == id) {
            return;
        }
        if containers.len() >= MOST_PLACES {
            return self.unknown("containers", "more than 1024 of them");
        }
        containers.push((id, why));
    }

    fn cgroup(&mut self, path: HostText, why: LifelineReason) {
        let cgroups = &mut self.lifeline.cgroups;
        if cgroups.iter().any(|(known, _)| *known == path) {
            return;
        }
        if cgroups.len() >= MOST_PLACES {
            return self.unknown("cgroups", "more than 1024 of them");
        }
        cgroups.push((path, why));
    }

    /// Only tells: beyond the bound the rest is left out, and accounts are never disabled without a person anyway.
    fn logged_in(&mut self, uid: u32, name: HostText) {
        let logged_in = &mut self.lifeline.logged_in;
        if logged_in.len() < MOST_PLACES && !logged_in.iter().any(|(known, _)| *known == uid) {
            logged_in.push((uid, name));
        }
    }

    fn unknown(&mut self, what: &str, why: impl std::fmt::Display) {
        let line = format!("{what} could not be read: {why}");
        if !self.lifeline.unknown.contains(&line) && self.lifeline.unknown.len() < 16 {
            self.lifeline.unknown.push(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::test_sshd::{Login, Sshd, reach};
    use super::*;
    use crate::host::own_netns::in_own_network;
    use crate::host::pidfd::key_of;
    use std::process::Command;

    fn read(consoles: &[IpAddr], attached: &[u32]) -> Lifeline {
        derive(Known { consoles, attached, time_servers: &BTreeSet::new() }).lifeline
    }

    fn ip(words: &str) {
        assert!(Command::new("ip").args(words.split(' ')).status().unwrap().success(), "{words}");
    }

    #[test]
    fn own_addresses_and_gateways_of_both_families_are_held() {
        in_own_network(|| {
            ip("link add veth0 type veth peer name veth1");
            ip("link set veth0 up");
            ip("link set veth1 up");
            ip("addr add 198.51.100.2/24 dev veth0");
            ip("route add default via 198.51.100.1");
            ip("-6 addr add 2001:db8::2/64 dev veth0 nodad");
            ip("-6 route add default via 2001:db8::1");
            let lifeline = read(&["192.0.2.44".parse().unwrap()], &[]);
            let held = |addr: &str| lifeline.holds_address(addr.parse().unwrap());
            assert_eq!(held("198.51.100.2"), Some(LifelineReason::OwnAddress), "{lifeline:?}");
            assert_eq!(held("2001:db8::2"), Some(LifelineReason::OwnAddress));
            assert_eq!(held("::ffff:198.51.100.1"), Some(LifelineReason::Gateway));
            assert_eq!(held("2001:db8::1"), Some(LifelineReason::Gateway));
            assert_eq!(held("192.0.2.44"), Some(LifelineReason::RecentLogin));
            assert_eq!(held("192.0.2.45"), None);
        });
    }

    #[test]
    fn we_and_what_we_run_under_are_held() {
        let lifeline = read(&[], &[]);
        let me = key_of(std::process::id()).unwrap();
        assert_eq!(lifeline.holds_process(me), Some(LifelineReason::Agent));
        assert_eq!(lifeline.holds_process(key_of(1).unwrap()), Some(LifelineReason::Init));
        let parent = key_of(std::os::unix::process::parent_id()).unwrap();
        assert!(lifeline.holds_process(parent).is_some());
        let mut child = Command::new("sleep").arg("20").spawn().unwrap();
        assert_eq!(read(&[], &[]).holds_process(key_of(child.id()).unwrap()), None, "what we started is not the owner");
        assert_eq!(read(&[], &[child.id()]).holds_process(key_of(child.id()).unwrap()), Some(LifelineReason::LoginPath));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn who_logs_in_after_the_snapshot_is_held_all_the_same_and_who_only_connects_is_not() {
        use crate::host::own_netns::connected_from;
        in_own_network(|| {
            reach(&["198.51.100.1/32", "198.51.100.7/32", "198.51.100.8/32"]);
            let none = BTreeSet::new();
            let known = Known { consoles: &[], attached: &[], time_servers: &none };
            let mut snapshot = derive(known);
            // The near end stands for the host; only what a far end is counts here.
            snapshot.lifeline.addresses.clear();
            // On a port that the snapshot does not know of.
            let Some(server) = Sshd::start("openssh", 2277) else { return };
            let knock = connected_from("198.51.100.8", "198.51.100.1", 2277);
            let held = |known, addr: &str| snapshot.read(known).holds_address(addr.parse().unwrap());
            assert_eq!(held(known, "198.51.100.7"), None);
            let session = Login::with(&server, "root", "198.51.100.7", &[]);
            assert_eq!(held(known, "::ffff:198.51.100.7"), Some(LifelineReason::SshSession));
            assert_eq!(held(known, "198.51.100.8"), None);
            let mut child = Command::new("sleep").arg("20").spawn().unwrap();
            let attached = [child.id()];
            let at_console = snapshot.read(Known { attached: &attached, ..known });
            assert_eq!(at_console.holds_process(key_of(child.id()).unwrap()), Some(LifelineReason::LoginPath));
            child.kill().unwrap();
            child.wait().unwrap();
            drop((session, knock));
        });
    }

    #[test]
    fn an_old_snapshot_is_no_knowledge() {
        let none = BTreeSet::new();
        let known = Known { consoles: &[], attached: &[], time_servers: &none };
        let mut snapshot = derive(known);
        let before = snapshot.read(known).unknown;
        let Some(taken) = Instant::now().checked_sub(STALE + Duration::from_secs(1)) else {
            eprintln!("skipped: this machine runs for less than six seconds");
            return;
        };
        snapshot.taken = taken;
        let unknown = snapshot.read(known).unknown;
        assert_eq!(unknown.len(), before.len() + 1, "{unknown:?}");
        assert!(unknown.iter().any(|line| line.contains("last read 6 s ago")), "{unknown:?}");
    }

    #[test]
    fn a_tunnel_to_everywhere_is_told_unless_its_far_end_is_known() {
        in_own_network(|| {
            ip("link add veth0 type veth peer name veth1");
            ip("link set veth0 up");
            ip("link set veth1 up");
            ip("addr add 198.51.100.2/24 dev veth0");
            ip("tuntap add dev tun7 mode tun");
            ip("addr add 10.8.0.2/24 dev tun7");
            ip("link set tun7 up");
            ip("route add 0.0.0.0/1 dev tun7");
            let lifeline = read(&[], &[]);
            assert!(lifeline.unknown.iter().any(|line| line.contains("far end of the tunnel tun7")), "{lifeline:?}");
            ip("route add 203.0.113.77/32 via 198.51.100.1 dev veth0");
            let lifeline = read(&[], &[]);
            assert!(!lifeline.unknown.iter().any(|line| line.contains("tunnel")), "{lifeline:?}");
            assert_eq!(lifeline.holds_address("203.0.113.77".parse().unwrap()), Some(LifelineReason::Gateway));
        });
    }

    #[test]
    fn what_both_cost() {
        let none = BTreeSet::new();
        let attached = [std::process::id()];
        let known = Known { consoles: &[], attached: &attached, time_servers: &none };
        let snapshot = derive(known);
        let begun = Instant::now();
        for _ in 0..20 {
            snapshot.read(known);
        }
        let (whole, each) = (snapshot.took, begun.elapsed() / 20);
        eprintln!("lifeline: all of it in {whole:?}, again at the moment of acting in {each:?}");
        assert!(each < Duration::from_millis(20), "{each:?}");
    }
}
