//! The owner's own access, read from the kernel: who is logged in from where, and what the way there needs.
//!
//! All of it takes milliseconds ([`derive()`]), so a thread does that all the time; what changes within a second is read
//! again whenever somebody may be cut off ([`Snapshot::read`]). [`check`] asks the kernel about one target by other means.

mod accounts;
mod carrier;
pub mod check;
mod connected;
mod found;
mod inside;
mod link;
mod login;
mod login_files;
mod login_record;
mod network;
mod place;
mod route_question;
mod session;
mod ssh;
#[cfg(test)]
mod test_sshd;
mod time_servers;
mod trusted;
mod waker;
mod wireguard;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

pub use network::{name_servers, tunnel_to};
pub use time_servers::resolve;
pub use waker::Waker;

use found::Found;
use trusted::Trusted;

use bartizan_model::{Lifeline, LifelineReason, Protocol};
use bartizan_sys::pidfd::everything;
use bartizan_sys::proc_files;
use bartizan_sys::sock_diag::{Phase, Socket};

/// Far ends counted one by one; the rest is counted together.
const MAX_PEERS: usize = 4096;
/// An older snapshot is none: what the thread that makes it does not see may be the owner.
pub const STALE: Duration = Duration::from_secs(5);

/// What only the agent itself knows of its owner.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Far ends of attached consoles (the first word of their SSH_CONNECTION), and addresses that the policy adds.
    pub consoles: &'a [IpAddr],
    /// Processes of attached consoles and of whoever asks: they and what they run under belong to the owner.
    pub attached: &'a [u32],
    /// Addresses to which names of time servers resolved.
    pub time_servers: &'a BTreeSet<IpAddr>,
    /// Accounts that agent.toml lets use the guard, by user id.
    pub users: &'a [u32],
    /// Whom an agent saw logged in within the last thirty days, newest first.
    pub seen: &'a [(Option<u32>, IpAddr)],
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
    /// Who is logged in over SSH, and from where.
    pub sessions: Vec<(Option<u32>, IpAddr)>,
    /// Who counted as the owner then.
    trusted: Trusted,
}

/// Reads all of it; takes milliseconds, and longer on a host with many processes.
pub fn derive(known: Known<'_>) -> Snapshot {
    let taken = Instant::now();
    let mut found = Found::default();
    let files = accounts::Files::default();
    let trusted = Trusted::read(known.users);
    network::own_addresses(&mut found);
    let ssh::Served { people, shells, pids, open, sessions } = ssh::peers_and_processes(&mut found, known.attached, &trusted);
    network::gateways(&mut found);
    network::tunnels(&mut found);
    network::resolvers(&mut found);
    let times = time_servers::configured();
    for addr in times.addresses.iter().chain(known.time_servers).copied().chain(time_servers::spoken_with(&open)) {
        found.address(addr, LifelineReason::TimeServer);
    }
    accounts::find(&mut found, &files, &people, &shells);
    login::recent(&mut found, &trusted, known.seen);
    for addr in files.session_sources().iter().chain(known.consoles) {
        found.address(*addr, LifelineReason::RecentLogin);
    }
    let connections = by_peer(&open);
    Snapshot { lifeline: found.lifeline, taken, took: taken.elapsed(), pids, connections, time_names: times.names, sessions, trusted }
}

/// The sessions of this very moment.
fn sessions_now(found: &mut Found, known: Known<'_>, trusted: &Trusted) {
    drop(ssh::peers_and_processes(found, known.attached, trusted));
}

/// The SSH server's processes of each session of this moment: over their connection somebody has logged in.
pub fn sessions() -> Vec<Vec<u32>> {
    let world = everything().unwrap_or_default();
    let sessions = session::logged_in(&session::programs(&world).parts, &world, &session::unprivileged());
    sessions.into_iter().map(|session| session.holders).collect()
}

/// How many connections there are with whom.
fn by_peer(open: &[Socket]) -> Vec<(IpAddr, u32)> {
    let mut peers: BTreeMap<IpAddr, u32> = BTreeMap::new();
    let talking = open.iter().filter(|socket| socket.flow.proto == Protocol::Tcp && socket.phase == Phase::Connected);
    for peer in talking.filter_map(|socket| socket.flow.dst) {
        let full = peers.len() >= MAX_PEERS && !peers.contains_key(&peer);
        *peers.entry(if full { Ipv4Addr::UNSPECIFIED.into() } else { peer }).or_default() += 1;
    }
    peers.into_iter().collect()
}

/// Whoever sits at a console or asks by now is held too by a lifeline that was read a moment before.
pub fn hold_attached(lifeline: Lifeline, known: Known<'_>) -> Lifeline {
    let mut found = Found { lifeline };
    found.hold_attached(known);
    found.lifeline
}

impl Found {
    fn hold_attached(&mut self, known: Known<'_>) {
        for addr in known.consoles {
            self.address(*addr, LifelineReason::RecentLogin);
        }
        for pid in known.attached {
            self.upwards(*pid);
        }
    }
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
        match proc_files::pids() {
            Ok(now) => {
                let new =
                    || now.iter().copied().filter(|pid| !self.pids.contains(pid)).any(|pid| session::is_way_in(pid) && ssh::is_here(pid));
                // The far end of a tunnel may move while the session in it goes on.
                if !self.lifeline.ways.is_empty() || new() {
                    sessions_now(&mut found, known, &self.trusted);
                }
            }
            Err(why) => found.unknown("processes", why),
        }
        login::recent(&mut found, &self.trusted, known.seen);
        found.hold_attached(known);
        found.lifeline
    }

    /// How long ago it was made.
    pub fn age(&self) -> Duration {
        self.taken.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::test_sshd::{Login, Sshd, reach};
    use super::*;
    use bartizan_isolation::own_netns::{in_own_network, ip, plug_in};
    use bartizan_sys::pidfd::key_of;
    use std::process::Command;

    fn read(consoles: &[IpAddr], attached: &[u32]) -> Lifeline {
        derive(Known { consoles, attached, time_servers: &BTreeSet::new(), users: &[], seen: &[] }).lifeline
    }

    #[test]
    fn own_addresses_and_gateways_of_both_families_are_held() {
        in_own_network(|| {
            plug_in();
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
        use bartizan_isolation::own_netns::connected_from;
        in_own_network(|| {
            reach(&["198.51.100.1/32", "198.51.100.7/32", "198.51.100.8/32"]);
            let none = BTreeSet::new();
            let known = Known { consoles: &[], attached: &[], time_servers: &none, users: &[], seen: &[] };
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
        let known = Known { consoles: &[], attached: &[], time_servers: &none, users: &[], seen: &[] };
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
            plug_in();
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
        let known = Known { consoles: &[], attached: &attached, time_servers: &none, users: &[], seen: &[] };
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
