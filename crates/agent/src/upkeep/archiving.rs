//! The archive as the agent uses it: opened when its disk takes it, done without while that refuses.

use std::sync::Arc;
use std::time::Duration;

use super::{Ties, Upkeep};
use crate::accounting::Counters;
use crate::archive::Archives;
use crate::console::{Console, Remembered};
use crate::past::{self, Past};
use crate::record::{self, Archiving, FarEnd, Numbers};
use bartizan_model::{Incident, Signal};
use bartizan_store::ledger::Ledger;
use bartizan_store::{Archive, Reader, StoreError, Writer};
use bartizan_sys::sched;

/// What is said beside the reason.
const WITHOUT: &str = "the agent works on without its archive: new events, incidents and alerts wait in memory, what finds no room there is \
                       lost and counted, history is not shown; it is tried again every 5 seconds";

/// The archive at the start of a run.
pub(crate) struct Opened {
    pub(crate) reader: Option<Reader>,
    pub(crate) writer: Option<Writer>,
    pub(crate) past: Past,
    /// What a person must be told about it.
    pub(crate) notice: Option<String>,
}

/// Opens the archive, or finds out what can be known without it. Only that of a newer version is no archive to begin with.
pub(crate) fn open(dir: &std::path::Path, ledger: &Ledger) -> Result<Opened, StoreError> {
    let opened = Archive::open(dir).and_then(|archive| {
        let (reader, writer) = (archive.reader()?, archive.writer()?);
        let past = Past::read(&reader)?;
        Ok(Opened { reader: Some(reader), writer: Some(writer), past, notice: archive.notice().map(str::to_owned) })
    });
    opened.or_else(|error| {
        if matches!(error, StoreError::Newer { .. }) {
            return Err(error);
        }
        let unread = std::fs::metadata(dir.join("archive.db")).is_ok_and(|file| file.len() > 0);
        Ok(Opened { reader: None, writer: None, past: Past::remembered(ledger, unread), notice: Some(format!("{error}; {WITHOUT}")) })
    })
}

/// The recorder's thread.
pub(crate) fn record_all(far_end: &FarEnd, writer: Option<Writer>, limits: (u64, Duration), mut keeper: Keeper) {
    // What is written a little later is as good; what is sensed or judged later is not.
    sched::background();
    record::write(far_end, writer, limits, &mut keeper);
}

/// Opens the archive for the recorder, and reports on it.
pub(crate) struct Keeper {
    ties: Ties,
    upkeep: Arc<Upkeep>,
    console: Arc<Console>,
    counters: Arc<Counters>,
    notice: Option<String>,
}

impl Keeper {
    pub(crate) fn new(upkeep: &Arc<Upkeep>, console: &Arc<Console>, counters: &Arc<Counters>) -> Self {
        let (upkeep, console, counters) = (Arc::clone(upkeep), Arc::clone(console), Arc::clone(counters));
        Self { ties: upkeep.ties.clone(), upkeep, console, counters, notice: None }
    }
}

impl Archiving for Keeper {
    fn open(&mut self) -> Result<Writer, StoreError> {
        self.ties.archives.replace(None);
        let archive = Archive::open(&self.ties.settings.data)?;
        let (reader, writer) = (archive.reader()?, archive.writer()?);
        self.ties.archives.replace(Some(reader));
        self.upkeep.opened("archive.db");
        let late = self.counters.read().events > 0;
        self.ties.ingest.restore(restored(&self.ties.archives, &self.console, late)?);
        self.notice = archive.notice().map(str::to_owned);
        Ok(writer)
    }

    fn report(&mut self, lost: u64, trouble: Option<StoreError>) {
        self.ties.recorder.failed(lost);
        let trouble = match trouble {
            None => self.notice.take(),
            Some(error) if self.ties.archives.is_away() || error.may_pass() => Some(format!("{error}; {WITHOUT}")),
            Some(error) => Some(error.to_string()),
        };
        self.ties.troubles.report("archive", trouble);
    }

    fn numbered(&mut self, numbers: Numbers) {
        if let Err(error) = past::remember_numbers(&self.ties.ledger, numbers, chrono::Utc::now()) {
            tracing::debug!(%error, "the numbers given out are not remembered");
        }
    }
}

/// Puts back on screen what the archive remembers and nobody knows yet; gives the incidents among it, for the correlator.
pub(crate) fn restored(archives: &Archives, console: &Console, late: bool) -> Result<Vec<(Incident, Vec<Signal>)>, StoreError> {
    let signals = match archives.ask(|archive| archive.signals(2_000)) {
        Err(StoreError::Away) => return Ok(Vec::new()),
        signals => signals?.records,
    };
    let incidents = archives.ask(|archive| archive.incidents(200))?.records;
    let alerts = archives.ask(|archive| archive.alerts(200))?.records;
    let approvals = archives.ask(|archive| archive.approvals(100))?.records;
    Ok(console.restore(Remembered { signals, incidents, alerts, approvals }, late))
}
