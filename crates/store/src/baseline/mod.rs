//! The baseline of files: `integrity.db` in the data directory, a row a directory, and the chain of its versions.
//!
//! Each version has a line with the hash of all rows, chained to the line before and sealed with a key in a file of its own
//! (`integrity.key`, 0600): who changes a row without the key is found out ([`Baseline::verify`]). Who can read the key can forge: keep the
//! seal of the newest version elsewhere and compare.

mod rewrite;

use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use rusqlite_migration::{M, Migrations};
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use bartizan_model::{HostText, Timestamp};
use bartizan_sys::digest::read_bounded;
use bartizan_sys::random;
use bartizan_sys::replace_file::{self, Outlives};
pub use rewrite::Rewrite;

/// The database in the data directory.
const FILE: &str = "integrity.db";
/// The key that seals its versions.
const KEY: &str = "integrity.key";
/// How its tables came to be. A released step never changes.
const STEPS: &[M<'static>] = &[M::up(
    "CREATE TABLE directories (path BLOB PRIMARY KEY, entries BLOB NOT NULL) STRICT;
     CREATE TABLE contents (digest BLOB PRIMARY KEY, size INTEGER NOT NULL, data BLOB NOT NULL) STRICT;
     CREATE TABLE versions (number INTEGER PRIMARY KEY, body TEXT NOT NULL, seal TEXT NOT NULL) STRICT;",
)];
/// What the first version is chained to.
const BEGINNING: &str = "bartizan baseline";
/// How long another process may write.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest content that is kept, in bytes; what claims to be longer is not ours.
const LONGEST_CONTENT: usize = 1 << 20;

/// One version of the baseline: who made it, when, of what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaselineVersion {
    /// 1, 2, 3 ...
    pub number: u64,
    /// When it was made.
    pub at: Timestamp,
    /// Who made it.
    pub by: String,
    /// What was done, for a person.
    pub what: String,
    /// Files and directories that it covers.
    pub roots: Vec<HostText>,
    /// Paths left out, as `*` patterns.
    pub excluded: Vec<HostText>,
    /// Names in it that are no directories.
    pub files: u64,
    /// Bytes in those files.
    pub bytes: u64,
    /// Keyed BLAKE3 of all rows, in hex.
    pub rows: String,
    /// Keyed BLAKE3 of the digests of all contents that are kept, in hex; empty in versions of before that was sealed.
    #[serde(default)]
    pub contents: String,
}

/// What a new version says of itself; the rest is counted.
#[derive(Debug, Clone)]
pub struct NewVersion {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// What was done.
    pub what: String,
    /// Files and directories that it covers.
    pub roots: Vec<HostText>,
    /// Paths left out.
    pub excluded: Vec<HostText>,
    /// Names that are no directories.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
}

/// The baseline, open for reading or writing.
#[derive(Debug)]
pub struct Baseline {
    connection: Connection,
    path: PathBuf,
    key: [u8; 32],
}

/// Where the baseline of this data directory is, if there is one.
pub fn baseline_file(dir: &Path) -> Option<PathBuf> {
    Some(dir.join(FILE)).filter(|file| file.exists())
}

fn database(path: &Path, what: &'static str) -> impl Fn(rusqlite::Error) -> StoreError + use<> {
    let path = path.to_owned();
    move |why| StoreError::Database { path: path.clone(), what, why }
}

fn connect(path: &Path, access: OpenFlags) -> Result<Connection, StoreError> {
    let fail = database(path, "opening");
    let connection = crate::connection::open(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(&fail)?;
    connection.busy_timeout(PATIENCE).map_err(&fail)?;
    connection.pragma_update(None, "trusted_schema", false).map_err(&fail)?;
    connection.pragma_update(None, "cache_size", -512).map_err(&fail)?; // KiB
    Ok(connection)
}

impl Baseline {
    /// Opens the baseline that is in `dir` to compare with; nothing is written, not even beside it.
    ///
    /// # Errors
    /// What the disk or the database says; [`StoreError::NoKey`], [`StoreError::Forged`] when it has no tables.
    pub fn read(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(FILE);
        let key = key(dir, false)?;
        let connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let baseline = Self { connection, path, key };
        match baseline.steps()? {
            0 => Err(baseline.forged("it is empty".to_owned())),
            _ => Ok(baseline),
        }
    }

    /// How many steps its tables have behind them.
    fn steps(&self) -> Result<i64, StoreError> {
        let found = self.connection.pragma_query_value(None, "user_version", |row| row.get(0));
        let (found, known) = (found.map_err(database(&self.path, "checking"))?, STEPS.len() as i64);
        if found > known { Err(StoreError::Newer { path: self.path.clone(), found, known }) } else { Ok(found) }
    }

    /// Opens the baseline in `dir` to change it, and makes an empty one where there is none (directory 0700, files 0600).
    ///
    /// # Errors
    /// What the disk or the database says; [`StoreError::NoKey`] when the database is there and its key is not.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let fail = |why| StoreError::Directory { path: dir.to_owned(), why };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(fail)?;
        let path = dir.join(FILE);
        let fresh = !path.exists();
        let key = key(dir, fresh)?;
        fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(fail)?;
        let mut baseline = Self { connection: connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?, path, key };
        baseline.steps()?;
        // Versions are rare, and a loss of power must not look like tampering.
        baseline.connection.pragma_update(None, "synchronous", "FULL").map_err(database(&baseline.path, "checking"))?;
        Migrations::from_slice(STEPS).to_latest(&mut baseline.connection).map_err(|why| StoreError::Migration {
            path: baseline.path.clone(),
            known: STEPS.len() as i64,
            why: why.to_string(),
        })?;
        Ok(baseline)
    }

    /// A connection of its own that reads what is committed, one a thread.
    ///
    /// # Errors
    /// What the database says.
    pub fn reader(&self) -> Result<BaselineReader, StoreError> {
        Ok(BaselineReader { connection: connect(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY)?, path: self.path.clone() })
    }

    /// All versions with their seals, oldest first, as they stand there.
    ///
    /// # Errors
    /// What the database says, or [`StoreError::Forged`] for a line that is none of ours.
    pub fn versions(&self) -> Result<Vec<(BaselineVersion, String)>, StoreError> {
        let fail = database(&self.path, "reading versions");
        let mut statement = self.connection.prepare("SELECT body, seal FROM versions ORDER BY number").map_err(&fail)?;
        let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))).map_err(&fail)?;
        let (mut versions, mut previous) = (Vec::new(), BEGINNING.to_owned());
        for row in rows {
            let (body, seal) = row.map_err(&fail)?;
            if seal != chained(&self.key, &previous, &body) {
                return Err(self.forged(format!("the seal of version {} does not fit", versions.len() + 1)));
            }
            let version: BaselineVersion = serde_json::from_str(&body)?;
            if version.number != versions.len() as u64 + 1 {
                return Err(self.forged(format!("version {} is missing", versions.len() + 1)));
            }
            previous.clone_from(&seal);
            versions.push((version, seal));
        }
        Ok(versions)
    }

    /// Reads every row and the whole chain, and gives the newest version with its seal; `None` before the first.
    ///
    /// # Errors
    /// [`StoreError::Forged`] when something was changed by somebody without the key.
    pub fn verify(&self) -> Result<Option<(BaselineVersion, String)>, StoreError> {
        let newest = self.versions()?.pop();
        let (rows, contents) = (self.rows_digest(&self.connection)?, self.contents_digest(&self.connection)?);
        match newest {
            Some((version, _)) if version.rows != rows => Err(self.forged(format!("the rows are not those of version {}", version.number))),
            Some((version, _)) if !version.contents.is_empty() && version.contents != contents => {
                Err(self.forged(format!("the stored contents are not those of version {}", version.number)))
            }
            None if rows != empty(&self.key) || contents != empty(&self.key) => {
                Err(self.forged("there are rows and no version".to_owned()))
            }
            newest => Ok(newest),
        }
    }

    fn forged(&self, why: String) -> StoreError {
        StoreError::Forged { path: self.path.clone(), why }
    }

    fn rows_digest(&self, connection: &Connection) -> Result<String, StoreError> {
        let fail = database(&self.path, "reading all rows");
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        let mut statement = connection.prepare("SELECT path, entries FROM directories ORDER BY path").map_err(&fail)?;
        let mut rows = statement.query([]).map_err(&fail)?;
        while let Some(row) = rows.next().map_err(&fail)? {
            for column in 0..2 {
                let bytes = row.get_ref(column).and_then(|value| Ok(value.as_blob()?)).map_err(&fail)?;
                hasher.update(&(bytes.len() as u64).to_le_bytes());
                hasher.update(bytes);
            }
        }
        Ok(hasher.finalize().to_hex().to_string())
    }

    /// Over the digests of all contents; each content must be what its digest says.
    fn contents_digest(&self, connection: &Connection) -> Result<String, StoreError> {
        let fail = database(&self.path, "reading all contents");
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        let mut statement = connection.prepare("SELECT digest, data FROM contents ORDER BY digest").map_err(&fail)?;
        let mut rows = statement.query([]).map_err(&fail)?;
        while let Some(row) = rows.next().map_err(&fail)? {
            let blob = |column| row.get_ref(column).and_then(|value| Ok(value.as_blob()?)).map_err(&fail);
            let digest = blob(0)?;
            if unpacked(digest, blob(1)?).is_none() {
                return Err(self.forged(NOT_WHAT_IT_SAYS.to_owned()));
            }
            hasher.update(digest);
        }
        Ok(hasher.finalize().to_hex().to_string())
    }

    /// Begins a new version; nothing is changed before it is committed.
    ///
    /// # Errors
    /// When another version is being made and is not done within ten seconds, or the disk refuses.
    pub fn rewrite(&self) -> Result<Rewrite<'_>, StoreError> {
        Rewrite::begin(self)
    }
}

/// A connection that reads rows.
#[derive(Debug)]
pub struct BaselineReader {
    connection: Connection,
    path: PathBuf,
}

impl BaselineReader {
    /// The row of a directory.
    ///
    /// # Errors
    /// What the database says.
    pub fn directory(&self, directory: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        one(&self.connection, directory).map_err(database(&self.path, "reading a row"))
    }

    /// The rows of this directory and of all below, in the order of their paths.
    ///
    /// # Errors
    /// What the database says.
    pub fn below(&self, directory: &[u8], take: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), StoreError> {
        let fail = database(&self.path, "reading rows");
        let (from, to) = below(directory);
        let sql = "SELECT path, entries FROM directories WHERE path = ?1 OR (path >= ?2 AND path < ?3) ORDER BY path";
        let mut statement = self.connection.prepare_cached(sql).map_err(&fail)?;
        let mut rows = statement.query(params![directory, from, to]).map_err(&fail)?;
        while let Some(row) = rows.next().map_err(&fail)? {
            let blob = |column| row.get_ref(column).and_then(|value| Ok(value.as_blob()?)).map_err(&fail);
            take(blob(0)?, blob(1)?);
        }
        Ok(())
    }

    /// A content that was kept, by its BLAKE3.
    ///
    /// # Errors
    /// What the database says; [`StoreError::Forged`] when it is not what its name says.
    pub fn content(&self, digest: &[u8; 32]) -> Result<Option<Vec<u8>>, StoreError> {
        let fail = database(&self.path, "reading a content");
        let found = self.connection.query_row("SELECT data FROM contents WHERE digest = ?1", [&digest[..]], |row| row.get::<_, Vec<u8>>(0));
        let Some(data) = found.optional().map_err(fail)? else { return Ok(None) };
        let forged = || StoreError::Forged { path: self.path.clone(), why: NOT_WHAT_IT_SAYS.to_owned() };
        unpacked(digest, &data).map(Some).ok_or_else(forged)
    }
}

/// What is wrong with a content that somebody edited.
const NOT_WHAT_IT_SAYS: &str = "a stored content is not what its hash says";

/// A content as it was, if it is the one with this digest.
fn unpacked(digest: &[u8], data: &[u8]) -> Option<Vec<u8>> {
    // The size comes first; who edited it must not make us take gigabytes.
    let size = u32::from_le_bytes(*data.first_chunk()?);
    let fits = usize::try_from(size).is_ok_and(|size| size <= LONGEST_CONTENT);
    let content = fits.then(|| lz4_flex::decompress_size_prepended(data).ok()).flatten()?;
    (blake3::hash(&content).as_bytes() == digest).then_some(content)
}

fn one(connection: &Connection, directory: &[u8]) -> rusqlite::Result<Option<Vec<u8>>> {
    let mut statement = connection.prepare_cached("SELECT entries FROM directories WHERE path = ?1")?;
    statement.query_row([directory], |row| row.get(0)).optional()
}

/// The first path below a directory, and the first behind all of them.
fn below(directory: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let plain = directory.strip_suffix(b"/").unwrap_or(directory);
    ([plain, b"/"].concat(), [plain, b"0"].concat())
}

fn chained(key: &[u8; 32], previous: &str, body: &str) -> String {
    blake3::keyed_hash(key, format!("{previous}\n{body}").as_bytes()).to_hex().to_string()
}

fn empty(key: &[u8; 32]) -> String {
    blake3::keyed_hash(key, b"").to_hex().to_string()
}

/// The key; made when the database is new.
fn key(dir: &Path, fresh: bool) -> Result<[u8; 32], StoreError> {
    let file = dir.join(KEY);
    let forged = |why: String| StoreError::Forged { path: dir.join(FILE), why };
    match read_bounded(&file, 32) {
        Err(why) if why.kind() == std::io::ErrorKind::NotFound && !fresh => Err(StoreError::NoKey { path: file }),
        Ok(key) => <[u8; 32]>::try_from(key).map_err(|_| forged(format!("{KEY} is no key"))),
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => {
            let made = random::key().and_then(|key| replace_file::replace(&file, &key, 0o600, Outlives::Power).map(|()| key));
            made.map_err(|why| StoreError::Directory { path: dir.to_owned(), why })
        }
        Err(why) => Err(forged(format!("{KEY} cannot be read: {why}"))),
    }
}

#[cfg(test)]
mod tests;
