//! How the ledger is opened: on its disk, on a disk that is full, or in memory while the disk refuses.

use std::io;
use std::path::Path;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use rusqlite_migration::{M, Migrations};

use super::{Head, Ledger, LedgerError, Standing, anchor, audit, image};
use crate::error::{is_corruption, what_to_do};
use bartizan_model::{AuditBody, Timestamp};
use bartizan_sys::replace_file;

/// How long somebody else may hold the file before we go on without it.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

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

/// What people except from alerts and actions; a name is given once, also after its row is gone.
const EXCEPTIONS: &str = "CREATE TABLE exceptions (id INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;
    CREATE TABLE exception_numbers (last INTEGER NOT NULL) STRICT; INSERT INTO exception_numbers VALUES (0);";

/// Version of the tables, as SQLite's user_version; it counts the migrations.
const VERSION: i64 = 4;

/// Pages of the write-ahead log (4 KiB each) at which a writer checkpoints it itself, should [`Ledger::tidy`] never come:
/// a checkpoint syncs two files, which no action waits for.
const LAST_RESORT: u32 = 16_384;

/// See [`Ledger::open`].
pub(super) fn open(dir: &Path, now: Timestamp) -> Result<Ledger, LedgerError> {
    let file = dir.join("ledger.db");
    match on_disk(&file, now) {
        Err(why) if is_damage(&why) => begin_anew(&file, now, &why).or_else(|why| in_memory(&file, now, &why)),
        Err(LedgerError::Newer(file)) => Err(LedgerError::Newer(file)),
        Err(why) => in_memory(&file, now, &why),
        Ok(ledger) => Ok(ledger),
    }
}

fn on_disk(file: &Path, now: Timestamp) -> Result<Ledger, LedgerError> {
    let dir = directory(file);
    std::fs::create_dir_all(dir).map_err(|why| LedgerError::File { what: "make the directory of", file: file.to_owned(), why })?;
    let (connection, standing) = connect(file)?;
    let ledger = Ledger::anchored(connection, standing, file, now)?;
    // Its anchor is written before it is put aside: else it would come after, and look like lines that are gone.
    ledger.load().inspect_err(|_| ledger.anchor.get().into_iter().for_each(anchor::Anchor::settle))?;
    // That the files exist must itself outlive a power cut.
    let synced = replace_file::sync_directory(dir);
    synced.map_err(|why| LedgerError::File { what: "sync the directory of", file: file.to_owned(), why })?;
    Ok(ledger)
}

/// Puts a damaged file aside and begins another, whose first line says so.
fn begin_anew(file: &Path, now: Timestamp, why: &LedgerError) -> Result<Ledger, LedgerError> {
    let notice = put_aside(file, now, why)?;
    let mut ledger = on_disk(file, now)?;
    let (actor, what, subject) = ("bartizan".into(), "audit.restarted".into(), "ledger.db".into());
    ledger.audit(AuditBody { at: now, actor, what, subject, detail: notice.clone() })?;
    ledger.notice = Some(notice);
    Ok(ledger)
}

/// Reads what there is into memory: nothing can be written, everything can be undone.
fn in_memory(file: &Path, now: Timestamp, why: &LedgerError) -> Result<Ledger, LedgerError> {
    let read = |unread: Option<&str>| {
        let image = if unread.is_some() { None } else { image::read(file).map_err(|error| error.to_string())? };
        let mut connection = image.map_or_else(Connection::open_in_memory, Ok).map_err(|error| error.to_string())?;
        bring_up_to_date(&mut connection, file).map_err(|error| error.to_string())?;
        // What is decided from here on is owed to the disk: nobody writes into a copy that is thrown away.
        connection.execute_batch("PRAGMA query_only = ON").map_err(|error| error.to_string())?;
        let standing = Standing::InMemory(unavailable(file, why, unread));
        Ledger::unanchored(connection, standing, file, now).and_then(|ledger| ledger.load().map(|()| ledger)).map_err(|why| why.to_string())
    };
    let opened = read(None).or_else(|unread| read(Some(&unread)));
    opened.map_err(|why| LedgerError::File { what: "read into memory", file: file.to_owned(), why: io::Error::other(why) })
}

/// What is the matter, what still holds, and what to do.
pub(super) fn unavailable(file: &Path, why: &LedgerError, unread: Option<&str>) -> String {
    let (reason, advice) = match why {
        LedgerError::Sqlite { why, .. } => (why.to_string(), what_to_do(why)),
        LedgerError::File { why, .. } if why.kind() == io::ErrorKind::StorageFull => (why.to_string(), "free space on its disk"),
        LedgerError::File { why, .. } if why.kind() == io::ErrorKind::ReadOnlyFilesystem => {
            (why.to_string(), "mount its file system read-write")
        }
        other => (other.to_string(), "see that its directory exists and is writable"),
    };
    let known = match unread {
        None => "what is live can be undone and ends at its time".to_owned(),
        Some(unread) => format!("nor can it be read ({unread}), so actions of an earlier run were undone as far as they were found"),
    };
    format!(
        "{} cannot be written ({reason}): {known}; no new action is begun; {advice}; it is tried again every 10 seconds",
        file.display()
    )
}

fn directory(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new("."))
}

/// A connection that can write. Where the disk has no room for the index of the log beside it, that is kept in memory: the
/// log itself and the pages have room set aside ([`Ledger::reserve`]).
pub(super) fn connect(file: &Path) -> Result<(Connection, Standing), LedgerError> {
    match writing(file, "NORMAL") {
        Ok(connection) => Ok((connection, Standing::OnDisk)),
        Err(why) if is_refused(&why) => match writing(file, "EXCLUSIVE") {
            Ok(connection) => Ok((connection, Standing::Alone)),
            Err(damage) if is_damage(&damage) => Err(damage),
            Err(_) => Err(why),
        },
        Err(why) => Err(why),
    }
}

fn writing(file: &Path, locking: &str) -> Result<Connection, LedgerError> {
    let fail = |what| move |why| LedgerError::Sqlite { what, file: file.to_owned(), why };
    untouched_if_newer(file)?;
    let mut connection = crate::connection::open(file, OpenFlags::default()).map_err(fail("open the database"))?;
    private(file)?;
    connection.busy_timeout(PATIENCE).map_err(fail("set a limit"))?;
    // The log stays when we end: on a full disk the next start could not make another.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(fail("prepare the database"))?;
    // EXCLUSIVE before the first look: then the index of the log is in memory (<https://www.sqlite.org/wal.html>, part 8).
    let pragmas = format!(
        "PRAGMA locking_mode = {locking}; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA trusted_schema = OFF; PRAGMA wal_autocheckpoint = {LAST_RESORT};"
    );
    connection.execute_batch(&pragmas).map_err(fail("prepare the database"))?;
    let healthy: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(fail("check the database"))?;
    if healthy != "ok" {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        return Err(fail("check the database")(rusqlite::Error::SqliteFailure(code, Some(healthy))));
    }
    bring_up_to_date(&mut connection, file)?;
    // Opened for writing may still mean that only reading works (sqlite3_open_v2): this page is written for real.
    let change = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail("write to the database"))?;
    let tried = change.execute("UPDATE meta SET value = value WHERE key = 'instance'", []).and_then(|_| change.commit());
    tried.map_err(fail("write to the database"))?;
    Ok(connection)
}

fn bring_up_to_date(connection: &mut Connection, file: &Path) -> Result<(), LedgerError> {
    Migrations::new(vec![M::up(SCHEMA), M::up(CLOCKS), M::up(DESIRED), M::up(EXCEPTIONS)]).to_latest(connection).map_err(
        |error| match error {
            rusqlite_migration::Error::MigrationDefinition(_) => LedgerError::Newer(file.to_owned()),
            rusqlite_migration::Error::RusqliteError { err, .. } => {
                LedgerError::Sqlite { what: "prepare the tables", file: file.to_owned(), why: err }
            }
            other => LedgerError::Row { what: "prepare the tables", file: file.to_owned(), why: other.to_string() },
        },
    )
}

/// Looks at the version without writing a byte: the file of a later program stays exactly as it was.
fn untouched_if_newer(file: &Path) -> Result<(), LedgerError> {
    if !file.exists() {
        return Ok(());
    }
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let version =
        crate::connection::open(file, flags).and_then(|found| found.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0)));
    match version {
        Ok(found) if found > VERSION => Err(LedgerError::Newer(file.to_owned())),
        // What is wrong with it is found, and told, by opening it in earnest.
        _ => Ok(()),
    }
}

/// The disk or its file system says no, the file itself may be whole.
fn is_refused(error: &LedgerError) -> bool {
    let LedgerError::Sqlite { why, .. } = error else { return false };
    matches!(why.sqlite_error_code(), Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure | ErrorCode::CannotOpen))
}

/// Whether the file itself is broken, or an active row of it: then it is better put aside than half believed.
pub(super) fn is_damage(error: &LedgerError) -> bool {
    match error {
        LedgerError::Sqlite { why, .. } => is_corruption(why),
        LedgerError::Row { what, .. } => matches!(*what, "read an action" | "read a snapshot"),
        LedgerError::Newer(_) | LedgerError::Away { .. } | LedgerError::File { .. } => false,
    }
}

/// The ledger names people and reasons: for root alone.
fn private(file: &Path) -> Result<(), LedgerError> {
    use std::os::unix::fs::PermissionsExt;
    let fail = |why| LedgerError::File { what: "protect", file: file.to_owned(), why };
    if std::fs::metadata(file).map_err(fail)?.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).map_err(fail)
}

/// Puts a damaged file aside with all that belongs to it; says what became of it.
pub(super) fn put_aside(file: &Path, now: Timestamp, why: &LedgerError) -> Result<String, LedgerError> {
    let fail = |why| LedgerError::File { what: "put aside the damaged", file: file.to_owned(), why };
    let aside = directory(file).join(format!("ledger.db.damaged-{}", now.format("%Y%m%dT%H%M%SZ")));
    std::fs::rename(file, &aside).map_err(fail)?;
    for suffix in ["-wal", "-shm"] {
        let (mut with, mut to) = (file.as_os_str().to_owned(), aside.as_os_str().to_owned());
        with.push(suffix);
        to.push(suffix);
        match std::fs::rename(&with, &to) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(fail(why)),
            _ => {}
        }
    }
    anchor::put_aside(directory(file), &now.format(".damaged-%Y%m%dT%H%M%SZ").to_string());
    Ok(format!("the ledger was damaged ({why}); it was put aside as {} and a new one began", aside.display()))
}

impl Ledger {
    /// Compares the log with its anchor, writes down what is wrong, and goes on from there.
    fn anchored(mut connection: Connection, standing: Standing, file: &Path, now: Timestamp) -> Result<Self, LedgerError> {
        let fail = |why| LedgerError::Sqlite { what: "read the audit log", file: file.to_owned(), why };
        let wrong = audit::against(&connection, &anchor::look(directory(file))).map_err(fail)?.map(|(_, why)| why);
        if let Some(why) = &wrong {
            let (lines, hash) = audit::head(&connection).map_err(fail)?;
            let mut chain = audit::Chain { head: Head { lines, hash, at: now }, cut: None };
            let change = connection.transaction().map_err(fail)?;
            audit::append(&change, &mut chain, &audit::cut_line(now, why)).map_err(fail)?;
            change.commit().map_err(fail)?;
        }
        let ledger = Self::of(connection, standing, file, now, wrong)?;
        ledger.begin_anchor(ledger.head())?;
        Ok(ledger)
    }

    /// The same without writing anything: what is wrong is owed to the log.
    fn unanchored(connection: Connection, standing: Standing, file: &Path, now: Timestamp) -> Result<Self, LedgerError> {
        let fail = |why| LedgerError::Sqlite { what: "read the audit log", file: file.to_owned(), why };
        let wrong = audit::against(&connection, &anchor::look(directory(file))).map_err(fail)?.map(|(_, why)| why);
        let ledger = Self::of(connection, standing, file, now, wrong.clone())?;
        if let Some(why) = wrong {
            ledger.book().owe(None, Some(audit::cut_line(now, &why)));
        }
        Ok(ledger)
    }

    fn of(connection: Connection, standing: Standing, file: &Path, now: Timestamp, wrong: Option<String>) -> Result<Self, LedgerError> {
        let fail = |why| LedgerError::Sqlite { what: "read the ledger's name", file: file.to_owned(), why };
        let instance = connection.query_row("SELECT value FROM meta WHERE key = 'instance'", [], |row| row.get(0)).map_err(fail)?;
        let (lines, hash) = audit::head(&connection).map_err(fail)?;
        let notice = wrong.as_ref().map(|why| format!("the audit log was tampered with while no agent ran: {why}"));
        Ok(Self {
            connection: Mutex::new(connection),
            book: Mutex::default(),
            file: file.to_owned(),
            instance,
            notice,
            head: Mutex::new(Head { lines, hash, at: now }),
            anchor: OnceLock::new(),
            standing: Mutex::new(standing),
            cut: Mutex::new(wrong),
        })
    }

    pub(super) fn begin_anchor(&self, head: Head) -> Result<(), LedgerError> {
        let began = anchor::Anchor::begin(self.directory(), head);
        let anchor = began.map_err(|why| LedgerError::File { what: "anchor", file: self.file.clone(), why })?;
        // Begun once: nobody comes back from the disk.
        let _ = self.anchor.set(anchor);
        Ok(())
    }
}
