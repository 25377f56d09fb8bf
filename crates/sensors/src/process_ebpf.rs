//! The best rung: two threads between our kernel programs and the lanes.
//!
//! One is woken for every urgent record and tells it at once; one turns the ordinary records that were laid by
//! ([`Intake`]) into events when their time has come ([`Backlog`]).

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::backlog::Backlog;
use super::ebpf_events::{Emitter, mark};
use super::intake::{Intake, LaidBy};
use super::pace::Pace;
use super::{ProcessCache, Sink, Stop};
use bartizan_model::{Event, EventId, EventKind, Loss, Source, Timestamp};
use bartizan_sys::bpf::{Decoder, Marks, Ring, records};
use bartizan_sys::{clock, sched};

/// Longest wait, so that a stop is seen within half a second.
const MAX_WAIT: Duration = Stop::LOOK;
/// How often losses are told.
const ACCOUNT_EVERY: Duration = Duration::from_secs(1);
/// The cache is compared with /proc at least this often, and after a loss.
const RECONCILE_EVERY: Duration = Duration::from_secs(60);
/// Events handed over at once: the lanes are locked once for them all.
const BATCH: usize = 64;
/// Urgent records a second that make a flood even of them: a web server that starts thousands of programs.
const URGENT_FLOOD: usize = 4_000;
/// Sleep between two looks at the urgent ring in such a flood.
const URGENT_NAP: Duration = Duration::from_millis(1);
/// Longest that the last records wait for room further on when the agent ends.
const LAST_PATIENCE: Duration = Duration::from_secs(10);
/// The hops: the kernel's rings, and those who read them.
const RING: &str = "kernel-ring";
const READER: &str = "reader";

/// What the threads share.
struct Road<'a> {
    cache: &'a ProcessCache,
    sink: &'a dyn Sink,
    stop: &'a Stop,
    marks: &'a Marks,
    /// Records were lost: the cache must be compared with /proc.
    lost: AtomicBool,
    /// When the end was seen first.
    ending: OnceLock<Instant>,
}

/// Feeds the cache and the sink until told to stop; else why it cannot go on. When told to hand over, what is laid by
/// stays there for the next binary.
pub(super) fn run(intake: &mut Intake, cache: &ProcessCache, sink: &dyn Sink, stop: &Stop) -> Result<(), String> {
    let Intake { urgent, ordinary, marks, .. } = intake;
    mark_known(cache, marks);
    let road = Road { cache, sink, stop, marks, lost: AtomicBool::new(false), ending: OnceLock::new() };
    let failed = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let hurry = std::thread::Builder::new()
            .name("c-urgent".to_owned())
            .spawn_scoped(threads, || road.tell_urgent(urgent, &failed))
            .map_err(|e| format!("starting the reader of urgent events: {e}"))?;
        let outcome = road.tell_ordinary(ordinary);
        failed.store(true, Ordering::Relaxed);
        let urgent = hurry.join().unwrap_or_else(|_| Err("the reader of urgent events panicked".to_owned()));
        outcome.and(urgent)
    })
}

/// Services that strangers can talk to, what lives below them, and what must be guarded, as known now.
fn mark_known(cache: &ProcessCache, marks: &Marks) {
    let _already = cache.newly_facing();
    for process in cache.living() {
        mark(&process, marks);
    }
}

impl Road<'_> {
    fn tell_urgent(&self, ring: &mut Ring, end: &AtomicBool) -> Result<(), String> {
        sched::step_forward();
        let (mut decoder, mut emitter) = (Decoder::default(), Emitter::new(self.cache, self.marks));
        let mut pace = Pace::new(URGENT_FLOOD, Instant::now());
        while !self.stop.is_set() && !end.load(Ordering::Relaxed) {
            ring.wait(MAX_WAIT).map_err(|e| format!("waiting for the urgent ring: {e}"))?;
            pace.count(self.take_urgent(ring, &mut decoder, &mut emitter), Instant::now());
            if pace.is_flood() {
                // One wake-up a millisecond instead of one a record.
                std::thread::sleep(URGENT_NAP);
            }
        }
        self.take_urgent(ring, &mut decoder, &mut emitter);
        Ok(())
    }

    fn take_urgent(&self, ring: &mut Ring, decoder: &mut Decoder, emitter: &mut Emitter<'_>) -> usize {
        let mut events = Vec::new();
        let count = ring.take(|record| {
            if let Some(raw) = decoder.decode(record) {
                emitter.tell(raw, &mut events);
                self.sink.emit_all(&mut events);
            }
        });
        self.told_read(count as u64, decoder);
        count
    }

    fn tell_ordinary(&self, intake: &mut LaidBy) -> Result<(), String> {
        let (mut decoder, mut emitter) = (Decoder::default(), Emitter::new(self.cache, self.marks));
        let (mut reconciled, mut finished) = (Instant::now(), false);
        let outcome = loop {
            if self.stop.is_set() {
                if self.stop.is_handing_over() {
                    intake.backlog().put_back(decoder.take_pieces(), Instant::now());
                    break Ok(());
                }
                if !std::mem::replace(&mut finished, true) {
                    intake.finish();
                }
            }
            let Some(chunk) = intake.backlog().take(MAX_WAIT) else { break Ok(()) };
            let count = self.tell_chunk(&chunk, intake.backlog(), &mut decoder, &mut emitter);
            self.told_read(count, &mut decoder);
            self.account(intake);
            self.cache.newly_facing().into_iter().for_each(|pid| self.marks.urgent(pid));
            if self.lost.swap(false, Ordering::Relaxed) || reconciled.elapsed() >= RECONCILE_EVERY {
                reconciled = Instant::now();
                self.cache.reconcile();
                mark_known(self.cache, self.marks);
            }
            if let Some(trouble) = intake.trouble() {
                break Err(trouble);
            }
        };
        self.account(intake);
        outcome
    }

    /// Makes events of these records; of what another binary goes on with, the rest stays where it was.
    fn tell_chunk(&self, chunk: &[u8], backlog: &Backlog, decoder: &mut Decoder, emitter: &mut Emitter<'_>) -> u64 {
        let (mut events, mut count, mut rest) = (Vec::with_capacity(BATCH), 0, chunk);
        for (record, following) in records(chunk) {
            count += 1;
            rest = following;
            if let Some(raw) = decoder.decode(record) {
                emitter.tell(raw, &mut events);
            }
            if events.len() >= BATCH {
                self.pass_on(&mut events, backlog);
                if self.stop.is_handing_over() {
                    break;
                }
            }
        }
        self.pass_on(&mut events, backlog);
        backlog.put_back(rest.to_vec(), Instant::now());
        count
    }

    /// Better wait here, as small records, than be lost further on.
    fn pass_on(&self, events: &mut Vec<Event>, backlog: &Backlog) {
        while self.sink.is_busy() && self.may_wait(backlog) {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.sink.emit_all(events);
    }

    fn may_wait(&self, backlog: &Backlog) -> bool {
        if self.stop.is_handing_over() {
            false // what follows is put back
        } else if self.stop.is_set() {
            self.ending.get_or_init(Instant::now).elapsed() < LAST_PATIENCE
        } else {
            !backlog.is_filling()
        }
    }

    /// Tells the sink what came and what was lost since the last time.
    fn account(&self, intake: &LaidBy) {
        let account = intake.account();
        if account.received > 0 {
            self.sink.account(RING, account.received, 0);
        }
        let lost = account.lost.values().sum();
        if lost > 0 {
            self.tell_loss(RING, lost, account.lost, clock::wall(account.whole_until));
        }
    }

    /// So many records were read; those that were not understood are lost.
    fn told_read(&self, count: u64, decoder: &mut Decoder) {
        if count > 0 {
            self.sink.account(READER, count, 0);
        }
        let lost = std::mem::take(&mut decoder.malformed);
        if lost > 0 {
            self.tell_loss(READER, lost, BTreeMap::new(), chrono::Utc::now() - ACCOUNT_EVERY);
        }
    }

    fn tell_loss(&self, hop: &'static str, count: u64, kinds: BTreeMap<String, u64>, whole_until: Timestamp) {
        self.lost.store(true, Ordering::Relaxed);
        // The word before the count, so that whoever reads the count knows since when.
        self.sink.emit(loss(hop, count, kinds, Source::Ebpf, whole_until));
        self.sink.account(hop, 0, count);
    }
}

/// Events that a hop lost since it was last asked.
pub(super) fn loss(hop: &str, count: u64, kinds: BTreeMap<String, u64>, source: Source, whole_until: Timestamp) -> Event {
    let to = clock::wall(clock::boot_ns());
    let loss = Loss { hop: hop.to_owned(), count, from: Some(whole_until.min(to)), to: Some(to), kinds };
    Event { id: EventId(0), at: to, kind: EventKind::Loss { loss }, process: None, source, complete: true }
}
