//! What became known of executables after their events were written: digest and package, by device, inode and change.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use bartizan_model::{ExeFile, HostText, Process, Sha256};

/// Most rows; the ones known longest go first.
pub(super) const MOST: i64 = 100_000;

/// What is known of one content of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDigest {
    /// Device number, as in `ExeFile::device`.
    pub device: u32,
    /// Inode number.
    pub inode: u64,
    /// When it was last changed, as in `ExeFile::changed`. 0 names no content and is not kept.
    pub changed: i64,
    /// SHA-256 of the content, when it was read.
    pub sha256: Option<Sha256>,
    /// The package that owns it, when there is one.
    pub package: Option<HostText>,
}

type Known = (Option<Sha256>, Option<HostText>);

/// Keeps one. What is known already stays where the new one does not know it.
pub(super) fn upsert(transaction: &Transaction<'_>, digest: &FileDigest) -> rusqlite::Result<()> {
    if digest.changed == 0 {
        return Ok(());
    }
    let sha256 = digest.sha256.map(|sha256| sha256.0.to_vec());
    let package = digest.package.as_ref().map(HostText::as_bytes);
    transaction
        .prepare_cached(
            "INSERT INTO digests (device, inode, changed, sha256, package) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (device, inode, changed) DO UPDATE SET
             sha256 = coalesce(excluded.sha256, sha256), package = coalesce(excluded.package, package)",
        )?
        .execute(params![digest.device, digest.inode as i64, digest.changed, sha256, package])?;
    transaction.prepare_cached("DELETE FROM digests WHERE number <= (SELECT max(number) FROM digests) - ?1")?.execute([MOST])?;
    Ok(())
}

/// Fills in what the table knows; remembers what it was asked while one question is answered.
#[derive(Debug)]
pub(super) struct Lookup<'a> {
    connection: &'a Connection,
    asked: HashMap<(u32, u64, i64), Known>,
    /// The first refusal of the database, if any.
    pub(super) trouble: Option<rusqlite::Error>,
}

/// Keys remembered at most; beyond them the table is asked again.
const REMEMBERED: usize = 10_000;

impl<'a> Lookup<'a> {
    pub(super) fn new(connection: &'a Connection) -> Self {
        Self { connection, asked: HashMap::new(), trouble: None }
    }

    /// Adds digest and package where the process lacks them.
    pub(super) fn complete(&mut self, process: &mut Process) {
        let (sha256, package) = self.known(&process.exe_file, process.package.is_some());
        process.exe_file.sha256 = process.exe_file.sha256.or(sha256);
        if process.package.is_none() {
            process.package = package.cloned();
        }
    }

    /// What the table knows of a file whose digest, or package unless `has_package`, is not known yet.
    pub(super) fn known(&mut self, file: &ExeFile, has_package: bool) -> (Option<Sha256>, Option<&HostText>) {
        if file.changed == 0 || (file.sha256.is_some() && has_package) {
            return (None, None);
        }
        let key = (file.device, file.inode, file.changed);
        if !self.asked.contains_key(&key) {
            let known = self.read(key).unwrap_or_else(|why| {
                self.trouble.get_or_insert(why);
                (None, None)
            });
            if self.asked.len() >= REMEMBERED {
                self.asked.clear();
            }
            self.asked.insert(key, known);
        }
        self.asked.get(&key).map_or((None, None), |(sha256, package)| (*sha256, package.as_ref()))
    }

    fn read(&self, (device, inode, changed): (u32, u64, i64)) -> rusqlite::Result<Known> {
        let mut statement =
            self.connection.prepare_cached("SELECT sha256, package FROM digests WHERE device = ?1 AND inode = ?2 AND changed = ?3")?;
        let row = statement.query_row(params![device, inode as i64, changed], |row| {
            let (sha256, package): (Option<Vec<u8>>, Option<Vec<u8>>) = (row.get(0)?, row.get(1)?);
            Ok((sha256.and_then(|bytes| bytes.try_into().ok()).map(Sha256), package.map(HostText::from)))
        });
        row.optional().map(Option::unwrap_or_default)
    }

    /// Whether a package's name holds this, so that a process may get it from the table.
    pub(super) fn a_package_holds(&self, part: &[u8]) -> rusqlite::Result<bool> {
        self.connection.query_row("SELECT EXISTS (SELECT 1 FROM digests WHERE instr(package, ?1))", [part], |row| row.get(0))
    }
}
