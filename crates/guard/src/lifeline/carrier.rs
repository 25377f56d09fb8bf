//! What carries a session that does not come straight from the network: the program behind its near end, or the tunnel over
//! which it arrives. Cutting that off, or holding it, would cut the owner off.
//!
//! What cannot be followed to its far end is said, so that whatever is done to an address must be confirmed in time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Mutex;

use super::inside::{self, is_other_end};
use super::link::{self, Kind, Link};
use super::session::{self, Part};
use super::{Found, wireguard};
use bartizan_enforce::nft::conntrack;
use bartizan_model::{Flow, LifelineReason, Unpoisoned as _};
use bartizan_sys::process_stat::Stat;
use bartizan_sys::sock_diag::{Phase, Socket};
use bartizan_sys::{proc_files, socket_holders, system_program};

/// Carriers behind carriers: a tunnel through a proxy through a tunnel, and no further.
const MAX_DEPTH: u8 = 6;
/// Steps up from a program to the server through which somebody logged in to start it.
const MAX_ANCESTORS: usize = 16;
/// Far ends of one program of which one is the owner's; of more it is said that nobody can tell.
const MAX_FAR_ENDS: usize = 64;
/// UDP peers that connection tracking is asked for.
const MAX_TRACKED: usize = 8192;

/// Follows sessions to where they come from.
pub(super) struct Roads<'a> {
    pub(super) found: &'a mut Found,
    pub(super) open: &'a [Socket],
    pub(super) parts: &'a BTreeMap<u32, Part>,
    pub(super) alive: &'a BTreeMap<u32, Stat>,
    /// Whether somebody who can become root, or uses the guard, logged in. Of anybody else a program that calls out must not
    /// make whom it calls untouchable.
    pub(super) trusted: bool,
    seen: BTreeSet<u32>,
}

impl<'a> Roads<'a> {
    pub(super) fn new(
        found: &'a mut Found,
        open: &'a [Socket],
        (parts, alive): (&'a BTreeMap<u32, Part>, &'a BTreeMap<u32, Stat>),
        trusted: bool,
    ) -> Self {
        Self { found, open, parts, alive, trusted, seen: BTreeSet::new() }
    }

    /// A session's own connection: its far end is held whoever logged in.
    pub(super) fn session(&mut self, flow: &Flow) {
        let Some(far) = flow.dst else { return };
        self.found.address(far, LifelineReason::SshSession);
        self.behind(flow, far, 0);
    }

    /// A session without a connection of its own: an inetd-like program above it has one and copies.
    pub(super) fn handed_down(&mut self, holder: u32) {
        let mut above = self.alive.get(&holder).map(|stat| stat.ppid);
        for _ in 0..3 {
            let Some(pid) = above.filter(|pid| *pid > 1) else { break };
            if !self.connections(pid, None).is_empty() {
                return self.program(pid, None, 1, "the SSH server's input");
            }
            above = self.alive.get(&pid).map(|stat| stat.ppid);
        }
        self.found.unknown("where an SSH session comes from", format!("sshd (pid {holder}) has no connection, nor has what started it"));
    }

    /// A shell of the owner's that goes on without its SSH session and hears from wherever they are: utmp tells, or connection
    /// tracking.
    pub(super) fn roaming(&mut self, pid: u32) {
        if let Some(stat) = self.alive.get(&pid) {
            self.found.process(stat.key(), LifelineReason::LoginPath);
        }
        let mut ends = self.tracked(pid);
        ends.sort_unstable();
        ends.dedup();
        match ends.as_slice() {
            [] if super::login::is_written(pid) => {}
            [] => {
                self.found.unknown(&format!("where the owner of mosh-server (pid {pid}) is"), "neither utmp nor connection tracking tells")
            }
            ends => self.hold(ends, &format!("mosh-server (pid {pid})")),
        }
    }

    /// What a connection with this far end arrives over.
    fn behind(&mut self, flow: &Flow, far: IpAddr, depth: u8) {
        if depth > MAX_DEPTH {
            return self.found.unknown("what carries an SSH session", "too many programs and tunnels stand behind each other");
        }
        if far.is_loopback() || self.found.is_own(far) {
            return self.local(flow, depth);
        }
        match link::towards(far) {
            Ok(Some(Link { name, kind: Kind::Inside })) => self.inside(flow, &name, far, depth),
            Ok(Some(link)) => self.over(&link.name, &link.kind, far, depth),
            Ok(None) => {}
            Err(why) => self.found.unknown("the device over which an SSH session arrives", why),
        }
    }

    /// The other end is on this host too.
    fn local(&mut self, flow: &Flow, depth: u8) {
        let other = self.open.iter().find(|socket| is_other_end(&socket.flow, flow));
        let holders = other.map(|socket| holders_of(socket.inode)).unwrap_or_default();
        if holders.is_empty() {
            let from = flow.dst.map(|addr| addr.to_string()).unwrap_or_default();
            return self.found.unknown("what carries an SSH session", format!("nobody shows the other end of the one from {from}"));
        }
        for pid in holders {
            self.program(pid, other.map(|socket| socket.inode), depth + 1, "loopback");
        }
    }

    /// The other end is in a container or another network of this host: what holds it there is followed there.
    fn inside(&mut self, flow: &Flow, device: &str, far: IpAddr, depth: u8) {
        let Some(open) = inside::other_end(flow) else {
            return self.untold(far, device, "no container or network of this host shows the other end");
        };
        let mut there = Roads {
            found: &mut *self.found,
            open: &open,
            parts: self.parts,
            alive: self.alive,
            trusted: self.trusted,
            seen: BTreeSet::new(),
        };
        there.local(flow, depth);
    }

    fn over(&mut self, device: &str, kind: &Kind, far: IpAddr, depth: u8) {
        let name = device.escape_debug();
        match kind {
            Kind::Plain => {}
            Kind::FarEnd(end) => {
                self.tell(format!("an SSH session arrives from {far} over the tunnel {name}, whose far end is {end}"));
                self.hold(&[*end], &format!("the tunnel {name}"));
            }
            Kind::WireGuard => match wireguard::endpoint(device, far) {
                Ok(Some(end)) => {
                    self.tell(format!("an SSH session arrives from {far} over WireGuard ({name}), whose peer is at {end}"));
                    self.hold(&[end], &format!("WireGuard ({name})"));
                }
                Ok(None) => self.untold(far, &format!("WireGuard ({name})"), "no peer with that address tells where it is"),
                Err(why) => self.untold(far, &format!("WireGuard ({name})"), &why.to_string()),
            },
            Kind::Program => match owner_of_tun(device) {
                Some(pid) => self.program(pid, None, depth + 1, &format!("the tunnel {name}")),
                None => self.untold(far, &format!("the tunnel {name}"), "no program shows that it owns it"),
            },
            Kind::Inside => {}
            Kind::Unknown(kind) => self.untold(far, device, &format!("{kind} does not tell its far end")),
        }
    }

    fn untold(&mut self, far: IpAddr, over: &str, why: &str) {
        self.tell(format!("an SSH session arrives from {far} over {over}"));
        self.found.unknown(&format!("what carries the SSH session from {far} over {over}"), why);
    }

    fn tell(&mut self, line: String) {
        let ways = &mut self.found.lifeline.ways;
        if ways.len() < 16 && !ways.contains(&line) {
            ways.push(line);
        }
    }

    /// A program that stands in between: it must go on, and so must its own far ends.
    fn program(&mut self, pid: u32, near: Option<u64>, depth: u8, over: &str) {
        if !self.seen.insert(pid) {
            return;
        }
        let Some(stat) = self.alive.get(&pid).copied().or_else(|| Stat::read(pid)) else { return };
        let what = format!("{} (pid {pid})", system_program::name(pid).unwrap_or_else(|| "a program".to_owned()));
        if self.trusted {
            self.found.process(stat.key(), LifelineReason::Carrier);
        }
        let mut next = self.connections(pid, near);
        if next.is_empty() {
            next = self.of_relatives(&stat, near);
        }
        let (inner, outer): (Vec<Flow>, Vec<Flow>) =
            next.into_iter().partition(|flow| flow.dst.is_some_and(|far| far.is_loopback() || self.found.is_own(far)));
        let mut ends: Vec<IpAddr> = outer.iter().filter_map(|flow| flow.dst).collect();
        if ends.is_empty() && inner.is_empty() {
            ends = self.tracked(pid);
        }
        ends.sort_unstable();
        ends.dedup();
        let shown = ends.iter().take(3).map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match (ends.len(), inner.is_empty()) {
            // A person or a timer of this host: nobody is behind it.
            (0, true) if near.is_some() && !self.is_open(pid) => {
                self.tell(format!("an SSH session arrives over {over}, begun on this host by {what}"));
            }
            (0, true) => {
                self.tell(format!("an SSH session arrives over {over}, carried by {what}"));
                self.found.unknown(&format!("the far end of {what}, which carries an SSH session over {over}"), "it shows no connection");
            }
            (0, false) => self.tell(format!("an SSH session arrives over {over}, carried by {what}")),
            (1, _) => self.tell(format!("an SSH session arrives over {over}, carried by {what} from {shown}")),
            (many, _) => self.tell(format!("an SSH session arrives over {over}, carried by {what}, which has {many} far ends")),
        }
        self.hold(&ends, &what);
        // What it has to do with others of this host says nothing about whom it carries, when it has far ends of its own.
        let inner = if ends.is_empty() { inner } else { Vec::new() };
        for flow in inner.iter().chain(&outer) {
            if let Some(far) = flow.dst {
                self.behind(flow, far, depth);
            }
        }
    }

    /// ssh(1) leaves the connection to its ProxyCommand, others to the process that started them; and whoever logged in to
    /// start the program is behind it.
    fn of_relatives(&mut self, stat: &Stat, near: Option<u64>) -> Vec<Flow> {
        let children = self.alive.values().filter(|other| other.ppid == stat.pid).map(|other| other.pid);
        let mut family: Vec<u32> = children.collect();
        let mut above = self.alive.get(&stat.ppid);
        for step in 0..MAX_ANCESTORS {
            let Some(ancestor) = above.filter(|ancestor| ancestor.pid > 1) else { break };
            let is_server = self.parts.contains_key(&ancestor.pid);
            if step == 0 || is_server {
                family.push(ancestor.pid);
            }
            // One step more: with OpenSSH the process above holds the connection too, and the one above that is the listener.
            above = self.alive.get(&ancestor.ppid);
        }
        let mut next = Vec::new();
        for relative in family {
            let theirs = self.connections(relative, near);
            let key = self.alive.get(&relative).filter(|_| !theirs.is_empty() && self.trusted).map(Stat::key);
            if let Some(key) = key {
                self.found.process(key, LifelineReason::Carrier);
            }
            next.extend(theirs);
        }
        next
    }

    /// Whether a process may hear from others in a way that shows no far end: an unconnected UDP socket, or another network.
    fn is_open(&self, pid: u32) -> bool {
        let held = session::sockets_of(&[pid]).unwrap_or_default();
        let bound = |socket: &Socket| socket.phase == Phase::Bound && !socket.flow.src.is_loopback() && held.contains(&socket.inode);
        self.open.iter().any(bound)
    }

    /// The one far end of what carries a session is held; of several nobody can tell which, nor whether somebody without
    /// rights only calls out.
    fn hold(&mut self, ends: &[IpAddr], what: &str) {
        match ends {
            [end] if self.trusted => self.found.address(*end, LifelineReason::Carrier),
            ends if ends.len() <= MAX_FAR_ENDS => {
                ends.iter().for_each(|end| self.found.uncertain(*end, format!("{what} carries an SSH session, perhaps from there")));
            }
            ends => self.found.unknown(&format!("which far end of {what} is the owner's"), format!("it has {}", ends.len())),
        }
    }

    /// Connections of a process but for this one.
    fn connections(&mut self, pid: u32, but: Option<u64>) -> Vec<Flow> {
        let held = match session::sockets_of(&[pid]) {
            Ok(held) => held,
            Err(why) => {
                self.found.unknown(&format!("the sockets of pid {pid}, which carries an SSH session"), why);
                return Vec::new();
            }
        };
        let own = self.open.iter().filter(|socket| held.contains(&socket.inode) && Some(socket.inode) != but);
        own.filter(|socket| socket.phase == Phase::Connected).map(|socket| socket.flow.clone()).collect()
    }

    /// Whom a process speaks with over UDP without a connected socket, where connection tracking remembers.
    fn tracked(&self, pid: u32) -> Vec<IpAddr> {
        let held = session::sockets_of(&[pid]).unwrap_or_default();
        let bound = |socket: &&Socket| socket.phase == Phase::Bound && held.contains(&socket.inode);
        let ports: BTreeSet<u16> = self.open.iter().filter(bound).map(|socket| socket.flow.sport).collect();
        if ports.is_empty() {
            return Vec::new();
        }
        let peers = conntrack::udp_peers(MAX_TRACKED).unwrap_or_default();
        let theirs = peers.into_iter().filter(|(addr, _, ours)| ports.contains(ours) && !addr.is_loopback() && !self.found.is_own(*addr));
        theirs.map(|(addr, ..)| addr).collect()
    }
}

/// Processes that hold a socket. Looking through all descriptors of a host takes long: who held it last is asked first.
fn holders_of(inode: u64) -> Vec<u32> {
    static LAST: Mutex<BTreeMap<u64, Vec<u32>>> = Mutex::new(BTreeMap::new());
    let holds = |pid: &u32| socket_holders::holds(*pid, inode).unwrap_or(false);
    let mut last = LAST.lock().unpoisoned();
    if let Some(known) = last.get(&inode).filter(|known| known.iter().all(&holds)) {
        return known.clone();
    }
    let holders: Vec<u32> = proc_files::pids().unwrap_or_default().into_iter().filter(holds).collect();
    if last.len() >= MAX_FAR_ENDS {
        last.clear();
    }
    last.insert(inode, holders.clone());
    holders
}

/// The process that reads and writes the packets of a tun or tap device: its descriptor says `iff:` and the name.
fn owner_of_tun(device: &str) -> Option<u32> {
    static LAST: Mutex<BTreeMap<String, u32>> = Mutex::new(BTreeMap::new());
    let mut last = LAST.lock().unpoisoned();
    if let Some(pid) = last.get(device).copied().filter(|pid| owns(*pid, device)) {
        return Some(pid);
    }
    let owners: Vec<u32> = proc_files::pids().ok()?.into_iter().filter(|pid| owns(*pid, device)).collect();
    let here = std::fs::read_link("/proc/thread-self/ns/net").ok();
    // Another network may have a device of the same name.
    let is_here = |pid: &&u32| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok() == here;
    let owner = owners.iter().find(is_here).or(owners.first()).copied()?;
    if last.len() >= MAX_FAR_ENDS {
        last.clear();
    }
    last.insert(device.to_owned(), owner);
    Some(owner)
}

fn owns(pid: u32, device: &str) -> bool {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    let tuns = entries.flatten().take(1024).filter(|entry| std::fs::read_link(entry.path()).is_ok_and(|to| to.ends_with("net/tun")));
    tuns.into_iter().any(|entry| {
        let info = proc_files::text(pid, &format!("fdinfo/{}", entry.file_name().to_string_lossy())).unwrap_or_default();
        info.lines().any(|line| line.strip_prefix("iff:").is_some_and(|name| name.trim() == device))
    })
}
