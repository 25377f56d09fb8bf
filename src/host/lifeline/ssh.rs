//! Live SSH: the far ends of its connections, and every process between the server and a person's shell.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Found;
use crate::host::pidfd::{Stat, everything};
use crate::model::LifelineReason;

const ESTABLISHED: u8 = 1;
const LISTEN: u8 = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Connection {
    local_port: u16,
    remote: IpAddr,
    state: u8,
    inode: u64,
}

/// Reads processes, their sockets and the TCP tables of this network namespace.
pub(super) fn peers_and_processes(found: &mut Found, attached: &[u32]) {
    let world = match everything() {
        Ok(world) => world,
        Err(why) => return found.unknown("processes", why),
    };
    let alive: BTreeMap<u32, Stat> = world.iter().map(|stat| (stat.pid, *stat)).collect();
    let servers: BTreeSet<u32> = world.iter().filter(|stat| is_ssh_server(stat)).map(|stat| stat.pid).collect();
    let sockets = sockets_of(found, &servers);
    let connections = connections(found);
    let ports: BTreeSet<u16> =
        connections.iter().filter(|c| c.state == LISTEN && sockets.contains(&c.inode)).map(|c| c.local_port).chain([22]).collect();
    // Also a listener that systemd holds for sshd (socket activation) serves its port: 22 counts always.
    for connection in connections.iter().filter(|c| c.state == ESTABLISHED) {
        if sockets.contains(&connection.inode) || ports.contains(&connection.local_port) {
            found.address(connection.remote, LifelineReason::SshSession);
        }
    }
    for stat in &world {
        if stat.pid == 1 || stat.is_kernel_thread() {
            found.process(stat.key(), LifelineReason::Init);
        }
    }
    chain(found, &alive, std::process::id(), LifelineReason::Agent);
    for pid in attached {
        chain(found, &alive, *pid, LifelineReason::LoginPath);
    }
    for pid in &servers {
        found.lifeline_process(&alive, *pid);
    }
    // The shell of a session is what the server started: its direct child that leads a session of its own. What the
    // person runs in it is not protected: an intruder's programs look just like that.
    for stat in world.iter().filter(|stat| servers.contains(&stat.ppid) && stat.session == stat.pid) {
        found.lifeline_process(&alive, stat.pid);
    }
}

impl Found {
    fn lifeline_process(&mut self, alive: &BTreeMap<u32, Stat>, pid: u32) {
        if let Some(stat) = alive.get(&pid) {
            self.process(stat.key(), LifelineReason::LoginPath);
        }
    }
}

/// A process and everything above it.
fn chain(found: &mut Found, alive: &BTreeMap<u32, Stat>, pid: u32, why: LifelineReason) {
    let mut next = alive.get(&pid);
    // A family tree is never deeper than there are processes.
    for _ in 0..alive.len() {
        let Some(stat) = next else { return };
        found.process(stat.key(), why);
        next = alive.get(&stat.ppid);
    }
}

/// By the file it executes, root's own: a name alone can be chosen by anybody.
fn is_ssh_server(stat: &Stat) -> bool {
    let Ok(exe) = fs::read_link(format!("/proc/{}/exe", stat.pid)) else { return false };
    let text = exe.to_string_lossy();
    let path = text.strip_suffix(" (deleted)").unwrap_or(&text);
    let name = path.rsplit('/').next().unwrap_or_default();
    let system = ["/usr/sbin/", "/usr/bin/", "/sbin/", "/usr/lib/", "/usr/libexec/", "/usr/local/sbin/"];
    matches!(name, "sshd" | "sshd-session" | "sshd-auth" | "dropbear") && system.iter().any(|dir| path.starts_with(dir))
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

fn connections(found: &mut Found) -> Vec<Connection> {
    let mut all = Vec::new();
    for table in ["tcp", "tcp6"] {
        match fs::read_to_string(format!("/proc/thread-self/net/{table}")) {
            Ok(text) => all.extend(text.lines().skip(1).filter_map(read_line)),
            Err(why) if table == "tcp6" && why.kind() == std::io::ErrorKind::NotFound => {}
            Err(why) => found.unknown("TCP connections", why),
        }
    }
    all
}

/// `sl local remote state ...`, the inode tenth (proc(5)).
fn read_line(line: &str) -> Option<Connection> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (_, local_port) = fields.get(1)?.split_once(':')?;
    let (remote, _) = fields.get(2)?.split_once(':')?;
    Some(Connection {
        local_port: u16::from_str_radix(local_port, 16).ok()?,
        remote: address(remote)?,
        state: u8::from_str_radix(fields.get(3)?, 16).ok()?,
        inode: fields.get(9)?.parse().ok()?,
    })
}

/// Each group of eight digits is four bytes of the address as a number of this machine's byte order.
fn address(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(hex.get(at * 8..at * 8 + 8)?, 16).ok()?.to_ne_bytes());
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let bytes: Vec<u8> = [word(0)?, word(1)?, word(2)?, word(3)?].concat();
            Some(IpAddr::from(Ipv6Addr::from(*bytes.first_chunk::<16>()?)).to_canonical())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::own_netns::in_own_network;
    use std::net::{TcpListener, TcpStream};
    use std::process::Command;

    #[test]
    fn the_far_end_of_port_22_is_held_in_both_families() {
        in_own_network(|| {
            for words in ["addr add 198.51.100.1/24 dev lo", "addr add 198.51.100.7/24 dev lo"] {
                assert!(Command::new("ip").args(words.split(' ')).status().unwrap().success());
            }
            // A dual-stack listener sees an IPv4 peer in its mapped form.
            let listener = TcpListener::bind("[::]:22").unwrap();
            let client = TcpStream::connect("198.51.100.7:22").unwrap();
            let mut found = Found::default();
            peers_and_processes(&mut found, &[]);
            let peer = client.local_addr().unwrap().ip();
            assert_eq!(found.lifeline.holds_address(peer), Some(LifelineReason::SshSession), "{:?}", found.lifeline);
            drop((client, listener));
        });
    }
}
