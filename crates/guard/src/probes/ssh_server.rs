//! The SSH server: where it really listens, who of it does, and whether it can take whoever comes; nobody connects for that.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Mutex;

use bartizan_model::{Probe, ProbeKind, ProbeState, ProcessKey, Unpoisoned as _};
use bartizan_sys::accept_queue::{self, Queue};
use bartizan_sys::pidfd::key_of;
use bartizan_sys::process_stat::Stat;
use bartizan_sys::socket_holders::{self, Holders};
use bartizan_sys::system_program;

/// The port of SSH (IANA); systemd may listen on it for a server that is started by the first connection.
pub const SSH: u16 = 22;
/// Addresses of servers that are asked.
const MOST: usize = 8;

/// The listening sockets that there were, and those of SSH servers: looked for in /proc only when the set has changed or a
/// holder has ended.
static KNOWN: Mutex<Option<(BTreeSet<u64>, Holders)>> = Mutex::new(None);

/// One place where an SSH server listens.
#[derive(Debug, Clone)]
pub struct Server {
    queue: Queue,
    holders: Vec<u32>,
}

/// Where SSH servers listen in our network namespace.
pub fn servers() -> Vec<Server> {
    let Ok(queues) = accept_queue::all() else { return Vec::new() };
    let listening: BTreeSet<u64> = queues.iter().map(|queue| queue.inode).collect();
    let mut known = KNOWN.lock().unpoisoned();
    let lives = |holders: &Holders| holders.values().flatten().all(|pid| system_program::is_ssh_server(*pid));
    let servers = match &*known {
        Some((then, servers)) if *then == listening && lives(servers) => servers.clone(),
        _ => {
            let servers = socket_holders::among(&listening, system_program::is_ssh_server);
            *known = Some((listening, servers.clone()));
            servers
        }
    };
    drop(known);
    let ours = queues.into_iter().filter(|queue| queue.at.port() == SSH || servers.contains_key(&queue.inode));
    let mut found: Vec<Server> =
        ours.map(|queue| Server { queue, holders: servers.get(&queue.inode).cloned().unwrap_or_default() }).collect();
    found.sort_unstable_by_key(|server| server.queue.at);
    found.dedup_by_key(|server| server.queue.at);
    found.truncate(MOST);
    found
}

impl Server {
    /// Whoever listens there, for tests.
    #[cfg(test)]
    pub(super) fn on(at: SocketAddr) -> Self {
        let queue = accept_queue::all().unwrap().into_iter().find(|queue| queue.at == at);
        Self { queue: queue.unwrap_or(Queue { at, inode: 0, waiting: 0, room: 128 }), holders: Vec::new() }
    }

    /// Where.
    pub fn at(&self) -> SocketAddr {
        self.queue.at
    }

    /// A sign of it.
    pub(super) fn sign(&self, state: ProbeState, detail: impl Into<String>) -> Probe {
        let own = (!self.queue.at.ip().is_unspecified()).then_some(self.queue.at.ip());
        let sign = Probe::new(ProbeKind::SshServer, format!("tcp {}", self.queue.at), state, detail);
        sign.over(own).made_of(self.keys())
    }

    fn keys(&self) -> impl Iterator<Item = ProcessKey> {
        self.holders.iter().filter_map(|pid| key_of(*pid))
    }

    /// Whether it can take whoever comes, as far as the kernel tells without anybody connecting.
    pub fn standing(&self) -> Probe {
        let Queue { waiting, room, .. } = self.queue;
        let stopped = |pid: &&u32| Stat::read(**pid).is_some_and(|stat| matches!(stat.state, b'T' | b't'));
        if let (Some(pid), true) = (self.holders.first(), self.holders.iter().all(|pid| stopped(&pid))) {
            return self.sign(ProbeState::Ill, format!("its process {pid} is stopped"));
        }
        match self.queue.is_full() {
            true => self.sign(ProbeState::Busy, format!("its queue is full: {waiting} connections wait, it takes {room}")),
            false => self.sign(ProbeState::Well, format!("listens, {waiting} connections wait")),
        }
    }
}
