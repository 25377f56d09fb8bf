//! The archive as the agent uses it: opened when its disk takes it, done without while that refuses.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;

use super::past::{self, Past};
use super::record::{self, Archiving, FarEnd, Numbers};
use super::shared::{Shared, lock};
use bartizan_model::ApprovalState;
use bartizan_store::ledger::Ledger;
use bartizan_store::{Archive, Lent, Reader, Readers, StoreError, Who, Writer};
use bartizan_sys::{sched, umask};

/// What is said beside the reason.
const WITHOUT: &str = "the agent works on without its archive: new events, incidents and alerts wait in memory, what finds no room there is \
                       lost and counted, history is not shown; it is tried again every 5 seconds";

/// The archive at the start of a run.
pub(super) struct Opened {
    pub(super) reader: Option<Reader>,
    pub(super) writer: Option<Writer>,
    pub(super) past: Past,
    /// What a person must be told about it.
    pub(super) notice: Option<String>,
}

/// Opens the archive, or finds out what can be known without it. Only that of a newer version is no archive to begin with.
pub(super) fn open(dir: &std::path::Path, ledger: &Ledger) -> Result<Opened, StoreError> {
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
pub(super) fn record_all(shared: &Arc<Shared>, far_end: &FarEnd, writer: Option<Writer>, limits: (u64, Duration)) {
    // What is written a little later is as good; what is sensed or judged later is not.
    sched::background();
    record::write(far_end, writer, limits, &mut Keeper { shared, notice: None });
}

struct Keeper<'a> {
    shared: &'a Arc<Shared>,
    notice: Option<String>,
}

impl Archiving for Keeper<'_> {
    fn open(&mut self) -> Result<Writer, StoreError> {
        *lock(&self.shared.archive) = None;
        let archive = Archive::open(&self.shared.settings.data)?;
        let (reader, writer) = (archive.reader()?, archive.writer()?);
        *lock(&self.shared.archive) = Some(Readers::new(reader));
        self.shared.note_file("archive.db");
        restore(self.shared)?;
        self.notice = archive.notice().map(str::to_owned);
        Ok(writer)
    }

    fn report(&mut self, lost: u64, trouble: Option<StoreError>) {
        self.shared.recorder.failed(lost);
        let trouble = match trouble {
            None => self.notice.take(),
            Some(error) if lock(&self.shared.archive).is_none() || error.may_pass() => Some(format!("{error}; {WITHOUT}")),
            Some(error) => Some(error.to_string()),
        };
        self.shared.degrade("archive", trouble);
    }

    fn numbered(&mut self, numbers: Numbers) {
        if let Err(error) = past::remember_numbers(&self.shared.ledger, numbers, chrono::Utc::now()) {
            tracing::debug!(%error, "the numbers given out are not remembered");
        }
    }
}

/// Puts back on screen what the archive remembers and nobody knows yet, and open incidents before the correlator.
pub(super) fn restore(shared: &Shared) -> Result<(), StoreError> {
    let signals = match shared.ask_archive(|archive| archive.signals(2_000)) {
        Err(StoreError::Away) => return Ok(()),
        signals => signals?.records,
    };
    let incidents = shared.ask_archive(|archive| archive.incidents(200))?.records;
    let alerts = shared.ask_archive(|archive| archive.alerts(200))?.records;
    let approvals = shared.ask_archive(|archive| archive.approvals(100))?.records;
    let late = shared.totals.read().events > 0;
    let mut live = lock(&shared.live);
    let mut correlator = lock(&shared.correlator);
    for incident in incidents.into_iter().rev() {
        if live.incidents.contains_key(&incident.id) {
            continue;
        }
        let own = signals.iter().rev().filter(|signal| incident.signals.contains(&signal.id)).cloned().collect();
        live.incident(&incident, &[]);
        correlator.restore(incident, own);
    }
    let new: Vec<_> = signals.iter().rev().filter(|signal| !live.signals.iter().any(|known| known.id == signal.id)).collect();
    new.into_iter().for_each(|signal| live.signal(signal));
    for alert in alerts.iter().rev() {
        if !live.alerts.contains_key(&alert.id) {
            live.alert(alert);
        }
    }
    // A question that the approvals of this run do not know cannot be answered: it is not shown as if it could.
    approvals
        .iter()
        .rev()
        .filter(|approval| !late || approval.state != ApprovalState::Pending)
        .for_each(|approval| live.approval(approval));
    Ok(())
}

impl Shared {
    /// A connection to the archive for a question of `who`. Nobody has more than half of them: the others go on.
    pub(super) fn archive_for(&self, who: &str) -> Result<Lent, StoreError> {
        let readers = lock(&self.archive).clone();
        // The name of a peer is `uid 0 (pid 4711)`: more processes of one account get no more than one.
        let account = who.split(" (").next().unwrap_or(who).to_owned();
        let is_trusted = account == format!("uid {}", umask::own_uid()) || account == "uid 0";
        readers.map_or(Err(StoreError::Away), |readers| readers.lend(&Who { account, is_trusted }))
    }

    /// Asks the archive what takes milliseconds; no search stands before it.
    pub(super) fn ask_archive<T>(&self, ask: impl FnOnce(&Reader) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let readers = lock(&self.archive).clone();
        readers.map_or(Err(StoreError::Away), |readers| readers.brief(ask))
    }

    /// Notes which file a database is, when it is there.
    pub(super) fn note_file(&self, name: &'static str) {
        if let Ok(found) = std::fs::metadata(self.settings.data.join(name)) {
            lock(&self.files).insert(name, found.ino());
        }
    }

    /// The same for a ledger that came back from memory to its disk.
    pub(super) fn note_ledger(&self) {
        if !lock(&self.files).contains_key("ledger.db") && self.ledger.trouble().is_none() {
            self.note_file("ledger.db");
        }
    }

    /// A database whose file is gone or is another one: what is written goes nowhere that a restart would find.
    pub(super) fn check_files(&self) {
        let files = lock(&self.files).clone();
        for (name, inode) in files {
            let found = std::fs::metadata(self.settings.data.join(name)).map(|metadata| metadata.ino()).ok();
            let trouble = (found != Some(inode))
                .then(|| format!("{name} was removed or replaced under the running agent: its records end with it; restart the agent"));
            self.degrade(name, trouble);
        }
    }
}
