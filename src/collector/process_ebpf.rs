//! The best rung: three threads between our kernel programs and the lanes.
//!
//! One is woken for every urgent record and tells it at once. One takes ordinary records out of their ring, in naps, and
//! lays them by; one turns those into events when their time has come ([`Backlog`]).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::backlog::Backlog;
use super::ebpf_events::Teller;
use super::{Sink, Stop, World};
use crate::host::bpf::{CounterMap, Counters, Decoder, Marks, Ring, Sensor, append, presses, records};
use crate::host::{clock, manners};
use crate::model::{Event, EventId, EventKind, Loss, Source};

/// Longest wait, so that a stop is seen within half a second.
const WAIT_MOST: Duration = Duration::from_millis(400);
/// How often losses are told.
const ACCOUNT_EVERY: Duration = Duration::from_secs(1);
/// The world is compared with /proc at least this often, and after a loss.
const RECONCILE_EVERY: Duration = Duration::from_secs(60);
/// Events handed over at once: the lanes are locked once for them all.
const BATCH: usize = 64;
/// Name of the hop.
const HOP: &str = "kernel-ring";

/// What the three threads share.
struct Road<'a> {
    world: &'a World,
    sink: &'a dyn Sink,
    stop: &'a Stop,
    marks: &'a Marks,
    backlog: Backlog,
    /// Records were lost: the world must be compared with /proc.
    lost: AtomicBool,
}

/// Feeds the world and the sink until told to stop; else why it cannot go on.
pub(super) fn run(sensor: &mut Sensor, world: &World, sink: &dyn Sink, stop: &Stop) -> Result<(), String> {
    let Sensor { ordinary, urgent, marks, counters, .. } = sensor;
    let road = Road { world, sink, stop, marks, backlog: Backlog::new(Instant::now()), lost: AtomicBool::new(false) };
    mark_known(world, marks);
    let failed = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let hurry = thread("c-urgent")
            .spawn_scoped(threads, || road.tell_urgent(urgent, &failed))
            .map_err(|e| format!("starting the reader of urgent events: {e}"))?;
        let work = thread("c-ordinary").spawn_scoped(threads, || road.tell_ordinary());
        let outcome = match work {
            Ok(_) => road.lay_by(ordinary, counters, &failed),
            Err(e) => Err(format!("starting the reader of ordinary events: {e}")),
        };
        failed.store(true, Ordering::Relaxed);
        road.backlog.close();
        let urgent = hurry.join().unwrap_or_else(|_| Err("the reader of urgent events panicked".to_owned()));
        outcome.and(urgent)
    })
}

/// Services that strangers can talk to, what lives below them, and what must be guarded, as known now.
fn mark_known(world: &World, marks: &Marks) {
    let _already = world.newly_facing();
    for process in world.living() {
        super::ebpf_events::mark(&process, marks);
    }
}

impl Road<'_> {
    fn tell_urgent(&self, ring: &mut Ring, end: &AtomicBool) -> Result<(), String> {
        manners::step_forward();
        let (mut decoder, mut teller) = (Decoder::default(), Teller::new(self.world, self.marks));
        while !self.stop.is_set() && !end.load(Ordering::Relaxed) {
            ring.wait(WAIT_MOST).map_err(|e| format!("waiting for the urgent ring: {e}"))?;
            self.take_urgent(ring, &mut decoder, &mut teller);
        }
        self.take_urgent(ring, &mut decoder, &mut teller);
        Ok(())
    }

    fn take_urgent(&self, ring: &mut Ring, decoder: &mut Decoder, teller: &mut Teller<'_>) {
        let mut events = Vec::new();
        ring.take(|record| {
            if let Some(raw) = decoder.decode(record) {
                teller.tell(raw, &mut events);
                self.sink.emit_all(&mut events);
            }
        });
        self.told_malformed(decoder);
    }

    fn lay_by(&self, ring: &mut Ring, counters: &CounterMap, end: &AtomicBool) -> Result<(), String> {
        let (mut told, mut accounted) = (Counters::default(), Instant::now());
        while !self.stop.is_set() && !end.load(Ordering::Relaxed) {
            ring.wait(WAIT_MOST).map_err(|e| format!("waiting for the ring: {e}"))?;
            self.take_ordinary(ring);
            if accounted.elapsed() >= ACCOUNT_EVERY {
                accounted = Instant::now();
                self.account(counters, &mut told);
                self.world.newly_facing().into_iter().for_each(|pid| self.marks.urgent(pid));
            }
            std::thread::sleep(Sensor::NAP);
        }
        while self.take_ordinary(ring) > 0 && !self.backlog.is_full() {}
        self.account(counters, &mut told);
        Ok(())
    }

    fn take_ordinary(&self, ring: &mut Ring) -> usize {
        if self.backlog.is_full() {
            return 0; // the ring holds some more, and counts what it cannot hold
        }
        let (mut chunk, mut pressing) = (Vec::new(), false);
        let count = ring.take(|record| {
            pressing |= presses(record);
            append(record, &mut chunk);
        });
        self.backlog.push(chunk, count, pressing, Instant::now());
        count
    }

    fn tell_ordinary(&self) {
        let (mut decoder, mut teller) = (Decoder::default(), Teller::new(self.world, self.marks));
        let (mut events, mut reconciled) = (Vec::with_capacity(BATCH), Instant::now());
        while let Some(chunk) = self.backlog.take(WAIT_MOST) {
            for record in records(&chunk) {
                if let Some(raw) = decoder.decode(record) {
                    teller.tell(raw, &mut events);
                }
                if events.len() >= BATCH {
                    self.hand_over(&mut events);
                }
            }
            self.hand_over(&mut events);
            self.told_malformed(&mut decoder);
            if self.lost.swap(false, Ordering::Relaxed) || reconciled.elapsed() >= RECONCILE_EVERY {
                reconciled = Instant::now();
                self.world.reconcile();
                mark_known(self.world, self.marks);
            }
        }
    }

    /// Better wait here, as small records, than be lost further on.
    fn hand_over(&self, events: &mut Vec<Event>) {
        while self.sink.is_busy() && !self.backlog.is_filling() && !self.stop.is_set() {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.sink.emit_all(events);
    }

    fn told_malformed(&self, decoder: &mut Decoder) {
        let count = std::mem::take(&mut decoder.malformed);
        if count > 0 {
            self.tell_loss(count, BTreeMap::new());
        }
    }

    /// Tells the sink what came and what was lost since the last time.
    fn account(&self, counters: &CounterMap, told: &mut Counters) {
        let now = counters.read();
        let kinds = now.lost_since(told);
        let lost: u64 = kinds.values().sum();
        let received = (now.delivered() + now.dropped()).saturating_sub(told.delivered() + told.dropped());
        *told = now;
        self.sink.account(HOP, received, 0);
        if lost > 0 {
            self.tell_loss(lost, kinds);
        }
    }

    fn tell_loss(&self, count: u64, kinds: BTreeMap<String, u64>) {
        self.lost.store(true, Ordering::Relaxed);
        self.sink.account(HOP, 0, count);
        self.sink.emit(loss(HOP, count, kinds, Source::Ebpf));
    }
}

/// Events that a hop lost since it was last asked.
pub(super) fn loss(hop: &str, count: u64, kinds: BTreeMap<String, u64>, source: Source) -> Event {
    let to = clock::wall(clock::boot_ns());
    let loss = Loss { hop: hop.to_owned(), count, from: Some(to - ACCOUNT_EVERY), to: Some(to), kinds };
    Event { id: EventId(0), at: to, kind: EventKind::Loss { loss }, process: None, source, complete: true }
}
