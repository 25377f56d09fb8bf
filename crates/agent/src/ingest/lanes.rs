//! Three bounded queues between the collectors and the pipeline. A flood in one never evicts from another, and
//! every event that does not fit is counted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::losses::{KindCounts, Reading};
use bartizan_config::LaneSizes;
use bartizan_model::{Event, EventId, EventKind, HopDrops, Unpoisoned as _};
use bartizan_sensors::Sink;

/// Which queue. The first is always emptied first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lane {
    /// What a detector may need: rare by nature.
    Security,
    /// Programs executed.
    Normal,
    /// Forks and exits: needed for the tree and the record, worth least.
    Bulk,
}

const LANES: [(Lane, &str); 3] = [(Lane::Security, "lane-security"), (Lane::Normal, "lane-normal"), (Lane::Bulk, "lane-bulk")];

/// Arguments are as long as whoever starts a program likes: each so many bytes of them take the room of one more event.
const UNIT: usize = 1024;

/// How much room an event takes.
fn weight(event: &Event) -> usize {
    let arguments = event.behind().map(|p| p.argv.iter().map(|arg| arg.as_bytes().len()).sum::<usize>());
    1 + arguments.unwrap_or_default() / UNIT
}

/// The lane of an event. An exec below a service that strangers can talk to is what attacks are made of.
fn lane_of(event: &Event) -> Lane {
    let network_facing = || event.process.as_ref().is_some_and(|p| p.lineage.network_facing().is_some());
    match &event.kind {
        EventKind::Fork | EventKind::Exit { .. } | EventKind::Accept { .. } | EventKind::Close { .. } => Lane::Bulk,
        EventKind::Exec if network_facing() || event.process.as_ref().is_some_and(|p| p.stdio_sockets != 0) => Lane::Security,
        EventKind::Connect { .. } if !network_facing() => Lane::Normal,
        EventKind::Exec => Lane::Normal,
        EventKind::Connect { .. }
        | EventKind::Listen { .. }
        | EventKind::FileChange { .. }
        | EventKind::FileOpen { .. }
        | EventKind::PersistenceChange { .. }
        | EventKind::UserChange { .. }
        | EventKind::PrivilegeUse { .. }
        | EventKind::ContainerStart { .. }
        | EventKind::ContainerStop { .. }
        | EventKind::LoginAccepted { .. }
        | EventKind::LoginFailed { .. }
        | EventKind::WebAttack { .. }
        | EventKind::Budget { .. }
        | EventKind::Loss { .. }
        | EventKind::Alarm { .. } => Lane::Security,
    }
}

/// The queues. Shared by all collectors and the one pipeline.
#[derive(Debug)]
pub(crate) struct Lanes {
    queues: Mutex<Queues>,
    arrived: Condvar,
    next_id: AtomicU64,
    capacity: [usize; 3],
    /// Whoever takes from the lanes has hardly room for more.
    downstream_busy: AtomicBool,
    /// Nobody puts anything in any more.
    closed: AtomicBool,
    /// Hops before the lanes: received, dropped.
    before: Mutex<BTreeMap<&'static str, (u64, u64)>>,
}

#[derive(Debug, Default)]
struct Queues {
    waiting: [VecDeque<Event>; 3],
    /// Room taken.
    held: [usize; 3],
    received: [u64; 3],
    dropped: [KindCounts; 3],
    /// Whoever takes has something else to do.
    woken: bool,
}

impl Lanes {
    /// Empty lanes of these sizes; the first event gets the id `first`.
    pub(crate) fn new(sizes: LaneSizes, first: EventId) -> Self {
        Self {
            queues: Mutex::new(Queues::default()),
            arrived: Condvar::new(),
            next_id: AtomicU64::new(first.0),
            capacity: [sizes.security, sizes.normal, sizes.bulk],
            downstream_busy: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            before: Mutex::new(BTreeMap::new()),
        }
    }

    /// Up to `most` events, security first; empty after `patience` without any.
    pub(super) fn take(&self, most: usize, patience: Duration) -> Vec<Event> {
        let mut queues = self.lock();
        if queues.waiting.iter().all(VecDeque::is_empty) && !queues.woken && !self.is_closed() {
            queues = self.arrived.wait_timeout(queues, patience).unpoisoned().0;
        }
        queues.woken = false;
        let mut batch = Vec::new();
        let Queues { waiting, held, .. } = &mut *queues;
        for (lane, held) in waiting.iter_mut().zip(held) {
            let begun = batch.len();
            batch.extend(lane.drain(..(most - begun).min(lane.len())));
            *held -= batch.iter().skip(begun).map(weight).sum::<usize>();
        }
        batch
    }

    /// Wakes whoever waits in [`Self::take`], or spares them the wait.
    pub(super) fn wake(&self) {
        self.lock().woken = true;
        self.arrived.notify_all();
    }

    /// Whether whoever takes from the lanes has hardly room for more.
    pub(super) fn set_downstream_busy(&self, busy: bool) {
        self.downstream_busy.store(busy, Ordering::Relaxed);
    }

    /// Nobody puts anything in any more: whoever takes may end once the lanes are empty.
    pub(super) fn close(&self) {
        let _queues = self.lock();
        self.closed.store(true, Ordering::Relaxed);
        self.arrived.notify_all();
    }

    /// Whether nobody puts anything in any more.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// What every hop up to here received and lost since the start.
    pub(super) fn hops(&self) -> Vec<HopDrops> {
        let before = self.before.lock().unpoisoned();
        let mut hops: Vec<HopDrops> = before
            .iter()
            .map(|(hop, (received, dropped))| HopDrops { hop: (*hop).to_owned(), received: *received, dropped: *dropped })
            .collect();
        let queues = self.lock();
        for ((_, name), (received, dropped)) in LANES.iter().zip(queues.received.iter().zip(&queues.dropped)) {
            hops.push(HopDrops { hop: (*name).to_owned(), received: *received, dropped: dropped.sum() });
        }
        hops
    }

    /// What every hop up to here lost, by kind in the lanes.
    pub(super) fn readings(&self) -> Vec<Reading> {
        let mut readings: Vec<Reading> = self.hops().into_iter().map(Reading::from).collect();
        let queues = self.lock();
        for ((_, name), dropped) in LANES.iter().zip(&queues.dropped) {
            if let Some(reading) = readings.iter_mut().find(|reading| reading.hop == *name) {
                // The count as of now, so that it fits its kinds.
                (reading.dropped, reading.kinds) = (dropped.sum(), dropped.named());
            }
        }
        readings
    }

    /// An id for an event that the pipeline itself makes.
    pub(super) fn claim_id(&self) -> EventId {
        EventId(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        // A panicking collector leaves whole events behind; the queues stay usable.
        self.queues.lock().unpoisoned()
    }
}

impl Queues {
    fn put(&mut self, event: Event, capacity: [usize; 3]) {
        let lane = lane_of(&event) as usize;
        let weight = weight(&event);
        let Self { waiting, held, received, dropped, .. } = self;
        let (Some(queue), Some(held), Some(received), Some(dropped), Some(most)) =
            (waiting.get_mut(lane), held.get_mut(lane), received.get_mut(lane), dropped.get_mut(lane), capacity.get(lane))
        else {
            return;
        };
        *received += 1;
        if *held + weight > *most {
            dropped.add(&event.kind);
            return;
        }
        *held += weight;
        queue.push_back(event);
    }
}

impl Sink for Lanes {
    fn emit(&self, mut event: Event) {
        let mut queues = self.lock();
        event.id = self.claim_id();
        queues.put(event, self.capacity);
        drop(queues);
        self.arrived.notify_one();
    }

    fn emit_all(&self, events: &mut Vec<Event>) {
        if events.is_empty() {
            return;
        }
        let mut queues = self.lock();
        for mut event in events.drain(..) {
            event.id = self.claim_id();
            queues.put(event, self.capacity);
        }
        drop(queues);
        self.arrived.notify_one();
    }

    fn is_busy(&self) -> bool {
        let queues = self.lock();
        // The security lane too: what is urgent does not ask, and has the other half of it to itself.
        let full = queues.held.iter().zip(self.capacity).any(|(held, most)| *held >= most / 2);
        full || self.downstream_busy.load(Ordering::Relaxed)
    }

    fn account(&self, hop: &'static str, received: u64, dropped: u64) {
        let mut before = self.before.lock().unpoisoned();
        let total = before.entry(hop).or_default();
        total.0 += received;
        total.1 += dropped;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_model::{Exit, Loss, Source};

    fn event(kind: EventKind) -> Event {
        Event { id: EventId(0), at: chrono::DateTime::UNIX_EPOCH, kind, process: None, source: Source::Agent, complete: true }
    }

    #[test]
    fn a_flood_of_exits_evicts_nothing_else_and_is_counted_exactly() {
        let lanes = Lanes::new(LaneSizes { security: 10, normal: 10, bulk: 10 }, EventId(1));
        for _ in 0..25 {
            lanes.emit(event(EventKind::Exit { exit: Exit { code: Some(0), signal: None } }));
        }
        lanes.emit(event(EventKind::Loss { loss: Loss::new("kernel-ring", 1) }));
        let batch = lanes.take(100, Duration::ZERO);
        assert_eq!(batch.len(), 11);
        assert_eq!(batch.first().map(|e| (e.id, e.kind.name())), Some((EventId(26), "sensor.loss")), "security comes first");
        let hops = lanes.hops();
        let bulk = hops.iter().find(|h| h.hop == "lane-bulk").unwrap();
        assert_eq!((bulk.received, bulk.dropped), (25, 15), "delivered + dropped = made");
        let readings = lanes.readings();
        let bulk = readings.iter().find(|reading| reading.hop == "lane-bulk").unwrap();
        assert_eq!((bulk.dropped, bulk.kinds.get("process.exit")), (15, Some(&15)));
    }

    #[test]
    fn who_waits_at_empty_lanes_is_woken_and_a_wake_before_the_wait_is_not_missed() {
        let lanes = std::sync::Arc::new(Lanes::new(LaneSizes { security: 1, normal: 1, bulk: 1 }, EventId(1)));
        let begin = std::time::Instant::now();
        lanes.wake();
        lanes.take(1, Duration::from_secs(60));
        let waits = std::sync::Arc::clone(&lanes);
        let waiter = std::thread::spawn(move || waits.take(1, Duration::from_secs(60)));
        std::thread::sleep(Duration::from_millis(20));
        lanes.wake();
        assert!(waiter.join().unwrap().is_empty());
        assert!(begin.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn an_empty_lane_waits_no_longer_than_told() {
        let begin = std::time::Instant::now();
        assert!(Lanes::new(LaneSizes { security: 1, normal: 1, bulk: 1 }, EventId(1)).take(1, Duration::from_millis(30)).is_empty());
        assert!(begin.elapsed() < Duration::from_secs(5));
    }
}
