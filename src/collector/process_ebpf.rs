//! The best rung: what our kernel programs report, as events.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::sockets::chosen_endpoint;
use super::{Sink, Stop, World};
use crate::host::bpf::{Counters, RawEvent, Sensor};
use crate::host::clock;
use crate::model::{Event, EventId, EventKind, Flow, Loss, Process, Source, Timestamp};

/// Longest wait, so that a stop is seen within half a second.
const WAIT_MOST: Duration = Duration::from_millis(400);
/// How often losses are told.
const ACCOUNT_EVERY: Duration = Duration::from_secs(1);
/// The world is compared with /proc at least this often, and after a loss.
const RECONCILE_EVERY: Duration = Duration::from_secs(60);
/// Listeners whose port must be looked up, each second: a program that only listens must not make us late for others.
const LOOKUPS: u32 = 32;
/// Name of the hop.
const HOP: &str = "kernel-ring";

/// Feeds the world and the sink until told to stop; else why it cannot go on.
pub(super) fn run(sensor: &mut Sensor, world: &World, sink: &dyn Sink, stop: &Stop) -> Result<(), String> {
    let mut told = Counters::default();
    let (mut accounted, mut reconciled) = (Instant::now(), Instant::now());
    let mut lookups = LOOKUPS;
    while !stop.is_set() {
        sensor.wait(WAIT_MOST).map_err(|e| format!("waiting for the ring: {e}"))?;
        sensor.drain(|raw| sink.emit(event(raw, world, &mut lookups)));
        let mut lost = false;
        if accounted.elapsed() >= ACCOUNT_EVERY {
            accounted = Instant::now();
            lookups = LOOKUPS;
            lost = account(sensor, &mut told, sink);
        }
        if lost || reconciled.elapsed() >= RECONCILE_EVERY {
            reconciled = Instant::now();
            world.reconcile();
        }
        std::thread::sleep(Sensor::NAP);
    }
    sensor.drain(|raw| sink.emit(event(raw, world, &mut lookups)));
    account(sensor, &mut told, sink);
    Ok(())
}

/// Tells the sink what came and what was lost since the last time; whether anything was lost.
fn account(sensor: &Sensor, told: &mut Counters, sink: &dyn Sink) -> bool {
    let now = sensor.counters();
    let lost = now.dropped.saturating_sub(told.dropped) + now.malformed.saturating_sub(told.malformed);
    let received = now.delivered.saturating_sub(told.delivered) + now.dropped.saturating_sub(told.dropped);
    *told = now;
    sink.account(HOP, received, lost);
    if lost > 0 {
        sink.emit(loss(HOP, lost, Source::Ebpf));
    }
    lost > 0
}

/// Events that a hop lost.
pub(super) fn loss(hop: &str, count: u64, source: Source) -> Event {
    let kind = EventKind::Loss { loss: Loss::new(hop, count) };
    Event { id: EventId(0), at: clock::wall(clock::boot_ns()), kind, process: None, source, complete: true }
}

fn event(raw: RawEvent, world: &World, lookups: &mut u32) -> Event {
    match raw {
        RawEvent::Exec(who, image) => {
            let complete = image.complete;
            let process = world.exec(&who, image);
            about(EventKind::Exec, process.since, Some(process), complete)
        }
        RawEvent::Fork(who) => {
            let process = world.fork(&who);
            let complete = process.parent.is_some();
            about(EventKind::Fork, clock::wall(who.at), Some(process), complete)
        }
        RawEvent::Exit { pid, start, at, exit } => {
            let process = world.exit(pid, start, at);
            let complete = process.is_some();
            about(EventKind::Exit { exit }, clock::wall(at), process, complete)
        }
        RawEvent::Connect(who, net) => {
            about(EventKind::Connect { net: world.enrichment().named(net) }, clock::wall(who.at), Some(world.seen(&who)), true)
        }
        RawEvent::Listen(who, net) => listen(world, &world.seen(&who), endpoint(world, who.pid, net, lookups), clock::wall(who.at)),
    }
}

/// Listening without a bound port lets the kernel choose one just after its report.
fn endpoint(world: &World, pid: u32, net: Flow, lookups: &mut u32) -> Flow {
    if net.sport != 0 || *lookups == 0 {
        return net;
    }
    *lookups -= 1;
    chosen_endpoint(world, pid).unwrap_or(net)
}

fn listen(world: &World, process: &Arc<Process>, net: Flow, at: Timestamp) -> Event {
    world.mark_listener(process.key, net.sport);
    let process = world.get(process.key).unwrap_or_else(|| process.clone());
    let complete = net.sport != 0;
    about(EventKind::Listen { net }, at, Some(process), complete)
}

fn about(kind: EventKind, at: Timestamp, process: Option<Arc<Process>>, complete: bool) -> Event {
    Event { id: EventId(0), at, kind, process, source: Source::Ebpf, complete }
}
