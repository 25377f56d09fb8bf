//! Live SSH: the far ends of its sessions, and every process between the server and a person's shell.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;

use super::carrier::Roads;
use super::session::{self, Programs, Session};
use super::trusted::Trusted;
use super::{Found, place};
use bartizan_model::{Flow, LifelineReason, Protocol};
use bartizan_sys::pidfd::everything;
use bartizan_sys::process_stat::Stat;
use bartizan_sys::sock_diag::{self, Phase, Socket, first_chosen_port};

/// What was found besides.
#[derive(Debug, Default)]
pub(super) struct Served {
    /// Attached consoles and what those run under: pids.
    pub(super) people: Vec<u32>,
    /// Shells of live sessions: pids.
    pub(super) shells: Vec<u32>,
    /// Everything that ran at that moment.
    pub(super) pids: BTreeSet<u32>,
    /// Every socket of a moment later.
    pub(super) open: Vec<Socket>,
    /// Who is logged in, and from where.
    pub(super) sessions: Vec<(Option<u32>, IpAddr)>,
}

/// Reads processes, then sockets: a session that was seen has its connection by then.
pub(super) fn peers_and_processes(found: &mut Found, attached: &[u32], trusted: &Trusted) -> Served {
    let world = match everything() {
        Ok(world) => world,
        Err(why) => {
            found.unknown("processes", why);
            return Served::default();
        }
    };
    let alive: BTreeMap<u32, Stat> = world.iter().map(|stat| (stat.pid, *stat)).collect();
    let Programs { parts, roaming } = session::programs(&world);
    let sessions = session::logged_in(&parts, &world, &session::unprivileged());
    let open = match sock_diag::dump() {
        Ok(dump) => dump.sockets,
        Err(why) => {
            found.unknown("sockets", why);
            Vec::new()
        }
    };
    let mut from = Vec::new();
    for session in sessions {
        let is_owner = session.account.is_none_or(|uid| trusted.uid(uid));
        let far = far_ends(&mut Roads::new(found, &open, (&parts, &alive), is_owner), &session);
        from.extend(far.into_iter().map(|addr| (session.account, addr)));
    }
    for (pid, _) in roaming.into_iter().filter(|(pid, uid)| trusted.uid(*uid) && is_here(*pid)) {
        Roads::new(found, &open, (&parts, &alive), true).roaming(pid);
    }
    for stat in &world {
        if stat.pid == 1 || stat.is_kernel_thread() {
            found.process(stat.key(), LifelineReason::Init);
        }
    }
    chain(found, &alive, std::process::id(), LifelineReason::Agent);
    place::of(found, std::process::id(), LifelineReason::Agent);
    let mut people = Vec::new();
    for pid in attached {
        place::of(found, *pid, LifelineReason::LoginPath);
        people.extend(chain(found, &alive, *pid, LifelineReason::LoginPath));
    }
    for part in parts.values() {
        found.process(part.stat.key(), LifelineReason::LoginPath);
        place::of(found, part.stat.pid, LifelineReason::LoginPath);
    }
    // The shell of a session is what the server started: its direct child that leads a session of its own. What the
    // person runs in it is not protected: an intruder's programs look just like that.
    let is_shell = |stat: &&Stat| parts.contains_key(&stat.ppid) && stat.session == stat.pid && !parts.contains_key(&stat.pid);
    let shells: Vec<u32> = world.iter().filter(is_shell).map(|stat| stat.pid).collect();
    shells.iter().filter_map(|pid| alive.get(pid)).for_each(|stat| found.process(stat.key(), LifelineReason::LoginPath));
    Served { people, shells, pids: alive.into_keys().collect(), open, sessions: from }
}

/// Holds the far ends of one session, and what carries it. Only what root opened and somebody can knock at counts: a person's
/// own forwarding, from or to anywhere, goes through sockets of theirs or through ports that the kernel chose, and must not
/// make a stranger untouchable. Gives the far ends that are no part of this host.
fn far_ends(roads: &mut Roads<'_>, session: &Session) -> Vec<IpAddr> {
    let sockets = match session::sockets_of(&session.holders) {
        Ok(sockets) => sockets,
        Err(why) => {
            roads.found.unknown("sockets of the SSH server", why);
            return Vec::new();
        }
    };
    let tcp = || roads.open.iter().filter(|socket| socket.flow.proto == Protocol::Tcp);
    let own = tcp().filter(|socket| socket.phase == Phase::Connected && socket.uid == 0 && sockets.contains(&socket.inode));
    let chosen = first_chosen_port();
    let is_served = |port: u16| port < chosen || tcp().any(|socket| socket.phase == Phase::Listening && socket.flow.sport == port);
    let flows: Vec<Flow> = own.filter(|socket| is_served(socket.flow.sport)).map(|socket| socket.flow.clone()).collect();
    flows.iter().for_each(|flow| roads.session(flow));
    let has_none = !tcp().any(|socket| sockets.contains(&socket.inode));
    if let Some(holder) = session.holders.first().copied().filter(|pid| has_none && is_here(*pid)) {
        roads.handed_down(holder);
    }
    let far = flows.iter().filter_map(|flow| flow.dst).map(|addr| addr.to_canonical());
    far.filter(|addr| !addr.is_loopback() && !roads.found.is_own(*addr)).collect()
}

/// Whether a process lives in this network: the connections of another one are not ours to see.
pub(super) fn is_here(pid: u32) -> bool {
    let network = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    network(&pid.to_string()).is_some_and(|theirs| Some(theirs) == network("thread-self"))
}

/// A process and everything above it; their pids.
fn chain(found: &mut Found, alive: &BTreeMap<u32, Stat>, pid: u32, why: LifelineReason) -> Vec<u32> {
    let mut next = alive.get(&pid);
    let mut pids = Vec::new();
    // A family tree is never deeper than there are processes.
    for _ in 0..alive.len() {
        let Some(stat) = next else { break };
        found.process(stat.key(), why);
        pids.push(stat.pid);
        next = alive.get(&stat.ppid);
    }
    pids
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifeline::check::Processes;
    use crate::lifeline::test_sshd::{Login, Sshd, reach};
    use bartizan_isolation::own_netns::{connected_from, in_own_network};
    use bartizan_sys::pidfd::key_of;
    use std::net::TcpListener;

    fn held() -> impl Fn(&str) -> Option<LifelineReason> {
        let mut found = Found::default();
        peers_and_processes(&mut found, &[], &Trusted::default());
        move |addr| found.lifeline.holds_address(addr.parse().unwrap())
    }

    #[test]
    fn an_open_connection_to_port_22_protects_nobody() {
        in_own_network(|| {
            reach(&["198.51.100.1/24", "198.51.100.7/24"]);
            // A dual-stack listener sees an IPv4 peer in its mapped form.
            let listener = TcpListener::bind("[::]:22").unwrap();
            let idle = connected_from("198.51.100.7", "198.51.100.1", 22);
            assert_eq!(held()("198.51.100.7"), None);
            drop((idle, listener));
        });
    }

    #[test]
    fn only_whoever_logged_in_is_held_however_many_knock() {
        in_own_network(|| {
            reach(&["198.51.100.1/32", "198.51.100.7/32", "198.51.100.8/32", "198.51.100.9/32", "2001:db8::1/128", "2001:db8:7::7/128"]);
            let Some(server) = Sshd::start("openssh", 2222) else { return };
            let idle: Vec<_> = (0..8).map(|_| connected_from("198.51.100.8", "198.51.100.1", 2222)).collect();
            let six = connected_from("2001:db8:7::7", "2001:db8::1", 2222);
            // Somebody with a wrong key: as far as one comes without a login.
            let refused = Login::try_with(&server, "root", "198.51.100.9", &["-o", "PreferredAuthentications=password"]);
            for (account, more) in [("root", &["-N"][..]), ("root", &[]), ("nobody", &["-N"])] {
                let login = Login::with(&server, account, "198.51.100.7", more);
                let held = held();
                assert_eq!(held("198.51.100.7"), Some(LifelineReason::SshSession), "{account} {more:?}");
                assert_eq!(held("198.51.100.8"), None, "knocks only");
                assert_eq!(held("198.51.100.9"), None, "has no key");
                assert_eq!(held("2001:db8:7::8"), None, "knocks over IPv6");
                drop(login);
            }
            drop((idle, six, refused));
        });
    }

    #[test]
    fn a_login_over_dropbear_is_told_from_a_knock() {
        in_own_network(|| {
            reach(&["198.51.100.1/32", "198.51.100.7/32", "198.51.100.8/32"]);
            let Some(server) = Sshd::start("dropbear", 2244) else { return };
            let idle = connected_from("198.51.100.8", "198.51.100.1", 2244);
            let login = Login::with(&server, "root", "198.51.100.7", &[]);
            let held = held();
            assert_eq!((held("198.51.100.7"), held("198.51.100.8")), (Some(LifelineReason::SshSession), None));
            drop((login, idle));
        });
    }

    #[test]
    fn what_an_ordinary_user_forwards_is_not_held() {
        let me = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let inode = session::sockets_of(&[std::process::id()]).unwrap().into_iter().next().unwrap();
        let socket = |uid, sport, dst: &str, phase| Socket {
            flow: Flow {
                proto: Protocol::Tcp,
                src: "192.0.2.1".parse().unwrap(),
                sport,
                dst: dst.parse().ok(),
                dport: Some(443),
                name: None,
            },
            phase,
            inode,
            uid,
        };
        let mut found = Found::default();
        let open = [
            socket(0, 45_001, "", Phase::Listening),
            socket(0, 2222, "203.0.113.8", Phase::Connected),
            socket(0, 45_001, "203.0.113.9", Phase::Connected),
            socket(1000, 8080, "203.0.113.10", Phase::Connected),
            socket(1000, 45_000, "203.0.113.11", Phase::Connected),
            socket(0, 45_002, "203.0.113.12", Phase::Connected),
        ];
        let (parts, alive) = (BTreeMap::new(), BTreeMap::new());
        let mut roads = Roads::new(&mut found, &open, (&parts, &alive), true);
        far_ends(&mut roads, &Session { account: None, holders: vec![std::process::id()] });
        let held: Vec<String> = found.lifeline.addresses.iter().map(|(addr, _)| addr.to_string()).collect();
        assert_eq!(held, ["203.0.113.8", "203.0.113.9"]);
        drop(me);
    }

    #[test]
    fn roots_sshd_on_another_port_is_held_and_somebody_elses_is_not() {
        in_own_network(|| {
            reach(&["198.51.100.1/32", "198.51.100.7/32", "198.51.100.8/32"]);
            let Some(roots) = Sshd::start("openssh", 2222) else { return };
            let Some(rogue) = Sshd::start_as("openssh", 2223, 65_534) else { return };
            let session = Login::with(&roots, "root", "198.51.100.7", &[]);
            let other = Login::try_with(&rogue, "nobody", "198.51.100.8", &["-N"]);
            let mut found = Found::default();
            peers_and_processes(&mut found, &[], &Trusted::default());
            let held = |addr: &str| found.lifeline.holds_address(addr.parse().unwrap());
            assert_eq!((held("198.51.100.7"), held("198.51.100.8")), (Some(LifelineReason::SshSession), None));
            let (real, fake) = (key_of(roots.pid()).unwrap(), key_of(rogue.pid()).unwrap());
            let by_derivation = [real, fake].map(|key| found.lifeline.holds_process(key));
            let by_itself = [real, fake].map(|key| Processes::new().look(key));
            assert_eq!((by_derivation, by_itself), ([Some(LifelineReason::LoginPath), None], [Some(LifelineReason::LoginPath), None]));
            drop((session, other));
        });
    }
}
