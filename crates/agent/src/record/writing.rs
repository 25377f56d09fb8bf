//! The writer: one thread, one piece of work in its hands at a time. What a full, failing or locked disk refuses waits in
//! the queue and is tried again; what finds no room there is counted by the queue.

use std::time::{Duration, Instant};

use super::{FarEnd, Record, Work};
use bartizan_model::Timestamp;
use bartizan_store::{StoreError, Writer};

/// How often old records are let go.
const RETENTION_PERIOD: Duration = Duration::from_secs(60);
/// How often a disk that refuses is tried again.
const AGAIN: Duration = Duration::from_secs(5);
/// How often the numbers are told that were given out.
const TELL: Duration = Duration::from_secs(30);

/// The highest numbers among what was kept, 0 where nothing was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Numbers {
    pub(crate) events: u64,
    pub(crate) incidents: u64,
    pub(crate) alerts: u64,
    pub(crate) approvals: u64,
}

impl Numbers {
    /// As many more of each.
    pub(crate) fn plus(self, more: Self) -> Self {
        Self {
            events: self.events.saturating_add(more.events),
            incidents: self.incidents.saturating_add(more.incidents),
            alerts: self.alerts.saturating_add(more.alerts),
            approvals: self.approvals.saturating_add(more.approvals),
        }
    }

    fn take(&mut self, work: &Work) {
        match work {
            Work::Block(block) => self.events = self.events.max(block.last().0),
            Work::Record(Record::Incident(incident)) => self.incidents = self.incidents.max(incident.id.0),
            Work::Record(Record::Alert(alert)) => self.alerts = self.alerts.max(alert.id.0),
            Work::Record(Record::Approval(approval)) => self.approvals = self.approvals.max(approval.id.0),
            Work::Record(Record::Signal(_) | Record::Digest(_) | Record::Note(..)) => {}
            Work::Incident(_) | Work::Alert(_) | Work::Flush(_) | Work::End => {}
        }
    }
}

/// What the writer needs of the rest of the agent.
pub(crate) trait Archiving {
    /// Opens the archive (again).
    fn open(&mut self) -> Result<Writer, StoreError>;
    /// So many records were lost, to this trouble; with no trouble: it is over.
    fn report(&mut self, lost: u64, trouble: Option<StoreError>);
    /// These numbers were given out: remember them where they are found without the archive.
    fn numbered(&mut self, numbers: Numbers);
}

/// Writes until the end. Without a `writer` it begins by opening one.
pub(crate) fn write(far_end: &FarEnd, writer: Option<Writer>, limits: (u64, Duration), archiving: &mut impl Archiving) {
    let (mut writer, mut troubled) = (writer, false);
    let (mut tidied, mut told, mut numbers, mut known) = (Instant::now(), Instant::now(), Numbers::default(), Numbers::default());
    loop {
        let Some(open) = &mut writer else {
            match archiving.open() {
                Ok(opened) => (writer, troubled) = (Some(opened), true),
                Err(error) => {
                    archiving.report(0, Some(error));
                    if far_end.idle(AGAIN) {
                        return;
                    }
                }
            }
            continue;
        };
        if let Some(work) = far_end.next(RETENTION_PERIOD.saturating_sub(tidied.elapsed()).min(TELL)) {
            if matches!(work, Work::End) {
                archiving.numbered(numbers);
                return;
            }
            numbers.take(&work);
            match write_one(open, &work) {
                Ok(written) if written && troubled => {
                    troubled = false;
                    archiving.report(0, None);
                }
                Ok(_) => {}
                Err(error) => {
                    troubled = true;
                    let (passing, damaged) = (error.may_pass(), error.is_corruption());
                    let lost = if passing || damaged { 0 } else { count(&work) };
                    archiving.report(lost, Some(error));
                    if passing || damaged {
                        far_end.put_back(work);
                    }
                    if damaged {
                        writer = None;
                    } else if passing && far_end.idle(AGAIN) {
                        return;
                    }
                    continue;
                }
            }
        }
        if told.elapsed() >= TELL && numbers != known {
            (told, known) = (Instant::now(), numbers);
            archiving.numbered(numbers);
        }
        if tidied.elapsed() >= RETENTION_PERIOD {
            tidied = Instant::now();
            if let Err(error) = open.retain(limits.0, since(limits.1)) {
                troubled = true;
                archiving.report(0, Some(error));
            }
        }
    }
}

fn since(age: Duration) -> Timestamp {
    chrono::Utc::now() - age
}

fn count(work: &Work) -> u64 {
    match work {
        Work::Block(block) => block.events(),
        Work::Record(_) | Work::Incident(_) | Work::Alert(_) | Work::Flush(_) | Work::End => 1,
    }
}

/// Whether something was written.
fn write_one(writer: &mut Writer, work: &Work) -> Result<bool, StoreError> {
    match work {
        Work::Block(block) => writer.blocks(std::slice::from_ref(block))?,
        Work::Record(Record::Signal(signal)) => writer.upsert_signal(signal)?,
        Work::Record(Record::Incident(incident)) => writer.upsert_incident(incident)?,
        Work::Record(Record::Alert(alert)) => writer.upsert_alert(alert)?,
        Work::Record(Record::Approval(approval)) => writer.upsert_approval(approval)?,
        Work::Record(Record::Digest(digest)) => writer.upsert_digest(digest)?,
        Work::Record(Record::Note(name, value)) => writer.set_meta(name, value)?,
        Work::Flush(done) => {
            // Nobody may be waiting any more.
            let _ = done.try_send(());
            return Ok(false);
        }
        // The queue gives out what these stand for.
        Work::Incident(_) | Work::Alert(_) | Work::End => return Ok(false),
    }
    Ok(true)
}
