//! A version of the baseline that is being made: rows removed and set in one transaction, then one more line in the chain.

use std::path::PathBuf;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::{BEGINNING, Baseline, BaselineVersion, LONGEST_CONTENT, NewVersion, below, chained, database, one};
use crate::error::StoreError;

/// Bytes of contents kept, compressed; beyond them no more are kept.
const MAX_CONTENTS: u64 = 64 << 20;

/// Digests that are read at once.
const PAGE: i64 = 4096;

/// What stands for a digest in memory, of half a million contents four MB: in the order of the digests. Two that begin alike are kept or
/// removed together.
fn beginning(digest: &[u8; 32]) -> u64 {
    digest.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// Marks the first of those that begin like this one.
fn mark(known: &[u64], is_named: &mut [bool], digest: &[u8; 32]) {
    let beginning = beginning(digest);
    let at = known.partition_point(|one| *one < beginning);
    if known.get(at) == Some(&beginning)
        && let Some(named) = is_named.get_mut(at)
    {
        *named = true;
    }
}

/// A version that is being made. Dropped, it never was.
#[derive(Debug)]
pub struct Rewrite<'a> {
    of: &'a Baseline,
    transaction: Transaction<'a>,
    path: PathBuf,
    kept: u64,
    /// Below the transaction: it ends first.
    _journal: Journal<'a>,
}

/// While a version is made, others read what is committed: that takes a journal beside the file. When it is done the journal goes, so that
/// those who only read write nothing. Another process that reads just now keeps it for this once.
#[derive(Debug)]
struct Journal<'a>(&'a Connection);

impl Drop for Journal<'_> {
    fn drop(&mut self) {
        let _ = self.0.pragma_update(None, "journal_mode", "DELETE");
    }
}

impl<'a> Rewrite<'a> {
    pub(super) fn begin(of: &'a Baseline) -> Result<Self, StoreError> {
        let path = of.path.clone();
        of.connection.pragma_update(None, "journal_mode", "WAL").map_err(database(&path, "beginning a version"))?;
        let journal = Journal(&of.connection);
        // Through a shared reference, so that the rows can be hashed inside the transaction.
        let transaction = Transaction::new_unchecked(&of.connection, TransactionBehavior::Immediate);
        let transaction = transaction.map_err(database(&path, "beginning a version"))?;
        let kept = transaction.query_row("SELECT coalesce(sum(length(data)), 0) FROM contents", [], |row| row.get::<_, i64>(0));
        let kept = kept.map_err(database(&path, "reading contents"))?.unsigned_abs();
        Ok(Self { of, transaction, path, kept, _journal: journal })
    }

    /// Removes the row of this directory and of all below.
    ///
    /// # Errors
    /// What the database says.
    pub fn remove_below(&self, directory: &[u8]) -> Result<(), StoreError> {
        let (from, to) = below(directory);
        self.transaction
            .execute("DELETE FROM directories WHERE path = ?1 OR (path >= ?2 AND path < ?3)", params![directory, from, to])
            .map(drop)
            .map_err(database(&self.path, "removing rows"))
    }

    /// The row of a directory as it stands now.
    ///
    /// # Errors
    /// What the database says.
    pub fn directory(&self, directory: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        one(&self.transaction, directory).map_err(database(&self.path, "reading a row"))
    }

    /// Sets the row of a directory.
    ///
    /// # Errors
    /// What the database says.
    pub fn put(&self, directory: &[u8], entries: &[u8]) -> Result<(), StoreError> {
        self.transaction
            .prepare_cached("INSERT OR REPLACE INTO directories (path, entries) VALUES (?1, ?2)")
            .and_then(|mut insert| insert.execute(params![directory, entries]))
            .map(drop)
            .map_err(database(&self.path, "writing a row"))
    }

    /// Keeps a content, compressed, unless there is no room any more: whether it is kept.
    ///
    /// # Errors
    /// What the database says.
    pub fn keep(&mut self, digest: &[u8; 32], content: &[u8]) -> Result<bool, StoreError> {
        let fail = database(&self.path, "keeping a content");
        let known = self.transaction.query_row("SELECT 1 FROM contents WHERE digest = ?1", [&digest[..]], |_| Ok(())).optional();
        if known.map_err(&fail)?.is_some() {
            return Ok(true);
        }
        let data = lz4_flex::compress_prepend_size(content);
        if content.len() > LONGEST_CONTENT || self.kept + data.len() as u64 > MAX_CONTENTS {
            return Ok(false);
        }
        let mut insert =
            self.transaction.prepare_cached("INSERT OR IGNORE INTO contents (digest, size, data) VALUES (?1, ?2, ?3)").map_err(&fail)?;
        let kept = insert.execute(params![&digest[..], content.len() as i64, data]).map_err(&fail)?;
        self.kept += (kept * data.len()) as u64;
        Ok(true)
    }

    /// Forgets the contents that no row names; `of_row`: the digests that a row does.
    ///
    /// # Errors
    /// What the database says.
    pub fn forget_contents(&mut self, of_row: &dyn Fn(&[u8]) -> Vec<[u8; 32]>) -> Result<(), StoreError> {
        let fail = database(&self.path, "removing contents");
        let mut statement = self.transaction.prepare("SELECT digest FROM contents ORDER BY digest").map_err(&fail)?;
        let digests = statement.query_map([], |row| row.get::<_, [u8; 32]>(0)).map_err(&fail)?;
        let known = digests.map(|digest| digest.map(|digest| beginning(&digest))).collect::<Result<Vec<u64>, _>>().map_err(&fail)?;
        let mut is_named = vec![false; known.len()];
        let mut statement = self.transaction.prepare("SELECT entries FROM directories").map_err(&fail)?;
        let mut rows = statement.query([]).map_err(&fail)?;
        while let Some(row) = rows.next().map_err(&fail)? {
            let row = row.get_ref(0).and_then(|value| Ok(value.as_blob()?)).map_err(&fail)?;
            for digest in of_row(row) {
                mark(&known, &mut is_named, &digest);
            }
        }
        self.remove_unnamed(&known, &is_named).map_err(&fail)?;
        let left = self.transaction.query_row("SELECT coalesce(sum(length(data)), 0) FROM contents", [], |row| row.get::<_, i64>(0));
        self.kept = left.map_err(&fail)?.unsigned_abs();
        Ok(())
    }

    /// Removes the contents that are not marked, some at a time: a table is not changed while it is read.
    fn remove_unnamed(&self, known: &[u64], is_named: &[bool]) -> rusqlite::Result<()> {
        let mut page = self.transaction.prepare("SELECT digest FROM contents WHERE digest > ?1 ORDER BY digest LIMIT ?2")?;
        let mut delete = self.transaction.prepare("DELETE FROM contents WHERE digest = ?1")?;
        let mut last: Option<[u8; 32]> = None;
        loop {
            let from = last.as_ref().map_or(&[][..], |digest| &digest[..]);
            let digests = page.query_map(params![from, PAGE], |row| row.get::<_, [u8; 32]>(0))?.collect::<Result<Vec<_>, _>>()?;
            let Some(end) = digests.last() else { return Ok(()) };
            last = Some(*end);
            for digest in &digests {
                let at = known.partition_point(|one| *one < beginning(digest));
                if !is_named.get(at).copied().unwrap_or(true) {
                    delete.execute([&digest[..]])?;
                }
            }
        }
    }

    /// All rows and one more line in the chain, or nothing of it.
    ///
    /// # Errors
    /// What the database says; [`StoreError::Forged`] when the chain before was changed.
    pub fn commit(self, new: NewVersion) -> Result<(BaselineVersion, String), StoreError> {
        let versions = self.of.versions()?;
        let previous = versions.last().map_or(BEGINNING, |(_, seal)| seal);
        let (rows, contents) = (self.of.rows_digest(&self.transaction)?, self.of.contents_digest(&self.transaction)?);
        let NewVersion { at, by, what, roots, excluded, files, bytes } = new;
        let number = versions.len() as u64 + 1;
        let version = BaselineVersion { number, at, by, what, roots, excluded, files, bytes, rows, contents };
        let body = serde_json::to_string(&version)?;
        let seal = chained(&self.of.key, previous, &body);
        let fail = database(&self.path, "writing a version");
        let insert = "INSERT INTO versions (number, body, seal) VALUES (?1, ?2, ?3)";
        self.transaction.execute(insert, params![number as i64, body, seal]).map_err(&fail)?;
        self.transaction.commit().map_err(&fail)?;
        Ok((version, seal))
    }
}
