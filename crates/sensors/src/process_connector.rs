//! The middle rung: the kernel announces pids, /proc tells the rest if the process still lives.
//!
//! One thread overtakes the others and only reads what is fresh; one makes events of it, in order.

use bartizan_sys::process_stat::Stat;
use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use super::process_ebpf::loss;
use super::{ProcessCache, Sink, Stop, false_names};
use bartizan_model::{Event, EventId, EventKind, Exit, Process, Source, Timestamp};
use bartizan_sys::process_connector::{Connector, Notice};
use bartizan_sys::realtime::overtake;
use bartizan_sys::sighting::{Image, Who, ticks};
use bartizan_sys::{clock, proc_files};

/// Longest wait, so that a stop is seen within half a second.
const MAX_WAIT: Duration = Duration::from_millis(400);
/// Longest wait where forks and exits do not wake us.
const WAIT_FOR_EXEC: Duration = Duration::from_millis(50);
/// Wait while something is held back.
const WAIT_HELD: Duration = Duration::from_millis(3);
/// What is younger than this, in nanoseconds, is held back: what came before it may be on its way in the other subscription.
const YOUNG: u64 = 1_000_000;
const ACCOUNT_EVERY: Duration = Duration::from_secs(1);
const RECONCILE_EVERY: Duration = Duration::from_secs(10);
/// Batches of 64, and bytes of arguments, taken in a row from one subscription.
const BATCHES: usize = 16;
const BYTES: usize = 4 << 20;
/// Announcements held back. With more, forks and exits wait in the kernel, which counts what does not fit.
const MAX_HELD: usize = 8192;
/// Portions read and not yet told; with more, the reader waits for the emitter and all else in the kernel.
const PORTIONS: usize = 2;
const HOP: &str = "process-connector";

/// What was read of one announcement while it was fresh: for an exec, what runs now, and who.
struct Fresh {
    notice: Notice,
    read: Option<(Image, Option<Who>)>,
}

/// What the reader hands to the emitter: announcements in order, and how many came and were lost since opening.
struct Portion {
    fresh: Vec<Fresh>,
    counters: (u64, u64),
}

/// Feeds the cache and the sink until told to stop; else why it cannot go on.
pub(super) fn run(connector: &mut Connector, cache: &ProcessCache, sink: &dyn Sink, stop: &Stop) -> Result<(), String> {
    let told = connector.counters();
    let (hand, portions) = sync_channel(PORTIONS);
    std::thread::scope(|threads| {
        let reader = std::thread::Builder::new()
            .name("c-connector".to_owned())
            .spawn_scoped(threads, || read(connector, hand, stop))
            .map_err(|e| format!("starting the reader of the process connector: {e}"))?;
        tell(&portions, told, cache, sink);
        reader.join().unwrap_or_else(|_| Err("the reader of the process connector panicked".to_owned()))
    })
}

/// The reader's work.
fn read(connector: &mut Connector, hand: SyncSender<Portion>, stop: &Stop) -> Result<(), String> {
    // Refused without CAP_SYS_NICE: more arguments are missed then, and each such event says that it is incomplete.
    let mut ahead = overtake().ok();
    let patience = if connector.waits_for_execs() { WAIT_FOR_EXEC } else { MAX_WAIT };
    let (mut held, mut rest_until, mut handed) = (Vec::new(), 0, Instant::now());
    loop {
        let stopping = stop.is_set();
        connector.wait(if held.is_empty() { patience } else { WAIT_HELD }).map_err(|e| e.to_string())?;
        let horizon = take(connector, &mut held, &mut rest_until).map_err(|e| e.to_string())?;
        held.sort_by_key(|fresh: &Fresh| at(&fresh.notice));
        let ripe = if stopping { held.len() } else { held.partition_point(|fresh| at(&fresh.notice) <= horizon) };
        if ripe > 0 || handed.elapsed() >= ACCOUNT_EVERY || stopping {
            handed = Instant::now();
            // The emitter goes on until we are done: this can wait, and not fail.
            let _ = hand.send(Portion { fresh: held.drain(..ripe).collect(), counters: connector.counters() });
        }
        if stopping {
            return Ok(());
        }
        if let Some(ahead) = &mut ahead {
            ahead.stay_fair();
        }
    }
}

/// Takes what is there, execs first; up to which moment all of it is known.
fn take(connector: &mut Connector, held: &mut Vec<Fresh>, rest_until: &mut u64) -> io::Result<u64> {
    let mut horizon = clock::boot_ns().saturating_sub(YOUNG);
    if let Some(last) = portion(|take| connector.drain_execs(take), held)?.1 {
        horizon = horizon.min(last);
    }
    if held.len() >= MAX_HELD {
        return Ok(horizon.min(*rest_until));
    }
    let (latest, unfinished) = portion(|take| connector.drain(take), held)?;
    *rest_until = latest.unwrap_or(*rest_until);
    Ok(unfinished.map_or(horizon, |last| horizon.min(last)))
}

/// Takes a bounded part of one subscription: the moment of the last announcement, and once more if there may be more.
fn portion(
    mut drain: impl FnMut(&mut dyn FnMut(Notice)) -> io::Result<usize>,
    held: &mut Vec<Fresh>,
) -> io::Result<(Option<u64>, Option<u64>)> {
    let (mut last, mut bytes) = (None, 0);
    for _ in 0..BATCHES {
        let mut batch = Vec::new();
        let taken = drain(&mut |notice| {
            let arguments = if let Notice::Exec { pid, .. } = notice { proc_files::arguments(pid) } else { None };
            batch.push((notice, arguments));
        })?;
        last = batch.last().map(|(notice, _)| at(notice)).or(last);
        for (notice, arguments) in batch {
            bytes += arguments.as_ref().map_or(0, Vec::len);
            let read = if let Notice::Exec { pid, .. } = notice {
                Some((proc_files::image_with(pid, arguments), proc_files::who(pid)))
            } else {
                None
            };
            held.push(Fresh { notice, read });
        }
        if taken == 0 {
            return Ok((last, None));
        }
        if bytes > BYTES {
            break;
        }
    }
    Ok((last, last))
}

fn at(notice: &Notice) -> u64 {
    match notice {
        Notice::Fork { at, .. } | Notice::Exec { at, .. } | Notice::Exit { at, .. } => *at,
    }
}

/// The emitter's work: until the reader is done.
fn tell(portions: &Receiver<Portion>, mut told: (u64, u64), cache: &ProcessCache, sink: &dyn Sink) {
    let (mut accounted, mut reconciled) = (Instant::now(), Instant::now());
    let (mut counters, mut whole_until) = (told, chrono::Utc::now());
    for portion in portions {
        for fresh in portion.fresh {
            if let Some(event) = event_of(cache, fresh) {
                let lie = event.process.as_deref().filter(|_| event.kind == EventKind::Exec).and_then(false_names::lie);
                let lie = lie.map(|kind| Event { kind, ..event.clone() });
                sink.emit(event);
                lie.into_iter().for_each(|event| sink.emit(event));
            }
        }
        counters = portion.counters;
        let mut lost = 0;
        if accounted.elapsed() >= ACCOUNT_EVERY {
            accounted = Instant::now();
            lost = account(counters, &mut told, &mut whole_until, sink);
        }
        if lost > 0 || reconciled.elapsed() >= RECONCILE_EVERY {
            reconciled = Instant::now();
            cache.reconcile();
        }
    }
    account(counters, &mut told, &mut whole_until, sink);
}

fn account(now: (u64, u64), told: &mut (u64, u64), whole_until: &mut Timestamp, sink: &dyn Sink) -> u64 {
    let (received, lost) = (now.0.saturating_sub(told.0), now.1.saturating_sub(told.1));
    *told = now;
    let before = std::mem::replace(whole_until, chrono::Utc::now());
    if lost > 0 {
        sink.emit(loss(HOP, lost, BTreeMap::new(), Source::ProcessConnector, before));
    }
    sink.account(HOP, received + lost, lost);
    lost
}

fn event_of(cache: &ProcessCache, fresh: Fresh) -> Option<Event> {
    match fresh.notice {
        Notice::Fork { creator, pid, at } => Some(fork(cache, creator, pid, at)),
        Notice::Exec { pid, at } => {
            let (image, who) = fresh.read.unwrap_or_default();
            Some(exec(cache, pid, at, image, who))
        }
        Notice::Exit { pid, exit: how, at } => exit(cache, pid, how, at),
    }
}

fn fork(cache: &ProcessCache, creator: u32, pid: u32, at: u64) -> Event {
    let start = Stat::read(pid).map(|stat| stat.start);
    let who = match cache.by_pid(creator) {
        // A child has its creator's identity; reading it again would only make us later.
        Some(parent) => Who { start: start.unwrap_or(ticks(at)), ..like(&parent, pid, at) },
        None => proc_files::who(pid).unwrap_or(Who { pid, start: ticks(at), ppid: creator, at, ..Who::default() }),
    };
    let process = cache.fork(&who);
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

fn exec(cache: &ProcessCache, pid: u32, at: u64, image: Image, who: Option<Who>) -> Event {
    let who = who.map(|who| Who { at, ..who });
    let complete = image.complete && who.is_some();
    let who = who.unwrap_or_else(|| match cache.by_pid(pid) {
        Some(known) => {
            Who { start: known.key.start, ppid: known.ppid, parent_start: known.parent.map(|p| p.start), ..like(&known, pid, at) }
        }
        None => Who { pid, start: ticks(at), at, ..Who::default() },
    });
    event(EventKind::Exec, at, cache.exec(&who, image), complete)
}

/// Nothing when only the first thread ended.
fn exit(cache: &ProcessCache, pid: u32, exit: Exit, at: u64) -> Option<Event> {
    if Stat::read(pid).is_some_and(|stat| stat.threads > 1) {
        return None;
    }
    let process = cache.by_pid(pid).and_then(|known| cache.exit(pid, known.key.start, at));
    let complete = process.is_some();
    Some(Event { id: EventId(0), at: clock::wall(at), kind: EventKind::Exit { exit }, process, source: Source::ProcessConnector, complete })
}

fn event(kind: EventKind, at: u64, process: std::sync::Arc<Process>, complete: bool) -> Event {
    Event { id: EventId(0), at: clock::wall(at), kind, process: Some(process), source: Source::ProcessConnector, complete }
}
