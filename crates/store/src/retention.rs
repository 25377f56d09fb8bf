//! Making room: what is too old or too much goes, whole blocks at a time, and its pages go back to the disk.

use rusqlite::{OptionalExtension, params};

use super::error::StoreError;
use super::writer::{Writer, nanos};
use bartizan_model::Timestamp;

/// Bytes of blocks removed in one transaction, so that readers and the disk are never held for long.
const SWEEP: u64 = 16 << 20;
/// Rows removed in one transaction, for the same reason.
const ROWS: i64 = 20_000;
/// What a row takes besides its data: columns, index, its share of pages.
const ROW: u64 = 96;

/// What room-making removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Events removed.
    pub events: u64,
    /// Signals removed.
    pub signals: u64,
    /// Size of the database afterwards, in bytes.
    pub bytes: u64,
}

impl Writer {
    /// Makes room: removes blocks of events and signals that are from before `keep_since` altogether, then the oldest blocks
    /// until the database is at most `max_bytes`, and the oldest signals if that was not enough. Incidents, alerts and approvals
    /// stay: they are few, and the story of the host.
    ///
    /// # Errors
    /// What the database says; what was removed until then stays removed.
    pub fn retain(&mut self, max_bytes: u64, keep_since: Timestamp) -> Result<Swept, StoreError> {
        let mut swept = Swept::default();
        let before = nanos(keep_since);
        loop {
            let gone = self.drop_blocks(
                "DELETE FROM blocks WHERE last IN (SELECT last FROM blocks WHERE latest < ?1 ORDER BY latest LIMIT ?2) RETURNING events",
                [before, ROWS],
            )?;
            swept.events += gone;
            if gone == 0 {
                break;
            }
        }
        swept.signals = self.delete("DELETE FROM signals WHERE at < ?1 AND ?2", [before, 1])?;
        loop {
            swept.bytes = self.give_back()?;
            if swept.bytes <= max_bytes {
                return Ok(swept);
            }
            if let Some(last) = self.oldest(swept.bytes - max_bytes)? {
                swept.events += self.drop_blocks("DELETE FROM blocks WHERE last <= ?1 AND ?2 RETURNING events", [last, 1])?;
                continue;
            }
            let gone = self.delete(
                "DELETE FROM signals WHERE (event, ordinal) IN (SELECT event, ordinal FROM signals ORDER BY at LIMIT ?2) AND ?1",
                [1, ROWS / 20],
            )?;
            swept.signals += gone;
            if gone == 0 {
                return Ok(swept);
            }
        }
    }

    /// Up to which block the oldest take so many bytes, or as many as are removed at once; `None` when there is no block.
    fn oldest(&self, excess: u64) -> Result<Option<i64>, StoreError> {
        let fail = |why| self.fail("making room", why);
        let mut statement = self.connection.prepare_cached("SELECT last, length(data) FROM blocks ORDER BY last LIMIT ?1").map_err(fail)?;
        let mut rows = statement.query([ROWS]).map_err(fail)?;
        let (mut found, mut bytes) = (None, 0);
        while let Some(row) = rows.next().map_err(fail)?
            && bytes < excess.min(SWEEP)
        {
            found = Some(row.get(0).map_err(fail)?);
            bytes += row.get::<_, i64>(1).map_err(fail)?.unsigned_abs() + ROW;
        }
        Ok(found)
    }

    /// Size of the database in bytes, free pages not counted.
    ///
    /// # Errors
    /// What the database says.
    pub fn bytes(&self) -> Result<u64, StoreError> {
        let pragma = |name| self.connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let size = || Ok((pragma("page_count")? - pragma("freelist_count")?) * pragma("page_size")?);
        size().map(|size: i64| size.unsigned_abs()).map_err(|why| self.fail("measuring", why))
    }

    /// Returns free pages to the disk and says how large the database is now.
    fn give_back(&self) -> Result<u64, StoreError> {
        let fail = |why| self.fail("making room", why);
        let mut vacuum = self.connection.prepare("PRAGMA incremental_vacuum").map_err(fail)?;
        let mut rows = vacuum.query([]).map_err(fail)?;
        while rows.next().map_err(fail)?.is_some() {}
        self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).optional().map_err(fail)?;
        self.bytes()
    }

    /// Removes blocks and says how many events they held.
    fn drop_blocks(&mut self, sql: &str, bounds: [i64; 2]) -> Result<u64, StoreError> {
        self.together("making room", |transaction| {
            let mut statement = transaction.prepare_cached(sql)?;
            let mut rows = statement.query(params![bounds[0], bounds[1]])?;
            let mut events = 0;
            while let Some(row) = rows.next()? {
                events += row.get::<_, i64>(0)?.unsigned_abs();
            }
            Ok(events)
        })
    }

    fn delete(&mut self, sql: &str, bounds: [i64; 2]) -> Result<u64, StoreError> {
        self.together("making room", |transaction| transaction.prepare_cached(sql)?.execute(bounds).map(|rows| rows as u64))
    }
}
