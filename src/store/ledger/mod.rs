//! The ledger: what was intended, what was done, and the hash-chained record of every decision.
//!
//! An action is written here before the host is touched. WAL with `synchronous = NORMAL` survives our own death at
//! any moment; after a power cut the host is freshly booted and holds nothing of ours but what outlives a reboot: such an
//! intent is synced first.

mod actions;
mod anchor;
mod audit;
mod book;
mod owed;
mod row;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension};
use rusqlite_migration::{M, Migrations};

pub use anchor::Head;
pub use audit::AuditVerdict;
pub use book::{Anchor, Held};

use crate::model::{AuditBody, AuditEntry, Timestamp};

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
    anchor: anchor::Anchor,
    /// Found out since somebody last asked: the log was cut or replaced.
    cut: Mutex<Option<String>>,
}

const SCHEMA: &str = "
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
    CREATE TABLE actions (id INTEGER PRIMARY KEY, state TEXT NOT NULL, active INTEGER NOT NULL, body TEXT NOT NULL, snapshot TEXT NOT NULL) STRICT;
    CREATE INDEX actions_active ON actions (active) WHERE active = 1;
    CREATE TABLE audit (seq INTEGER PRIMARY KEY, body TEXT NOT NULL, hash TEXT NOT NULL) STRICT;
    CREATE TRIGGER audit_stays BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END;
    CREATE TRIGGER audit_keeps BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END;
    INSERT INTO meta VALUES ('instance', lower(hex(randomblob(4))));
";

/// When each action was planned on the clock that nobody can set: boot, and nanoseconds since it.
const CLOCKS: &str = "ALTER TABLE actions ADD COLUMN boot INTEGER; ALTER TABLE actions ADD COLUMN clock INTEGER;";

/// What each action is meant to be. Rows that were over before this column came are gone for good.
const DESIRED: &str =
    "ALTER TABLE actions ADD COLUMN desired TEXT NOT NULL DEFAULT 'live'; UPDATE actions SET desired = 'gone' WHERE active = 0;";

/// Version of the tables, as SQLite's user_version; it counts the migrations.
const VERSION: i64 = 3;

/// Pages of the write-ahead log (4 KiB each) at which a writer checkpoints it itself, should [`Ledger::tidy`] never come:
/// a checkpoint syncs two files, which no action waits for.
const LAST_RESORT: u32 = 16_384;
/// Length of the write-ahead log from which it is worth copying into the database.
const WORTH_TIDYING: u64 = 4 << 20;

/// Looks at the version without writing a byte: the file of a later program stays exactly as it was.
fn untouched_if_newer(file: &Path) -> Result<(), LedgerError> {
    if !file.exists() {
        return Ok(());
    }
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let version =
        Connection::open_with_flags(file, flags).and_then(|found| found.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0)));
    match version {
        Ok(found) if found > VERSION => Err(LedgerError::Newer(file.to_owned())),
        // What is wrong with it is found, and told, by opening it in earnest.
        _ => Ok(()),
    }
}

impl Ledger {
    /// Opens or makes `ledger.db` in `dir`. A damaged file is put aside under a name with the time in it, a new
    /// chain begins with an entry that says so, and [`Ledger::notice`] tells.
    ///
    /// # Errors
    /// [`LedgerError::Newer`] for a file of a newer version; others when the directory cannot be written.
    pub fn open(dir: &Path, now: Timestamp) -> Result<Self, LedgerError> {
        let file = dir.join("ledger.db");
        std::fs::create_dir_all(dir).map_err(|why| LedgerError::File { what: "make the directory of", file: file.clone(), why })?;
        match Self::try_open(&file, now) {
            Err(why) if is_damage(&why) => {
                let aside = dir.join(format!("ledger.db.damaged-{}", now.format("%Y%m%dT%H%M%SZ")));
                put_aside(&file, &aside)?;
                anchor::put_aside(dir, &now.format(".damaged-%Y%m%dT%H%M%SZ").to_string());
                let mut ledger = Self::try_open(&file, now)?;
                let notice = format!("the ledger was damaged ({why}); it was put aside as {} and a new one began", aside.display());
                let body = AuditBody {
                    at: now,
                    actor: "bartizan".into(),
                    what: "audit.restarted".into(),
                    subject: "ledger.db".into(),
                    detail: notice.clone(),
                };
                ledger.audit(body)?;
                ledger.notice = Some(notice);
                Ok(ledger)
            }
            opened => opened,
        }
    }

    fn try_open(file: &Path, now: Timestamp) -> Result<Self, LedgerError> {
        let fail = |what| move |why| LedgerError::Sqlite { what, file: file.to_owned(), why };
        untouched_if_newer(file)?;
        let mut connection = Connection::open(file).map_err(fail("open the database"))?;
        private(file)?;
        connection.busy_timeout(std::time::Duration::from_secs(5)).map_err(fail("set a limit"))?;
        connection
            .execute_batch(&format!(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA trusted_schema = OFF; PRAGMA wal_autocheckpoint = {LAST_RESORT};"
            ))
            .map_err(fail("prepare the database"))?;
        let healthy: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(fail("check the database"))?;
        if healthy != "ok" {
            let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
            return Err(fail("check the database")(rusqlite::Error::SqliteFailure(code, Some(healthy))));
        }
        Migrations::new(vec![M::up(SCHEMA), M::up(CLOCKS), M::up(DESIRED)]).to_latest(&mut connection).map_err(|error| match error {
            rusqlite_migration::Error::MigrationDefinition(_) => LedgerError::Newer(file.to_owned()),
            rusqlite_migration::Error::RusqliteError { err, .. } => fail("prepare the tables")(err),
            other => LedgerError::Row { what: "prepare the tables", file: file.to_owned(), why: other.to_string() },
        })?;
        let instance = connection
            .query_row("SELECT value FROM meta WHERE key = 'instance'", [], |row| row.get(0))
            .map_err(fail("read the ledger's name"))?;
        let ledger = Self::anchored(connection, file, instance, now)?;
        // Its anchor is written before it is put aside: else it would come after, and look like lines that are gone.
        ledger.load().inspect_err(|_| ledger.anchor.settle())?;
        // That the files exist must itself outlive a power cut.
        std::fs::File::open(ledger.directory()).and_then(|dir| dir.sync_all()).map_err(|why| LedgerError::File {
            what: "sync the directory of",
            file: file.to_owned(),
            why,
        })?;
        Ok(ledger)
    }

    /// Compares the log with its anchor, writes down what is wrong, and goes on from there.
    fn anchored(mut connection: Connection, file: &Path, instance: String, now: Timestamp) -> Result<Self, LedgerError> {
        let fail = |why| LedgerError::Sqlite { what: "read the audit log", file: file.to_owned(), why };
        let dir = file.parent().unwrap_or(Path::new("."));
        let wrong = audit::against(&connection, &anchor::look(dir)).map_err(fail)?.map(|(_, why)| why);
        let (lines, hash) = audit::head(&connection).map_err(fail)?;
        let mut chain = audit::Chain { head: Head { lines, hash, at: now }, cut: None };
        if let Some(why) = &wrong {
            let change = connection.transaction().map_err(fail)?;
            audit::append(&change, &mut chain, &audit::cut_line(now, why)).map_err(fail)?;
            change.commit().map_err(fail)?;
        }
        let head = chain.head;
        let anchor =
            anchor::Anchor::begin(dir, head.clone()).map_err(|why| LedgerError::File { what: "anchor", file: file.to_owned(), why })?;
        let notice = wrong.as_ref().map(|why| format!("the audit log was tampered with while no agent ran: {why}"));
        let (connection, head, cut) = (Mutex::new(connection), Mutex::new(head), Mutex::new(wrong));
        Ok(Self { connection, book: Mutex::default(), file: file.to_owned(), instance, notice, head, anchor, cut })
    }

    /// Copies a long write-ahead log into the database, on a connection of its own: nobody who acts waits for the disk.
    ///
    /// # Errors
    /// When the disk refuses; nothing is lost, the log only grows.
    pub fn tidy(&self) -> Result<(), LedgerError> {
        let mut log = self.file.as_os_str().to_owned();
        log.push("-wal");
        if std::fs::metadata(log).map_or(0, |log| log.len()) < WORTH_TIDYING {
            return Ok(());
        }
        let tidied =
            Connection::open(&self.file).and_then(|own| own.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(0)));
        tidied.map(drop).map_err(self.sqlite("tidy the write-ahead log"))
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
        self.anchor.settle();
        audit::verify(&self.lock(), &anchor::look(self.directory())).map_err(self.sqlite("read the audit log"))
    }

    /// Recomputes the chain of the ledger in `dir` without opening it for writing: no agent needs to run.
    ///
    /// # Errors
    /// When there is no ledger, or it cannot be read.
    pub fn verify_file(dir: &Path) -> Result<AuditVerdict, LedgerError> {
        let file = dir.join("ledger.db");
        let fail = |what| {
            let file = file.clone();
            move |why| LedgerError::Sqlite { what, file, why }
        };
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&file, flags).map_err(fail("open the database"))?;
        audit::verify(&connection, &anchor::look(dir)).map_err(fail("read the audit log"))
    }

    /// Where the audit log ends: to be told to somebody who keeps it elsewhere.
    pub fn head(&self) -> Head {
        locked(&self.head).clone()
    }

    /// Once: that the log was found cut or replaced, in words.
    pub fn found_cut(&self) -> Option<String> {
        locked(&self.cut).take()
    }

    /// Why the anchor cannot be written, if so.
    pub fn anchor_trouble(&self) -> Option<String> {
        self.anchor.trouble()
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
        let written = self.lock().execute("INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2", [key, value]);
        written.map(drop).map_err(self.sqlite("remember a value"))
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

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the file itself is broken, or an active row of it: then it is better put aside than half believed.
fn is_damage(error: &LedgerError) -> bool {
    match error {
        LedgerError::Sqlite { why, .. } => {
            matches!(why.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase))
        }
        LedgerError::Row { what, .. } => matches!(*what, "read an action" | "read a snapshot"),
        LedgerError::Newer(_) | LedgerError::File { .. } => false,
    }
}

/// The ledger names people and reasons: for root alone.
fn private(file: &Path) -> Result<(), LedgerError> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).map_err(|why| LedgerError::File {
        what: "protect",
        file: file.to_owned(),
        why,
    })
}

fn put_aside(file: &Path, aside: &Path) -> Result<(), LedgerError> {
    let fail = |why| LedgerError::File { what: "put aside the damaged", file: file.to_owned(), why };
    std::fs::rename(file, aside).map_err(fail)?;
    for suffix in ["-wal", "-shm"] {
        let mut with = file.as_os_str().to_owned();
        with.push(suffix);
        let mut to = aside.as_os_str().to_owned();
        to.push(suffix);
        match std::fs::rename(&with, &to) {
            Err(why) if why.kind() != std::io::ErrorKind::NotFound => return Err(fail(why)),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
