//! The recorder: everything that must outlive the agent goes through one bounded queue to one writer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use crate::model::{Alert, Approval, Event, HopDrops, Incident, Signal};
use crate::store::{StoreError, Writer};

/// Records that wait for the disk at most; about 64 MiB of events.
const WAITING: usize = 65_536;
/// Events written in one transaction.
const BATCH: usize = 4_096;
/// How often an idle recorder looks whether there is something to tidy.
const LINGER: Duration = Duration::from_secs(1);
/// How often old records are let go.
const RETENTION_PERIOD: Duration = Duration::from_secs(60);

/// Something to keep.
#[derive(Debug)]
pub(super) enum Record {
    Event(Box<Event>),
    Signal(Box<Signal>),
    Incident(Box<Incident>),
    Alert(Box<Alert>),
    Approval(Box<Approval>),
    /// A named value, such as when the last console left.
    Note(&'static str, String),
    /// Tells when everything before it is on disk.
    Flush(SyncSender<()>),
    /// Nothing comes after this.
    End,
}

/// The near end: never blocks, counts what does not fit.
#[derive(Debug)]
pub(super) struct Recorder {
    queue: SyncSender<Record>,
    received: AtomicU64,
    dropped: AtomicU64,
}

impl Recorder {
    /// A queue and its far end.
    pub(super) fn new() -> (Self, Receiver<Record>) {
        let (queue, far_end) = sync_channel(WAITING);
        (Self { queue, received: AtomicU64::new(0), dropped: AtomicU64::new(0) }, far_end)
    }

    pub(super) fn keep(&self, record: Record) {
        self.received.fetch_add(1, Ordering::Relaxed);
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.queue.try_send(record) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until everything kept so far is on disk, at most five seconds.
    pub(super) fn flush(&self) {
        let (done, told) = sync_channel(1);
        if self.queue.send(Record::Flush(done)).is_ok() {
            let _ = told.recv_timeout(Duration::from_secs(5));
        }
    }

    pub(super) fn hop(&self) -> HopDrops {
        HopDrops { hop: "store".to_owned(), received: self.received.load(Ordering::Relaxed), dropped: self.dropped.load(Ordering::Relaxed) }
    }

    /// Tells the writer that nothing comes any more.
    pub(super) fn end(&self) {
        // A full queue is being emptied by the writer; a gone writer has ended already.
        let _ = self.queue.send(Record::End);
    }

    /// Records that reached the far end and could not be written.
    pub(super) fn failed(&self, count: u64) {
        self.dropped.fetch_add(count, Ordering::Relaxed);
    }
}

/// The far end: one thread that writes batches. `report` hears of records lost to
/// trouble and of its end (`None`).
pub(super) fn write(
    queue: &Receiver<Record>,
    mut writer: Writer,
    limits: (u64, Duration),
    mut report: impl FnMut(u64, Option<StoreError>),
) {
    let mut batch: Vec<Record> = Vec::with_capacity(BATCH);
    let mut tidied = Instant::now();
    let mut open = true;
    while open {
        match queue.recv_timeout(LINGER) {
            Ok(record) => batch.push(record),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => open = false,
        }
        batch.extend(queue.try_iter().take(BATCH.saturating_sub(batch.len())));
        open &= !batch.iter().any(|record| matches!(record, Record::End));
        if !batch.is_empty() {
            let count = batch.len() as u64;
            match write_batch(&mut writer, &mut batch) {
                Ok(()) => report(0, None),
                Err(error) => report(count, Some(error)),
            }
        }
        if tidied.elapsed() > RETENTION_PERIOD {
            tidied = Instant::now();
            let oldest = chrono::Utc::now() - limits.1;
            if let Err(error) = writer.retain(limits.0, oldest) {
                report(0, Some(error));
            }
        }
    }
}

fn write_batch(writer: &mut Writer, batch: &mut Vec<Record>) -> Result<(), StoreError> {
    let mut events = Vec::with_capacity(batch.len());
    let mut rest = Vec::new();
    for record in batch.drain(..) {
        match record {
            Record::Event(event) => events.push(*event),
            other => rest.push(other),
        }
    }
    writer.events(&events)?;
    for record in rest {
        match record {
            Record::Event(_) | Record::End => {}
            Record::Signal(signal) => writer.upsert_signal(&signal)?,
            Record::Incident(incident) => writer.upsert_incident(&incident)?,
            Record::Alert(alert) => writer.upsert_alert(&alert)?,
            Record::Approval(approval) => writer.upsert_approval(&approval)?,
            Record::Note(name, value) => writer.set_meta(name, &value)?,
            // Nobody may be waiting any more.
            Record::Flush(done) => drop(done.try_send(())),
        }
    }
    Ok(())
}
