//! The archive: `archive.db` in the data directory, where events, signals, incidents, alerts and approvals are kept.
//!
//! One [`Writer`] at a time writes (its own thread is the engine's business); any number of [`Reader`]s read beside it (WAL).

use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::error::{StoreError, is_corruption};
use super::migrations;
use super::reader::Reader;
use super::writer::Writer;

/// Name of the file in the data directory.
pub(super) const FILE: &str = "archive.db";

/// Files up to this size are checked page by page when they are opened: about a second.
const CHECKED_UP_TO: u64 = 256 << 20;

/// Page cache of a connection: negative means KiB (SQLite's `PRAGMA cache_size`). Blocks are written once and read from end to end,
/// so a larger one costs memory and saves nothing.
const CACHE: i64 = -512;

/// What the write-ahead log may keep on disk once it was copied into the database, in bytes.
const LOG: i64 = 4 << 20;

/// How long somebody else may hold the file before it is given up for now: the agent starts without it.
const PATIENCE: Duration = Duration::from_secs(1);

/// A database that is open and up to date.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    notice: Option<String>,
}

impl Archive {
    /// Opens `archive.db` in `dir`, making both where needed (directory 0700, file 0600). A damaged file is moved aside to
    /// `archive.db.corrupt-TIME` and a new one begun: [`Archive::notice`] then says so and must be shown.
    ///
    /// # Errors
    /// [`StoreError::Newer`] for the file of a later version, which is left untouched; else what the disk says.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|why| StoreError::Directory { path: dir.to_owned(), why })?;
        let path = dir.join(FILE);
        match prepare(&path) {
            Ok(()) => Ok(Self { path, notice: None }),
            Err(error) if error.is_corruption() => {
                let aside = set_aside(&path)?;
                prepare(&path)?;
                let notice = format!(
                    "{} was damaged ({error}); it is kept as {} and a new one was begun: earlier events are not shown",
                    path.display(),
                    aside.display()
                );
                Ok(Self { path, notice: Some(notice) })
            }
            Err(error) => Err(error),
        }
    }

    /// What a person must be told about opening it.
    pub fn notice(&self) -> Option<&str> {
        self.notice.as_deref()
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The connection that writes. Have one at a time.
    ///
    /// # Errors
    /// What the database says.
    pub fn writer(&self) -> Result<Writer, StoreError> {
        Ok(Writer::new(connect(&self.path, true)?, self.path.clone()))
    }

    /// A connection that reads what is committed.
    ///
    /// # Errors
    /// What the database says.
    pub fn reader(&self) -> Result<Reader, StoreError> {
        Ok(Reader::new(connect(&self.path, false)?, self.path.clone()))
    }
}

fn database(path: &Path, what: &'static str) -> impl Fn(rusqlite::Error) -> StoreError {
    let path = path.to_owned();
    move |why| StoreError::Database { path: path.clone(), what, why }
}

pub(super) fn connect(path: &Path, write: bool) -> Result<Connection, StoreError> {
    let fail = database(path, "opening");
    let access = if write { OpenFlags::SQLITE_OPEN_READ_WRITE } else { OpenFlags::SQLITE_OPEN_READ_ONLY };
    let connection = crate::connection::open(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(&fail)?;
    connection.busy_timeout(Duration::from_secs(5)).map_err(&fail)?;
    connection.pragma_update(None, "cache_size", CACHE).map_err(&fail)?; // KiB
    if write {
        // NORMAL in WAL mode: a crash of ours loses nothing, a power cut at most the last commits, never consistency.
        connection.pragma_update(None, "synchronous", "NORMAL").map_err(&fail)?;
        connection.pragma_update(None, "journal_size_limit", LOG).map_err(&fail)?;
    }
    Ok(connection)
}

/// Makes the file when needed, refuses a later version before anything is written, checks it, brings it up to date.
fn prepare(path: &Path) -> Result<(), StoreError> {
    crate::connection::look(path).map_err(database(path, "opening"))?;
    let made = fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    let size = made.and_then(|file| file.metadata()).map_err(|why| StoreError::Directory { path: path.to_owned(), why })?.len();
    let mut connection = connect(path, true)?;
    let fail = database(path, "checking");
    connection.busy_timeout(PATIENCE).map_err(&fail)?;
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(&fail)?;
    if found > migrations::VERSION {
        return Err(StoreError::Newer { path: path.to_owned(), found, known: migrations::VERSION });
    }
    if size > 0 && size <= CHECKED_UP_TO {
        check(&connection).map_err(&fail)?;
    }
    // Only a file without tables takes this over: pages of deleted events can then go back to the disk.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(&fail)?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(&fail)?;
    migrations::ALL.to_latest(&mut connection).map_err(|error| match error {
        rusqlite_migration::Error::RusqliteError { err, .. } if is_corruption(&err) => fail(err),
        other => StoreError::Migration { path: path.to_owned(), known: migrations::VERSION, why: other.to_string() },
    })
}

fn check(connection: &Connection) -> rusqlite::Result<()> {
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" {
        return Ok(());
    }
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    Err(rusqlite::Error::SqliteFailure(code, Some(verdict)))
}

/// Moves the database and its log away, keeping them for whoever wants to look.
fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let stamp = chrono::Utc::now().format("%Y%m%dT%H%M%S%.3f");
    let named = |suffix: &str, from: &Path| {
        let mut name = from.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let aside = named(&format!(".corrupt-{stamp}"), path);
    for suffix in ["-wal", "-shm", ""] {
        match fs::rename(named(suffix, path), named(suffix, &aside)) {
            Err(why) if why.kind() != std::io::ErrorKind::NotFound => return Err(StoreError::Directory { path: path.to_owned(), why }),
            _ => {}
        }
    }
    Ok(aside)
}
