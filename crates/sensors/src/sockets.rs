//! Sockets by polling: who listens, and on the lower rungs also what appeared since the last look.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ladder::Steps;
use super::{Collector, CollectorError, ProcessCache, Sink, Stop};
use bartizan_model::{Event, EventId, EventKind, Flow, ProcessKey, Protocol, Rung, Source};
use bartizan_sys::sock_diag::{self, Phase, SockDiagError, Socket};
use bartizan_sys::{clock, socket_holders};

/// Beside eBPF, which reports sockets itself, the poll only keeps the list of listeners.
const BESIDE_EBPF: Duration = Duration::from_secs(2);
/// Alone it must be quicker than most connections.
const ALONE: Duration = Duration::from_millis(250);
/// So many times as long when the agent must save its own cost.
const RARELY: u32 = 5;
/// Looks for the holder of one socket before it is taken for a socket of the kernel itself.
const LOOKS: u8 = 3;

/// Descriptors of one process looked through for a listener.
const MAX_HELD: usize = 4096;

/// A UDP socket on a port that the kernel chose may be a client's and wait for one answer: only after this long it is
/// taken for one that waits for anybody. Resolvers give up within ten seconds (resolv.conf(5): 5 s, twice).
const HELD: Duration = Duration::from_secs(10);

/// What the last polls found of one socket.
#[derive(Debug, Clone, Copy)]
struct Known {
    owner: Option<ProcessKey>,
    /// How often its holder was looked for.
    looks: u8,
    since: Instant,
    /// It is an event already, or was there before us.
    told: bool,
}

/// What the last poll found.
#[derive(Debug, Default)]
pub(super) struct SocketWatch {
    /// By inode.
    seen: HashMap<u64, Known>,
    /// A first look finds what was there before us, which is no event: whether there was one at listeners, and
    /// whether the last one was at connections too.
    looked: bool,
    looked_at_connections: bool,
}

impl SocketWatch {
    /// One poll: renews the cache's listeners and their roles; hands over what is new.
    pub(super) fn poll(
        &mut self,
        cache: &ProcessCache,
        with_connections: bool,
    ) -> Result<Vec<(Socket, Option<ProcessKey>)>, SockDiagError> {
        let dump = if with_connections { sock_diag::dump() } else { sock_diag::waiting() }?;
        let chosen = sock_diag::first_chosen_port();
        Ok(self.compare(dump.sockets, cache, with_connections, chosen, Instant::now()))
    }

    fn compare(
        &mut self,
        sockets: Vec<Socket>,
        cache: &ProcessCache,
        with_connections: bool,
        chosen: u16,
        now: Instant,
    ) -> Vec<(Socket, Option<ProcessKey>)> {
        // UDP destinations are not to be had by polling: most last for one datagram.
        let sockets: Vec<Socket> =
            sockets.into_iter().filter(|s| s.inode != 0 && (s.flow.proto == Protocol::Tcp || s.phase == Phase::Bound)).collect();
        let unknown = |inode: &u64| self.seen.get(inode).is_none_or(|known| known.owner.is_none() && known.looks < LOOKS);
        let wanted: HashSet<u64> = sockets.iter().map(|socket| socket.inode).filter(unknown).collect();
        let owners = owners(cache, &wanted);
        let mut seen = HashMap::with_capacity(sockets.len());
        let (mut fresh, mut listeners): (Vec<(Socket, Option<ProcessKey>)>, Vec<_>) = (Vec::new(), Vec::new());
        for socket in sockets {
            let waits = matches!(socket.phase, Phase::Listening | Phase::Bound);
            let comparable = if waits { self.looked } else { self.looked_at_connections };
            let before = self.seen.get(&socket.inode).copied();
            let mut known = before.unwrap_or(Known { owner: None, looks: 0, since: now, told: !comparable });
            known.owner = known.owner.or_else(|| owners.get(&socket.inode).copied());
            known.looks = known.looks.saturating_add(1);
            let listens = socket.phase == Phase::Listening
                || socket.phase == Phase::Bound && (socket.flow.sport < chosen || now.duration_since(known.since) >= HELD);
            if listens {
                listeners.push((socket.flow.clone(), known.owner));
            }
            // Waiting for datagrams makes no service: every client does for a moment.
            if let Some(owner) = known.owner.filter(|_| socket.phase == Phase::Listening && before.is_none_or(|b| b.owner.is_none())) {
                cache.mark_listener(owner, socket.flow.src, socket.flow.sport);
            }
            let tell = !known.told && (listens || !waits);
            known.told |= tell;
            seen.insert(socket.inode, known);
            // Many workers may share one port.
            if tell && !fresh.iter().any(|(other, owner)| waits && other.flow == socket.flow && *owner == known.owner) {
                fresh.push((socket, known.owner));
            }
        }
        cache.set_listeners(listeners);
        (self.seen, self.looked, self.looked_at_connections) = (seen, true, with_connections);
        fresh
    }
}

/// The port and address of a listener that the kernel reported before it had chosen a port: the newest listening
/// socket that the process holds and that was not known before.
pub(super) fn chosen_endpoint(cache: &ProcessCache, pid: u32) -> Option<Flow> {
    let listening = sock_diag::listeners().ok()?.sockets;
    let known = cache.known_listeners();
    let held: HashSet<u64> = socket_holders::of(pid).into_iter().map(|(_, inode)| inode).take(MAX_HELD).collect();
    let fresh = listening.into_iter().filter(|s| held.contains(&s.inode) && known.iter().all(|(flow, _)| *flow != s.flow));
    fresh.max_by_key(|socket| socket.inode).map(|socket| socket.flow)
}

/// Of each socket the oldest process that holds it.
fn owners(cache: &ProcessCache, wanted: &HashSet<u64>) -> HashMap<u64, ProcessKey> {
    let oldest = |pids: Vec<u32>| {
        pids.into_iter().filter_map(|pid| Some(cache.by_pid(pid).or_else(|| cache.adopt(pid))?.key)).min_by_key(|key| (key.start, key.pid))
    };
    let wanted = wanted.iter().copied().collect();
    socket_holders::among(&wanted, |_| true).into_iter().filter_map(|(inode, pids)| Some((inode, oldest(pids)?))).collect()
}

/// The polling thread.
pub(super) struct SocketCollector(pub(super) Arc<Steps>);

impl Collector for SocketCollector {
    fn name(&self) -> &'static str {
        "sockets"
    }

    fn run(&mut self, sink: &dyn Sink, stop: &Stop) -> Result<(), CollectorError> {
        while !stop.is_set() {
            let alone = self.0.rung() != Rung::Ebpf;
            let every = if alone { ALONE } else { BESIDE_EBPF };
            stop.sleep(every * if self.0.polls_rarely() { RARELY } else { 1 });
            let fresh = self.0.poll_sockets(alone).map_err(failed)?;
            // Beside eBPF only what it does not report: a UDP socket says nothing when it begins to wait.
            let wanted = |(socket, _): &(Socket, _)| alone || socket.phase == Phase::Bound;
            tell(&self.0.cache, sink, fresh.into_iter().filter(wanted).collect());
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
fn tell(cache: &ProcessCache, sink: &dyn Sink, fresh: Vec<(Socket, Option<ProcessKey>)>) {
    let listening = cache.known_listeners();
    let listening: HashSet<u16> = listening.iter().filter(|(flow, _)| flow.proto == Protocol::Tcp).map(|(flow, _)| flow.sport).collect();
    for (socket, owner) in fresh {
        let process = owner.and_then(|key| cache.get(key));
        let kind = match socket.phase {
            Phase::Listening | Phase::Bound => {
                let unit = process.as_deref().and_then(|process| cache.enrichment().listening_unit(process, &socket.flow));
                EventKind::Listen { net: socket.flow, unit }
            }
            Phase::Connecting | Phase::Connected | Phase::Closing if !listening.contains(&socket.flow.sport) => {
                EventKind::Connect { net: cache.enrichment().named(socket.flow) }
            }
            _ => continue,
        };
        let complete = process.is_some();
        sink.emit(Event { id: EventId(0), at: clock::wall(clock::boot_ns()), kind, process, source: Source::SockDiag, complete });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(inode: u64, sport: u16) -> Socket {
        let flow = Flow { proto: Protocol::Udp, src: [0, 0, 0, 0].into(), sport, dst: None, dport: None, name: None };
        Socket { flow, phase: Phase::Bound, inode, uid: 0 }
    }

    #[test]
    fn a_datagram_socket_is_a_listener_by_its_port_or_by_its_patience() {
        let (cache, mut watch, begun) = (ProcessCache::default(), SocketWatch::default(), Instant::now());
        let mut at = |seconds: u64, sockets: &[(u64, u16)]| -> Vec<u16> {
            let sockets = sockets.iter().map(|(inode, port)| bound(*inode, *port)).collect();
            let fresh = watch.compare(sockets, &cache, false, 32_768, begun + Duration::from_secs(seconds));
            fresh.iter().map(|(socket, _)| socket.flow.sport).collect()
        };
        assert!(at(0, &[(1, 53), (2, 40_000)]).is_empty(), "there before us");
        assert_eq!(at(2, &[(1, 53), (2, 40_000), (3, 5353), (4, 5353), (5, 50_000), (6, 50_001)]), [5353]);
        assert_eq!(at(12, &[(1, 53), (2, 40_000), (3, 5353), (5, 50_000), (7, 50_001)]), [50_000], "the client's is another socket by now");
        assert!(at(13, &[(1, 53), (2, 40_000), (5, 50_000)]).is_empty());
        let ports: Vec<u16> = cache.known_listeners().iter().map(|(flow, _)| flow.sport).collect();
        assert_eq!(ports, [53, 40_000, 50_000]);
    }
}
