//! The ledger: what was intended, what was done, and the hash-chained record of every decision.
//!
//! An action is written here before the host is touched. WAL with `synchronous = NORMAL` survives our own death at
//! any moment; after a power cut the host is freshly booted and holds nothing of ours but what outlives a reboot: such an
//! intent is synced first.

mod actions;
mod anchor;
mod audit;
mod book;
mod exceptions;
mod image;
mod opening;
mod owed;
mod reserve;
mod returning;
mod row;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock};

use rusqlite::{Connection, OptionalExtension};

pub use anchor::Head;
pub use audit::AuditVerdict;
pub use book::{Anchor, Held};
pub use exceptions::{ExceptionError, MAX_EXCEPTIONS};

use bartizan_model::{AuditBody, AuditEntry, Timestamp, Unpoisoned as _};

/// Why the ledger could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Made by a newer program.
    #[error("{file} was written by a newer version of bartizan: upgrade this one, or give another --data directory", file = .0.display())]
    Newer(PathBuf),
    /// SQLite says no.
    #[error("could not {what} in {file}: {why}", file = .file.display())]
    Sqlite {
        /// What was tried.
        what: &'static str,
        /// Where.
        file: PathBuf,
        /// SQLite's words.
        why: rusqlite::Error,
    },
    /// A row that makes no sense.
    #[error("could not {what} in {file}: {why}", file = .file.display())]
    Row {
        /// What was tried.
        what: &'static str,
        /// Where.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The disk takes nothing.
    #[error("{file} cannot be written: {why}", file = .file.display())]
    Away {
        /// Where.
        file: PathBuf,
        /// Why, and what to do.
        why: String,
    },
    /// The file itself.
    #[error("could not {what} {file}: {why}", file = .file.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// Where.
        file: PathBuf,
        /// errno in words.
        why: std::io::Error,
    },
}

/// The journal of actions and the audit log, in `ledger.db`.
#[derive(Debug)]
pub struct Ledger {
    connection: Mutex<Connection>,
    book: Mutex<book::Book>,
    file: PathBuf,
    instance: String,
    notice: Option<String>,
    /// Where the audit log ends, as far as we know.
    head: Mutex<Head>,
    /// Absent while the disk takes none.
    anchor: OnceLock<anchor::Anchor>,
    standing: Mutex<Standing>,
    /// Found out since somebody last asked: the log was cut or replaced.
    cut: Mutex<Option<String>>,
}

/// Length of the write-ahead log from which it is worth copying into the database.
const WORTH_TIDYING: u64 = 4 << 20;

/// How the ledger stands to its disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is in its file, and others may read it.
    OnDisk,
    /// The same on a disk that has no room for the index of the log: that is in our memory, and nobody else can read.
    Alone,
    /// It was read into memory and cannot be written. Why, and what to do.
    InMemory(String),
}

impl Ledger {
    /// Opens or makes `ledger.db` in `dir`. A damaged file is put aside under a name with the time in it, a new
    /// chain begins with an entry that says so, and [`Ledger::notice`] tells. On a disk that refuses (full, read-only,
    /// locked) it is read into memory: [`Ledger::trouble`] then says so, nothing new can be begun, and all that is live
    /// can be undone. [`Ledger::tidy`] goes back to the disk as soon as that takes it.
    ///
    /// # Errors
    /// [`LedgerError::Newer`] for a file of a newer version.
    pub fn open(dir: &Path, now: Timestamp) -> Result<Self, LedgerError> {
        opening::open(dir, now)
    }

    /// Copies a long write-ahead log into the database, on a connection of its own: nobody who acts waits for the disk.
    /// What was read into memory goes back to a disk that takes it again.
    ///
    /// # Errors
    /// When the disk refuses; nothing is lost, the log only grows.
    pub fn tidy(&self) -> Result<(), LedgerError> {
        if let Standing::InMemory(_) = self.standing() {
            return self.come_back();
        }
        if std::fs::metadata(image::log_of(&self.file)).map_or(0, |log| log.len()) < WORTH_TIDYING {
            return Ok(());
        }
        let tidied = match self.standing() {
            Standing::Alone => reserve::checkpoint(&self.lock()),
            _ => crate::connection::open(&self.file, rusqlite::OpenFlags::default()).and_then(|own| reserve::checkpoint(&own)),
        };
        tidied.map_err(self.sqlite("tidy the write-ahead log"))
    }

    /// Why nothing can be written, and what to do; `None` when it can.
    pub fn trouble(&self) -> Option<String> {
        match self.standing() {
            Standing::InMemory(why) => Some(why),
            Standing::OnDisk | Standing::Alone => None,
        }
    }

    fn standing(&self) -> Standing {
        locked(&self.standing).clone()
    }

    /// What the owner should know about how it was opened.
    pub fn notice(&self) -> Option<&str> {
        self.notice.as_deref()
    }

    /// Eight hex digits that tell this agent's groups and timers from those of another agent on the same host.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// Adds a line to the hash-chained record.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn audit(&self, body: AuditBody) -> Result<AuditEntry, LedgerError> {
        self.change("write the audit log", false, |change, chain| audit::append(change, chain, &body))
    }

    /// The last `n` lines, oldest first.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn audit_tail(&self, n: usize) -> Result<Vec<AuditEntry>, LedgerError> {
        audit::tail(&self.lock(), n).map_err(self.sqlite("read the audit log"))
    }

    /// Recomputes the chain from its first line.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn verify(&self) -> Result<AuditVerdict, LedgerError> {
        if let Some(anchor) = self.anchor.get() {
            anchor.settle();
        }
        if self.trouble().is_none() && !self.file.exists() {
            return Ok(gone(&self.file));
        }
        audit::verify(&self.lock(), &anchor::look(self.directory())).map_err(self.sqlite("read the audit log"))
    }

    /// Recomputes the chain of the ledger in `dir` without opening it for writing: no agent needs to run.
    ///
    /// # Errors
    /// When there is no ledger, or it cannot be read.
    pub fn verify_file(dir: &Path) -> Result<AuditVerdict, LedgerError> {
        let file = dir.join("ledger.db");
        let traces = [anchor::FILE, anchor::KEY, "archive.db", "agent.lock"];
        if !file.exists() && traces.iter().any(|trace| dir.join(trace).exists()) {
            return Ok(gone(&file));
        }
        let fail = |what| {
            let file = file.clone();
            move |why| LedgerError::Sqlite { what, file, why }
        };
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = crate::connection::open(&file, flags).map_err(fail("open the database"))?;
        audit::verify(&connection, &anchor::look(dir)).map_err(fail("read the audit log"))
    }

    /// Where the audit log ends: to be told to somebody who keeps it elsewhere.
    pub fn head(&self) -> Head {
        locked(&self.head).clone()
    }

    /// The same once it is on the disk itself, so that a power cut takes nothing of what was told; `None` while the disk takes
    /// nothing.
    pub fn settled_head(&self) -> Option<Head> {
        let (head, anchor) = (self.head(), self.anchor.get()?);
        anchor.settle();
        anchor.trouble().is_none().then_some(head)
    }

    /// Another ledger was put in the place of this one, or this one in its place: says so as a cut.
    pub fn is_another_than(&self, known: &str, lines: u64, place: &str, now: Timestamp) {
        let why = format!("{place} remembers another log of {lines} lines ({known}): this one was put in its place");
        *locked(&self.cut) = Some(why.clone());
        self.audit_or_owe(audit::cut_line(now, &why));
    }

    /// Compares the log with what another place remembers of it: its last line there, as [`Ledger::head`] gave it. When the
    /// log ends before it, or another line stands in its place, the log says so from now on, and [`Ledger::found_cut`] too.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn compare_with(&self, elsewhere: &Head, place: &str, now: Timestamp) -> Result<bool, LedgerError> {
        let found = anchor::Found::Head(elsewhere.clone());
        let wrong = audit::against(&self.lock(), &found).map_err(self.sqlite("read the audit log"))?;
        let Some((_, why)) = wrong else { return Ok(false) };
        let why = format!("{place} remembers otherwise: {why}");
        *locked(&self.cut) = Some(why.clone());
        self.audit_or_owe(audit::cut_line(now, &why));
        Ok(true)
    }

    /// Once: that the log was found cut or replaced, in words.
    pub fn found_cut(&self) -> Option<String> {
        locked(&self.cut).take()
    }

    /// Why the anchor cannot be written, if so.
    pub fn anchor_trouble(&self) -> Option<String> {
        self.anchor.get().and_then(anchor::Anchor::trouble)
    }

    /// What the ledger remembers under a name of the caller's choice.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn remembered(&self, key: &str) -> Result<Option<String>, LedgerError> {
        let read = self.lock().query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0)).optional();
        read.map_err(self.sqlite("read a remembered value"))
    }

    /// Remembers a value, for example the mode, over restarts.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn remember(&self, key: &str, value: &str) -> Result<(), LedgerError> {
        self.change("remember a value", false, |change, _| {
            change.execute("INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2", [key, value]).map(drop)
        })
    }

    /// The data directory: where `ledger.db` lies.
    pub fn directory(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("."))
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        locked(&self.connection)
    }

    fn sqlite(&self, what: &'static str) -> impl FnOnce(rusqlite::Error) -> LedgerError {
        let file = self.file.clone();
        move |why| LedgerError::Sqlite { what, file, why }
    }
}

/// The verdict on a log whose file was deleted.
fn gone(file: &Path) -> AuditVerdict {
    let detail = format!("{} is gone, and with it the whole log: an agent has worked here", file.display());
    AuditVerdict { intact: false, entries: 0, broken_at: Some(1), detail }
}

/// The database alone is whole when we ended by ourselves; its log stays, for the room that it holds.
impl Drop for Ledger {
    fn drop(&mut self) {
        if self.trouble().is_none() {
            // A disk that refuses leaves it in the log, from where the next start takes it.
            let _ = reserve::checkpoint(&self.lock());
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unpoisoned()
}

#[cfg(test)]
mod tests;
