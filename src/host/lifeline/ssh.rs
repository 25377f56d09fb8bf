//! Live SSH: the far ends of its connections, and every process between the server and a person's shell.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::{Found, place};
use crate::host::pidfd::{Stat, everything};
use crate::host::sock_diag::{Phase, Socket, first_chosen_port};
use crate::host::system_program;
use crate::model::{LifelineReason, Protocol};

/// Where SSH is served when nobody says otherwise; a listener that systemd holds for sshd (socket activation) too.
pub(super) const PORT: u16 = 22;

/// What was found besides.
#[derive(Debug, Default)]
pub(super) struct Served {
    /// The ports that the SSH server serves, 22 first.
    pub(super) ports: Vec<u16>,
    /// Attached consoles and what those run under: pids.
    pub(super) people: Vec<u32>,
    /// Shells of live sessions: pids.
    pub(super) shells: Vec<u32>,
}

/// Reads processes and finds the sockets of the SSH server among `open`.
pub(super) fn peers_and_processes(found: &mut Found, attached: &[u32], open: &[Socket]) -> Served {
    let world = match everything() {
        Ok(world) => world,
        Err(why) => {
            found.unknown("processes", why);
            return Served { ports: vec![PORT], ..Served::default() };
        }
    };
    let alive: BTreeMap<u32, Stat> = world.iter().map(|stat| (stat.pid, *stat)).collect();
    let servers = servers(&world);
    let sockets = sockets_of(found, &servers);
    let ports = peers(found, &sockets, open);
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
    for pid in &servers {
        found.lifeline_process(&alive, *pid);
        place::of(found, *pid, LifelineReason::LoginPath);
    }
    // The shell of a session is what the server started: its direct child that leads a session of its own. What the
    // person runs in it is not protected: an intruder's programs look just like that.
    let is_shell = |stat: &&Stat| servers.contains(&stat.ppid) && stat.session == stat.pid && !servers.contains(&stat.pid);
    let shells: Vec<u32> = world.iter().filter(is_shell).map(|stat| stat.pid).collect();
    shells.iter().for_each(|pid| found.lifeline_process(&alive, *pid));
    Served { ports, people, shells }
}

/// Holds the far ends of the server's connections. Only what root opened counts: a person's own forwarding, from or to
/// anywhere, goes through sockets of theirs, and must not make a stranger untouchable.
fn peers(found: &mut Found, sockets: &BTreeSet<u64>, open: &[Socket]) -> Vec<u16> {
    let chosen = first_chosen_port();
    let of_server = |socket: &Socket| socket.uid == 0 && sockets.contains(&socket.inode);
    let tcp = || open.iter().filter(|socket| socket.flow.proto == Protocol::Tcp);
    let listens = |socket: &&Socket| socket.phase == Phase::Listening || socket.phase == Phase::Connected && socket.flow.sport < chosen;
    let ports: BTreeSet<u16> =
        tcp().filter(listens).filter(|socket| of_server(socket)).map(|socket| socket.flow.sport).chain([PORT]).collect();
    for socket in tcp().filter(|socket| socket.phase == Phase::Connected) {
        if let Some(remote) = socket.flow.dst.filter(|_| of_server(socket) || ports.contains(&socket.flow.sport)) {
            found.address(remote, LifelineReason::SshSession);
        }
    }
    // The usual one first: it is never the one left out when there are many.
    [PORT].into_iter().chain(ports.into_iter().filter(|port| *port != PORT)).collect()
}

/// Root's SSH servers and what those started: one that anybody else runs is no way in of the owner's.
fn servers(world: &[Stat]) -> BTreeSet<u32> {
    let looks_so: Vec<&Stat> = world.iter().filter(|stat| system_program::is_ssh_server(stat.pid)).collect();
    let mut servers: BTreeSet<u32> = looks_so.iter().filter(|stat| real_uid(stat.pid) == Some(0)).map(|stat| stat.pid).collect();
    // sshd, its monitor, its child: three deep.
    for _ in 0..3 {
        let more: Vec<u32> = looks_so.iter().filter(|stat| servers.contains(&stat.ppid)).map(|stat| stat.pid).collect();
        servers.extend(more);
    }
    servers
}

impl Found {
    fn lifeline_process(&mut self, alive: &BTreeMap<u32, Stat>, pid: u32) {
        if let Some(stat) = alive.get(&pid) {
            self.process(stat.key(), LifelineReason::LoginPath);
        }
    }
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

/// The real user id of a living process (`/proc/PID/status`; the owner of the directory is root's for many others too).
pub(super) fn real_uid(pid: u32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_ascii_whitespace().next()?.parse().ok()
}

fn sockets_of(found: &mut Found, pids: &BTreeSet<u32>) -> BTreeSet<u64> {
    let mut inodes = BTreeSet::new();
    for pid in pids {
        match fs::read_dir(format!("/proc/{pid}/fd")) {
            Ok(entries) => inodes.extend(entries.flatten().take(1024).filter_map(|entry| {
                let link = fs::read_link(entry.path()).ok()?;
                link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse::<u64>().ok()
            })),
            // It ended since.
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => {}
            Err(why) => found.unknown("sockets of the SSH server", why),
        }
    }
    inodes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::own_netns::{connected_from, in_own_network};
    use crate::host::sock_diag::dump;
    use std::net::TcpListener;
    use std::process::Command;

    #[test]
    fn the_far_end_of_port_22_is_held_in_both_families() {
        in_own_network(|| {
            for words in ["addr add 198.51.100.1/24 dev lo", "addr add 198.51.100.7/24 dev lo"] {
                assert!(Command::new("ip").args(words.split(' ')).status().unwrap().success());
            }
            // A dual-stack listener sees an IPv4 peer in its mapped form.
            let (ssh, web) = (TcpListener::bind("[::]:22").unwrap(), TcpListener::bind("[::]:80").unwrap());
            let client = connected_from("198.51.100.7", "198.51.100.1", 22);
            let visitor = connected_from("198.51.100.1", "198.51.100.7", 80);
            let mut found = Found::default();
            let Served { ports, .. } = peers_and_processes(&mut found, &[], &dump().unwrap().sockets);
            assert_eq!(ports[0], PORT);
            let held = |addr: &str| found.lifeline.holds_address(addr.parse().unwrap());
            assert_eq!(held("198.51.100.7"), Some(LifelineReason::SshSession), "{:?}", found.lifeline);
            assert_eq!(held("198.51.100.1"), None, "a visitor of another port");
            drop((client, visitor, ssh, web));
        });
    }

    #[test]
    fn what_an_ordinary_user_forwards_is_not_held() {
        use crate::model::Flow;
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
            inode: 7,
            uid,
        };
        let mut found = Found::default();
        let open = [
            socket(0, 2222, "", Phase::Listening),
            socket(0, 2222, "203.0.113.9", Phase::Connected),
            socket(1000, 8080, "", Phase::Listening),
            socket(1000, 8080, "203.0.113.10", Phase::Connected),
            socket(1000, 45_000, "203.0.113.11", Phase::Connected),
        ];
        assert_eq!(peers(&mut found, &BTreeSet::from([7]), &open), [22, 2222]);
        let held: Vec<String> = found.lifeline.addresses.iter().map(|(addr, _)| addr.to_string()).collect();
        assert_eq!(held, ["203.0.113.9"]);
    }

    /// Ends with the test, however that ends.
    struct Sshd(std::process::Child);

    impl Drop for Sshd {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// A real sshd on `port`, as user `uid`; nothing when there is none here.
    fn sshd(dir: &std::path::Path, port: u16, uid: u32) -> Option<Sshd> {
        use std::os::unix::process::CommandExt;
        if !std::path::Path::new("/usr/sbin/sshd").exists() {
            eprintln!("skipped: needs openssh-server");
            return None;
        }
        fs::create_dir_all("/run/sshd").unwrap();
        let key = dir.join(format!("key{port}"));
        let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status().unwrap();
        assert!(made.success());
        std::os::unix::fs::chown(&key, Some(uid), None).unwrap();
        let options = ["-D", "-f", "/dev/null", "-o", "PidFile=none", "-o", "UsePAM=no", "-p"];
        let child = Sshd(Command::new("/usr/sbin/sshd").args(options).arg(port.to_string()).arg("-h").arg(&key).uid(uid).spawn().unwrap());
        for _ in 0..200 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(child);
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("sshd does not listen on {port}");
    }

    #[test]
    fn roots_sshd_on_another_port_is_held_and_somebody_elses_is_not() {
        use crate::host::lifeline::check::Processes;
        use crate::host::pidfd::key_of;
        in_own_network(|| {
            for addr in ["198.51.100.1/32", "198.51.100.7/32", "198.51.100.8/32"] {
                assert!(Command::new("ip").args(["addr", "add", addr, "dev", "lo"]).status().unwrap().success());
            }
            let dir = tempfile::tempdir().unwrap();
            fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
            let Some(roots) = sshd(dir.path(), 2222, 0) else { return };
            let Some(rogue) = sshd(dir.path(), 2223, 65_534) else { return };
            let session = connected_from("198.51.100.7", "198.51.100.1", 2222);
            let other = connected_from("198.51.100.8", "198.51.100.1", 2223);
            let mut found = Found::default();
            let Served { ports, .. } = peers_and_processes(&mut found, &[], &dump().unwrap().sockets);
            assert!(ports.contains(&2222) && !ports.contains(&2223), "{ports:?}");
            let held = |addr: &str| found.lifeline.holds_address(addr.parse().unwrap());
            assert_eq!((held("198.51.100.7"), held("198.51.100.8")), (Some(LifelineReason::SshSession), None));
            let (real, fake) = (key_of(roots.0.id()).unwrap(), key_of(rogue.0.id()).unwrap());
            let by_derivation = [real, fake].map(|key| found.lifeline.holds_process(key));
            let by_itself = [real, fake].map(|key| Processes::new().look(key));
            assert_eq!((by_derivation, by_itself), ([Some(LifelineReason::LoginPath), None], [Some(LifelineReason::LoginPath), None]));
            drop((session, other));
        });
    }
}
