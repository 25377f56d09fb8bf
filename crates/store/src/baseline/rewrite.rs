//! A version of the baseline that is being made: rows removed and set in one transaction, then one more line in the chain.

use std::path::PathBuf;

use rusqlite::{Transaction, TransactionBehavior, params};

use super::{BEGINNING, Baseline, BaselineVersion, NewVersion, below, chained, database, one};
use crate::error::StoreError;

/// Bytes of contents kept, compressed; beyond them no more are kept.
const MAX_CONTENTS: u64 = 64 << 20;

/// A version that is being made. Dropped, it never was.
#[derive(Debug)]
pub struct Rewrite<'a> {
    of: &'a Baseline,
    transaction: Transaction<'a>,
    path: PathBuf,
    kept: u64,
}

impl<'a> Rewrite<'a> {
    pub(super) fn begin(of: &'a Baseline) -> Result<Self, StoreError> {
        let path = of.path.clone();
        // Through a shared reference, so that the rows can be hashed inside the transaction.
        let transaction = Transaction::new_unchecked(&of.connection, TransactionBehavior::Immediate);
        let transaction = transaction.map_err(database(&path, "beginning a version"))?;
        let kept = transaction.query_row("SELECT coalesce(sum(length(data)), 0) FROM contents", [], |row| row.get::<_, i64>(0));
        let kept = kept.map_err(database(&path, "reading contents"))?.unsigned_abs();
        Ok(Self { of, transaction, path, kept })
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
        let data = lz4_flex::compress_prepend_size(content);
        if self.kept + data.len() as u64 > MAX_CONTENTS {
            return Ok(false);
        }
        let mut insert =
            self.transaction.prepare_cached("INSERT OR IGNORE INTO contents (digest, size, data) VALUES (?1, ?2, ?3)").map_err(&fail)?;
        let kept = insert.execute(params![&digest[..], content.len() as i64, data]).map_err(&fail)?;
        self.kept += (kept * data.len()) as u64;
        Ok(true)
    }

    /// All rows and one more line in the chain, or nothing of it.
    ///
    /// # Errors
    /// What the database says; [`StoreError::Forged`] when the chain before was changed.
    pub fn commit(self, new: NewVersion) -> Result<(BaselineVersion, String), StoreError> {
        let versions = self.of.versions()?;
        let previous = versions.last().map_or(BEGINNING, |(_, seal)| seal);
        let rows = self.of.rows_digest(&self.transaction)?;
        let NewVersion { at, by, what, roots, excluded, files, bytes } = new;
        let number = versions.len() as u64 + 1;
        let version = BaselineVersion { number, at, by, what, roots, excluded, files, bytes, rows };
        let body = serde_json::to_string(&version)?;
        let seal = chained(&self.of.key, previous, &body);
        let fail = database(&self.path, "writing a version");
        let insert = "INSERT INTO versions (number, body, seal) VALUES (?1, ?2, ?3)";
        self.transaction.execute(insert, params![number as i64, body, seal]).map_err(&fail)?;
        self.transaction.commit().map_err(&fail)?;
        Ok((version, seal))
    }
}
