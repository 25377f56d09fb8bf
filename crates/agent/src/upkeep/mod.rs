//! Upkeep: what happens by the clock and hurries nobody: health probes, backups of the files that decide who gets in, the audit
//! log's anchor, our own database files, the archive's disk. Its thread alone owns what it remembers between two rounds.

mod anchoring;
mod archiving;
mod databases;
mod probes;
mod run_mark;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use archiving::{Keeper, Opened, open, record_all, restored};
pub(crate) use probes::run as run_probes;
pub(crate) use run_mark::{begin as begin_run, end as end_run};

use anchoring::Anchoring;
use databases::Databases;

use crate::archive::Archives;
use crate::ingest::Ingest;
use crate::mailbox::Mailbox;
use crate::notify::Notify;
use crate::record::Recorder;
use crate::response::Response;
use crate::schedule::due;
use crate::troubles::Troubles;
use bartizan_config::Settings;
use bartizan_guard::file_backups::AccessCopies;
use bartizan_sensors::Stop;
use bartizan_store::ledger::Ledger;
use bartizan_sys::disk_space;

/// How often the audit log's end is looked after.
const ANCHOR: Duration = Duration::from_secs(5);
/// How often the files that decide who gets in are looked at.
const BACKUPS: Duration = Duration::from_secs(6);
/// How often our files are looked at, and the ledger is kept in order.
const TIDY: Duration = Duration::from_secs(10);
/// How often what was learned is written down.
const HABITS: Duration = Duration::from_secs(60);
/// Longest sleep between two looks at the clock.
const ROUND: Duration = Duration::from_secs(2);
/// Bounds of what the ledger sets aside, in bytes.
const LARGEST_RESERVE: u64 = 4 << 20;
const SMALLEST_RESERVE: u64 = 256 << 10;

/// What upkeep needs of others.
#[derive(Clone)]
pub(crate) struct Ties {
    pub(crate) settings: Arc<Settings>,
    pub(crate) stop: Stop,
    pub(crate) troubles: Arc<Troubles>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) archives: Arc<Archives>,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) response: Arc<Response>,
}

/// Upkeep, as all others know it.
pub(crate) struct Upkeep {
    timers: Mailbox<Timers>,
    notify: Arc<Notify>,
    ties: Ties,
}

/// What the thread owns.
pub(crate) struct Timers {
    databases: Databases,
    anchoring: Anchoring,
    backups: AccessCopies,
}

impl Upkeep {
    pub(crate) fn new(ties: Ties) -> (Self, Timers) {
        let notify = Arc::<Notify>::default();
        let wake = Arc::clone(&notify);
        let data = ties.settings.data.clone();
        let timers =
            Timers { databases: Databases::in_directory(&data), anchoring: Anchoring::default(), backups: AccessCopies::of(&data) };
        (Self { timers: Mailbox::new(move || wake.wake()), notify, ties }, timers)
    }

    /// A database was opened: from now on its file is this one.
    pub(crate) fn opened(&self, name: &'static str) {
        self.timers.tell(move |timers| timers.databases.note(name));
    }

    /// Wakes the thread, though nothing came.
    pub(crate) fn nudge(&self) {
        self.notify.wake();
    }

    /// The thread.
    pub(crate) fn run(&self, mut timers: Timers) {
        let Ties { settings, stop, .. } = &self.ties;
        let acts = !settings.only_watches;
        let now = Instant::now();
        let (mut anchored, mut backed_up, mut tidied, mut kept) = (now, now, now, now);
        if acts {
            self.keep_backups(&mut timers);
        }
        anchoring::compare(&self.ties);
        while !stop.is_set() {
            self.notify.sleep(ROUND);
            self.timers.work_off(&mut timers);
            if acts && due(&mut anchored, ANCHOR) {
                timers.anchoring.tend(&self.ties);
            }
            if acts && due(&mut backed_up, BACKUPS) {
                self.keep_backups(&mut timers);
            }
            if due(&mut kept, HABITS) {
                self.ties.ingest.keep_habits(chrono::Utc::now());
            }
            if due(&mut tidied, TIDY) {
                self.tidy(&mut timers);
            }
        }
    }

    /// At the end: where the audit log ends is told once more.
    pub(crate) fn last_word(&self) {
        if !self.ties.settings.only_watches {
            anchoring::tell(&self.ties);
        }
    }

    /// Every change of a file that decides who gets in is a version of its own.
    fn keep_backups(&self, timers: &mut Timers) {
        let taken = timers.backups.look(chrono::Utc::now());
        let trouble = taken.troubles.first().map(|first| match taken.troubles.len() {
            1 => first.clone(),
            more => format!("{first} (and {} more)", more - 1),
        });
        self.ties.troubles.report("file backups", trouble);
    }

    /// Keeps the journal in order, and tells when a full disk makes memory its only copy.
    fn tidy(&self, timers: &mut Timers) {
        let Ties { settings, troubles, ledger, response, .. } = &self.ties;
        let tidied = response.tidy();
        let owed = |owed: usize| match owed {
            1 => "1 record waits in memory until then".to_owned(),
            owed => format!("{owed} records wait in memory until then"),
        };
        let trouble = match (ledger.trouble(), tidied) {
            (Some(why), Ok(0) | Err(_)) => Some(why),
            (Some(why), Ok(waiting)) => Some(format!("{why}; {}", owed(waiting))),
            (None, Ok(0)) => None,
            (None, Ok(waiting)) => Some(format!("disk full: free space on it; no new action starts until then; {}", owed(waiting))),
            (None, Err(error)) => Some(error.to_string()),
        };
        troubles.report("journal", trouble);
        let reserved = ledger.reserve(reserve_of(settings));
        troubles.report("ledger reserve", reserved.err().map(|error| format!("{error}; free space on its disk")));
        timers.databases.note_ledger(ledger);
        timers.databases.check(troubles);
    }
}

/// Room that the ledger sets aside for a day without any: a sixteenth of its disk, 4 MiB at most.
pub(crate) fn reserve_of(settings: &Settings) -> u64 {
    let disk = disk_space::total(&settings.data).map_or(LARGEST_RESERVE, |total| total / 16);
    disk.clamp(SMALLEST_RESERVE, LARGEST_RESERVE)
}

/// Bytes of all databases on disk, their journals included.
pub(crate) fn disk_bytes(settings: &Settings) -> u64 {
    let Ok(entries) = std::fs::read_dir(&settings.data) else { return 0 };
    let ours = |name: &str| name.starts_with("archive.db") || name.starts_with("ledger.db");
    let sizes = entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(ours)).filter_map(|entry| entry.metadata().ok());
    sizes.map(|metadata| metadata.len()).sum()
}
