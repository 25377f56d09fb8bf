//! The recorder: everything that must outlive the agent goes through one bounded queue to one writer.
//!
//! Events are packed as they come, on the thread that brings them: what waits for the disk is a tenth of what the events
//! themselves take. The queue is bounded by bytes. As it fills, forks and exits are refused first, then ordinary execs and
//! connections, then all other events; what the agent itself concluded has the last of it. Every refusal is counted.

mod writing;

use std::collections::{HashMap, VecDeque};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

pub(crate) use writing::{Archiving, Numbers, write};

use bartizan_model::{Alert, AlertId, Approval, Event, EventKind, HopDrops, Incident, IncidentId, Signal, Unpoisoned as _};
use bartizan_store::{Block, FileDigest, Packer};

/// Bytes that wait for the disk at most: some 200,000 ordinary events.
const WAITING: usize = 16 << 20;
/// Records other than events that wait at most.
const RECORDS: usize = 16_384;
/// How long events are gathered before they are written, so that a quiet host does not write a block an event.
const GATHER: Duration = Duration::from_millis(250);

/// Something to keep besides events.
#[derive(Debug)]
pub(crate) enum Record {
    Signal(Box<Signal>),
    Incident(Box<Incident>),
    Alert(Box<Alert>),
    Approval(Box<Approval>),
    /// What became known of an executable after its events were kept.
    Digest(FileDigest),
    /// A named value, such as when the last console left.
    Note(&'static str, String),
}

impl Record {
    /// What it takes in memory, about.
    fn weight(&self) -> usize {
        match self {
            Self::Signal(signal) => 1024 + signal.events.len() * 8 + signal.entities.len() * 128,
            Self::Incident(incident) => 1024 + incident.signals.len() * 16 + incident.entities.len() * 128,
            Self::Alert(_) | Self::Approval(_) => 1024,
            Self::Digest(_) => 256,
            Self::Note(_, text) => 256 + text.len(),
        }
    }
}

/// How much of the queue an event may find full and still be taken, in percent. The rest is kept for what is worth more.
fn share(event: &Event) -> usize {
    let network_facing = || event.process.as_ref().is_some_and(|process| process.lineage.network_facing().is_some());
    match &event.kind {
        EventKind::Fork | EventKind::Exit { .. } | EventKind::Accept { .. } | EventKind::Close { .. } => 50,
        EventKind::Exec | EventKind::Connect { .. } if !network_facing() => 70,
        EventKind::Exec
        | EventKind::Connect { .. }
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
        | EventKind::Alarm { .. } => 90,
    }
}

/// What the writer does next.
#[derive(Debug)]
enum Work {
    Block(Block),
    Record(Record),
    /// The newest state of this incident or alert.
    Incident(IncidentId),
    Alert(AlertId),
    /// Tells when everything before it is on disk.
    Flush(SyncSender<()>),
    /// Nothing comes after this.
    End,
}

impl Work {
    fn weight(&self) -> usize {
        match self {
            Self::Block(block) => block.bytes(),
            Self::Record(record) => record.weight(),
            // What they stand for is weighed where it lies.
            Self::Incident(_) | Self::Alert(_) | Self::Flush(_) | Self::End => 0,
        }
    }
}

#[derive(Debug, Default)]
struct Queue {
    /// The block that is being filled, its bytes, and since when it holds something.
    open: Packer,
    open_bytes: usize,
    open_since: Option<Instant>,
    work: VecDeque<Work>,
    /// An incident that grows a thousand times while it waits is written once, as it is in the end.
    incidents: HashMap<IncidentId, Box<Incident>>,
    alerts: HashMap<AlertId, Box<Alert>>,
    /// Bytes of all that waits, the open block's included.
    bytes: usize,
    received: u64,
    dropped: u64,
    /// Nobody writes any more.
    closed: bool,
}

impl Queue {
    fn push(&mut self, work: Work) {
        self.bytes += work.weight();
        self.work.push_back(work);
    }

    fn pop(&mut self) -> Option<Work> {
        let work = match self.work.pop_front()? {
            Work::Incident(id) => Work::Record(Record::Incident(self.incidents.remove(&id)?)),
            Work::Alert(id) => Work::Record(Record::Alert(self.alerts.remove(&id)?)),
            other => other,
        };
        self.bytes = self.bytes.saturating_sub(work.weight());
        Some(work)
    }

    /// Puts a record behind the others, or in place of an older state of the same that still waits.
    fn put(&mut self, record: Record) {
        let weight = record.weight();
        let before = match record {
            Record::Incident(incident) => {
                let id = incident.id;
                let before = self.incidents.insert(id, incident).map(|before| Record::Incident(before).weight());
                before.or_else(|| {
                    self.work.push_back(Work::Incident(id));
                    None
                })
            }
            Record::Alert(alert) => {
                let id = alert.id;
                let before = self.alerts.insert(id, alert).map(|before| Record::Alert(before).weight());
                before.or_else(|| {
                    self.work.push_back(Work::Alert(id));
                    None
                })
            }
            other => {
                self.work.push_back(Work::Record(other));
                None
            }
        };
        self.bytes = (self.bytes + weight).saturating_sub(before.unwrap_or_default());
    }

    /// Takes an event into the open block, or counts it as lost. True when the writer has to hear of it.
    fn add(&mut self, event: &Event) -> bool {
        self.received += 1;
        if self.closed || self.bytes >= WAITING / 100 * share(event) {
            self.dropped += 1;
            return false;
        }
        let Ok(bytes) = self.open.push(event) else {
            self.dropped += 1;
            return false;
        };
        self.bytes += bytes;
        self.open_bytes += bytes;
        if self.open.is_full() {
            self.close_block();
            return true;
        }
        if self.open_since.is_some() {
            return false;
        }
        self.open_since = Some(Instant::now());
        true
    }

    /// The open block waits to be written now.
    fn close_block(&mut self) {
        self.bytes = self.bytes.saturating_sub(self.open_bytes);
        (self.open_bytes, self.open_since) = (0, None);
        if let Some(block) = self.open.take() {
            self.push(Work::Block(block));
        }
    }
}

#[derive(Debug, Default)]
struct Pipe {
    queue: Mutex<Queue>,
    arrived: Condvar,
}

impl Pipe {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // A panic leaves whole records behind; the queue stays usable.
        self.queue.lock().unpoisoned()
    }
}

/// The near end: never waits for the disk, counts what does not fit.
#[derive(Debug)]
pub(crate) struct Recorder(Arc<Pipe>);

/// The far end, where the writer takes from.
#[derive(Debug)]
pub(crate) struct FarEnd(Arc<Pipe>);

impl Recorder {
    /// A queue and its far end.
    pub(crate) fn new() -> (Self, FarEnd) {
        let pipe = Arc::new(Pipe::default());
        (Self(Arc::clone(&pipe)), FarEnd(pipe))
    }

    /// More than half full: what is not urgent had better wait.
    pub(crate) fn is_busy(&self) -> bool {
        self.0.lock().bytes >= WAITING / 2
    }

    /// Keeps events; one call for many costs least.
    pub(crate) fn keep_all<'a>(&self, events: impl IntoIterator<Item = &'a Event>) {
        let mut queue = self.0.lock();
        // All of them are added: `any` would stop at the first that wakes the writer.
        let wake = events.into_iter().fold(false, |wake, event| queue.add(event) | wake);
        drop(queue);
        if wake {
            self.0.arrived.notify_one();
        }
    }

    /// Keeps something else than an event.
    pub(crate) fn keep(&self, record: Record) {
        let mut queue = self.0.lock();
        queue.received += 1;
        if queue.closed || queue.bytes >= WAITING || queue.work.len() >= RECORDS {
            queue.dropped += 1;
            return;
        }
        // A note may say how far something was read: it must not overtake what came of it.
        if matches!(record, Record::Note(..)) {
            queue.close_block();
        }
        queue.put(record);
        drop(queue);
        self.0.arrived.notify_one();
    }

    /// Waits until everything kept so far is on disk, at most five seconds.
    pub(crate) fn flush(&self) {
        let (done, told) = sync_channel(1);
        let mut queue = self.0.lock();
        if queue.closed {
            return;
        }
        queue.close_block();
        queue.push(Work::Flush(done));
        drop(queue);
        self.0.arrived.notify_one();
        // The writer may end without an answer.
        let _ = told.recv_timeout(Duration::from_secs(5));
    }

    pub(crate) fn hop(&self) -> HopDrops {
        let queue = self.0.lock();
        HopDrops { hop: "store".to_owned(), received: queue.received, dropped: queue.dropped }
    }

    /// Tells the writer that nothing comes any more.
    pub(crate) fn end(&self) {
        let mut queue = self.0.lock();
        queue.close_block();
        queue.push(Work::End);
        drop(queue);
        self.0.arrived.notify_one();
    }

    /// Records that reached the far end and could not be written.
    pub(crate) fn failed(&self, count: u64) {
        self.0.lock().dropped += count;
    }
}

impl FarEnd {
    /// While nothing can be written: answers who waits for the disk; true when there is nothing more to wait for.
    fn idle(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let mut queue = self.0.lock();
        loop {
            let ended = queue.work.iter().any(|work| matches!(work, Work::End));
            queue.work.retain(|work| {
                // Nobody may be waiting any more.
                if let Work::Flush(done) = work {
                    let _ = done.try_send(());
                }
                !matches!(work, Work::Flush(_))
            });
            let left = until.saturating_duration_since(Instant::now());
            if ended || left.is_zero() {
                return ended;
            }
            queue = self.0.arrived.wait_timeout(queue, left).unpoisoned().0;
        }
    }

    /// What could not be written now is the next to be written, unless a newer state of the same waits.
    fn put_back(&self, work: Work) {
        let mut queue = self.0.lock();
        let stale = match &work {
            Work::Record(Record::Incident(incident)) => queue.incidents.contains_key(&incident.id),
            Work::Record(Record::Alert(alert)) => queue.alerts.contains_key(&alert.id),
            _ => false,
        };
        if !stale {
            queue.bytes += work.weight();
            queue.work.push_front(work);
        }
    }

    /// What to do next: records at once, events when their block is full or has been gathered for long enough; `None` when
    /// there was nothing for so long.
    fn next(&self, patience: Duration) -> Option<Work> {
        let until = Instant::now() + patience;
        let mut queue = self.0.lock();
        loop {
            if let Some(work) = queue.pop() {
                return Some(work);
            }
            let now = Instant::now();
            let due = queue.open_since.map(|since| since + GATHER);
            if due.is_some_and(|due| due <= now) {
                queue.close_block();
                continue;
            }
            if until <= now {
                return None;
            }
            let wait = due.map_or(until, |due| due.min(until)).saturating_duration_since(now);
            queue = self.0.arrived.wait_timeout(queue, wait).unpoisoned().0;
        }
    }
}

impl Drop for FarEnd {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        queue.closed = true;
        // What came after the end, or was left by a writer that panicked.
        while let Some(work) = queue.pop() {
            queue.dropped += match work {
                Work::Block(block) => block.events(),
                Work::Record(_) => 1,
                Work::Incident(_) | Work::Alert(_) | Work::Flush(_) | Work::End => 0,
            };
        }
    }
}

#[cfg(test)]
mod tests;
