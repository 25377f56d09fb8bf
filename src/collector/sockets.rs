//! Sockets by polling: who listens, and on the lower rungs also what appeared since the last look.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ladder::Steps;
use super::{Collector, CollectorError, Sink, Stop, World};
use crate::host::sock_diag::{self, Phase, SockDiagError, Socket};
use crate::host::{clock, procfs};
use crate::model::{Event, EventId, EventKind, Flow, ProcessKey, Protocol, Rung, Source};

/// Beside eBPF, which reports sockets itself, the poll only keeps the list of listeners.
const BESIDE_EBPF: Duration = Duration::from_secs(2);
/// Alone it must be quicker than most connections.
const ALONE: Duration = Duration::from_millis(250);
/// So many times as long when the agent must save its own cost.
const RARELY: u32 = 5;
/// Naps between polls, so that a stop is seen in time.
const NAP: Duration = Duration::from_millis(50);
/// Looks for the holder of one socket before it is taken for a socket of the kernel itself.
const LOOKS: u8 = 3;

/// Descriptors of one process looked through for a listener.
const HELD_MOST: usize = 4096;

/// What the last poll found.
#[derive(Debug, Default)]
pub(super) struct SocketWatch {
    /// By inode: the holder, and how often it was looked for.
    seen: HashMap<u64, (Option<ProcessKey>, u8)>,
    /// A first look finds what was there before us, which is no event: whether there was one at listeners, and
    /// whether the last one was at connections too.
    looked: bool,
    looked_at_connections: bool,
}

impl SocketWatch {
    /// One poll: renews the world's listeners and their roles; hands over what is new.
    pub(super) fn poll(&mut self, world: &World, with_connections: bool) -> Result<Vec<(Socket, Option<ProcessKey>)>, SockDiagError> {
        let dump = if with_connections { sock_diag::dump() } else { sock_diag::listeners() }?;
        let sockets: Vec<Socket> = dump.sockets.into_iter().filter(|s| s.inode != 0 && s.flow.proto == Protocol::Tcp).collect();
        let unknown = |inode: &u64| self.seen.get(inode).is_none_or(|(owner, looks)| owner.is_none() && *looks < LOOKS);
        let wanted: HashSet<u64> = sockets.iter().map(|socket| socket.inode).filter(unknown).collect();
        let owners = owners(world, &wanted);
        let mut seen = HashMap::with_capacity(sockets.len());
        let (mut fresh, mut listeners) = (Vec::new(), Vec::new());
        for socket in sockets {
            let (before, looks) = self.seen.get(&socket.inode).copied().unwrap_or_default();
            let owner = before.or_else(|| owners.get(&socket.inode).copied());
            seen.insert(socket.inode, (owner, looks.saturating_add(1)));
            if socket.phase == Phase::Listening {
                listeners.push((socket.flow.clone(), owner));
                if let Some(owner) = owner.filter(|_| before.is_none()) {
                    world.mark_listener(owner, socket.flow.sport);
                }
            }
            let comparable = if socket.phase == Phase::Listening { self.looked } else { self.looked_at_connections };
            if comparable && looks == 0 {
                fresh.push((socket, owner));
            }
        }
        world.set_listeners(listeners);
        (self.seen, self.looked, self.looked_at_connections) = (seen, true, with_connections);
        Ok(fresh)
    }
}

/// The port and address of a listener that the kernel reported before it had chosen a port: the newest listening
/// socket that the process holds and that was not known before.
pub(super) fn chosen_endpoint(world: &World, pid: u32) -> Option<Flow> {
    let listening = sock_diag::listeners().ok()?.sockets;
    let known = world.known_listeners();
    let held: HashSet<u64> = procfs::sockets_of(pid).take(HELD_MOST).collect();
    let fresh = listening.into_iter().filter(|s| held.contains(&s.inode) && known.iter().all(|(flow, _)| *flow != s.flow));
    fresh.max_by_key(|socket| socket.inode).map(|socket| socket.flow)
}

/// Of each socket the oldest process that holds it.
fn owners(world: &World, wanted: &HashSet<u64>) -> HashMap<u64, ProcessKey> {
    let oldest = |pids: Vec<u32>| {
        pids.into_iter().filter_map(|pid| Some(world.by_pid(pid).or_else(|| world.adopt(pid))?.key)).min_by_key(|key| (key.start, key.pid))
    };
    procfs::holders(wanted).into_iter().filter_map(|(inode, pids)| Some((inode, oldest(pids)?))).collect()
}

/// The polling thread.
pub(super) struct SocketCollector(pub(super) Arc<Steps>);

impl Collector for SocketCollector {
    fn name(&self) -> &'static str {
        "sockets"
    }

    fn run(&mut self, sink: &dyn Sink, stop: &Stop) -> Result<(), CollectorError> {
        let mut last = Instant::now();
        while !stop.is_set() {
            let alone = self.0.rung() != Rung::Ebpf;
            let every = if alone { ALONE } else { BESIDE_EBPF };
            if last.elapsed() >= every * if self.0.polls_rarely() { RARELY } else { 1 } {
                last = Instant::now();
                let fresh = self.0.poll_sockets(alone).map_err(failed)?;
                if alone {
                    tell(&self.0.world, sink, fresh);
                }
            }
            std::thread::sleep(NAP);
        }
        Ok(())
    }
}

fn failed(error: SockDiagError) -> CollectorError {
    CollectorError {
        what: "list of sockets".to_owned(),
        why: error.to_string(),
        mend: "load the modules inet_diag, tcp_diag and udp_diag, and run as root".to_owned(),
    }
}

/// A connection whose local port somebody listens on came from outside.
fn tell(world: &World, sink: &dyn Sink, fresh: Vec<(Socket, Option<ProcessKey>)>) {
    let listening: HashSet<u16> = world.known_listeners().iter().map(|(flow, _)| flow.sport).collect();
    for (socket, owner) in fresh {
        let kind = match socket.phase {
            Phase::Listening => EventKind::Listen { net: socket.flow },
            Phase::Connecting | Phase::Connected | Phase::Closing if !listening.contains(&socket.flow.sport) => {
                EventKind::Connect { net: world.enrichment().named(socket.flow) }
            }
            _ => continue,
        };
        let process = owner.and_then(|key| world.get(key));
        let complete = process.is_some();
        sink.emit(Event { id: EventId(0), at: clock::wall(clock::boot_ns()), kind, process, source: Source::SockDiag, complete });
    }
}
