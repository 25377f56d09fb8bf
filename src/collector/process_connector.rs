//! The middle rung: the kernel announces pids, /proc tells the rest if the process still lives.

use std::time::{Duration, Instant};

use super::process_ebpf::loss;
use super::{Sink, Stop, World};
use crate::host::proc_connector::{Connector, Notice, overtake};
use crate::host::sighting::{Image, Who, ticks};
use crate::host::{clock, procfs};
use crate::model::{Event, EventId, EventKind, Exit, Process, Source};

/// Longest wait, so that a stop is seen within half a second.
const WAIT_MOST: Duration = Duration::from_millis(400);
const ACCOUNT_EVERY: Duration = Duration::from_secs(1);
const RECONCILE_EVERY: Duration = Duration::from_secs(10);
/// Batches of 64 taken in a row before a stop and the accounts are looked at.
const BATCHES: usize = 64;
const HOP: &str = "process-connector";

/// Feeds the world and the sink until told to stop; else why it cannot go on.
pub(super) fn run(connector: &mut Connector, world: &World, sink: &dyn Sink, stop: &Stop) -> Result<(), String> {
    // Refused without CAP_SYS_NICE: more arguments are missed then, and each such event says that it is incomplete.
    let _ahead = overtake();
    let (mut told, mut accounted, mut reconciled) = (connector.counters(), Instant::now(), Instant::now());
    while !stop.is_set() {
        connector.wait(WAIT_MOST).map_err(|e| e.to_string())?;
        for _ in 0..BATCHES {
            if batch(connector, world, sink)? == 0 {
                break;
            }
        }
        let mut lost = 0;
        if accounted.elapsed() >= ACCOUNT_EVERY {
            accounted = Instant::now();
            lost = account(connector, &mut told, sink);
        }
        if lost > 0 || reconciled.elapsed() >= RECONCILE_EVERY {
            reconciled = Instant::now();
            world.reconcile();
        }
    }
    account(connector, &mut told, sink);
    Ok(())
}

fn account(connector: &Connector, told: &mut (u64, u64), sink: &dyn Sink) -> u64 {
    let now = connector.counters();
    let (received, lost) = (now.0.saturating_sub(told.0), now.1.saturating_sub(told.1));
    *told = now;
    sink.account(HOP, received + lost, lost);
    if lost > 0 {
        sink.emit(loss(HOP, lost, Default::default(), Source::ProcessConnector));
    }
    lost
}

/// One batch: first what runs now is read for every exec in it, because it may be gone in a moment; then all of it
/// is told in order.
fn batch(connector: &mut Connector, world: &World, sink: &dyn Sink) -> Result<usize, String> {
    let mut notices: Vec<(Notice, Option<Image>)> = Vec::new();
    let taken = connector
        .drain(|notice| {
            let image = if let Notice::Exec { pid, .. } = notice { Some(procfs::image(pid)) } else { None };
            notices.push((notice, image));
        })
        .map_err(|e| e.to_string())?;
    for (notice, image) in notices {
        let event = match notice {
            Notice::Fork { creator, pid, at } => Some(fork(world, creator, pid, at)),
            Notice::Exec { pid, at } => Some(exec(world, pid, at, image.unwrap_or_default())),
            Notice::Exit { pid, exit: how, at } => exit(world, pid, how, at),
        };
        if let Some(event) = event {
            sink.emit(event);
        }
    }
    Ok(taken)
}

fn fork(world: &World, creator: u32, pid: u32, at: u64) -> Event {
    let start = procfs::stat(pid).map(|stat| stat.start);
    let who = match world.by_pid(creator) {
        // A child has its creator's identity; reading it again would only make us later.
        Some(parent) => Who { start: start.unwrap_or(ticks(at)), ..like(&parent, pid, at) },
        None => procfs::who(pid).unwrap_or(Who { pid, start: ticks(at), ppid: creator, at, ..Who::default() }),
    };
    let process = world.fork(&who);
    event(EventKind::Fork, at, process, start.is_some())
}

/// A child of this process.
fn like(parent: &Process, pid: u32, at: u64) -> Who {
    Who {
        pid,
        start: ticks(at),
        ppid: parent.pid,
        parent_start: Some(parent.key.start),
        at,
        uid: parent.uid,
        euid: parent.euid,
        loginuid: parent.loginuid,
        session: parent.session,
        capabilities: parent.capabilities,
        namespaces: parent.namespaces,
        urgent: false,
        netns: parent.netns,
    }
}

fn exec(world: &World, pid: u32, at: u64, image: Image) -> Event {
    let who = procfs::who(pid).map(|who| Who { at, ..who });
    let complete = image.complete && who.is_some();
    let who = who.unwrap_or_else(|| match world.by_pid(pid) {
        Some(known) => {
            Who { start: known.key.start, ppid: known.ppid, parent_start: known.parent.map(|p| p.start), ..like(&known, pid, at) }
        }
        None => Who { pid, start: ticks(at), at, ..Who::default() },
    });
    event(EventKind::Exec, at, world.exec(&who, image), complete)
}

/// Nothing when only the first thread ended.
fn exit(world: &World, pid: u32, exit: Exit, at: u64) -> Option<Event> {
    if procfs::stat(pid).is_some_and(|stat| stat.threads > 1) {
        return None;
    }
    let process = world.by_pid(pid).and_then(|known| world.exit(pid, known.key.start, at));
    let complete = process.is_some();
    Some(Event { id: EventId(0), at: clock::wall(at), kind: EventKind::Exit { exit }, process, source: Source::ProcessConnector, complete })
}

fn event(kind: EventKind, at: u64, process: std::sync::Arc<Process>, complete: bool) -> Event {
    Event { id: EventId(0), at: clock::wall(at), kind, process: Some(process), source: Source::ProcessConnector, complete }
}
