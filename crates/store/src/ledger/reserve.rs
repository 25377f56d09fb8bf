//! Room set aside for the ledger inside of its own files, so that it works on when the disk has none left: pages of the
//! database that hold nothing, and a write-ahead log that keeps its length.
//!
//! A file of spare room beside it, removed in need, would not do: whoever fills the disk takes what it frees.

use rusqlite::{Connection, OpenFlags};

use super::{Ledger, LedgerError, Standing, image};

/// Room is made in pieces of this size, so that nobody who acts waits for long.
const PIECE: u64 = 512 << 10;

impl Ledger {
    /// Sets so much room aside, when half of it is not there any more. Cheap when it is.
    ///
    /// # Errors
    /// When the disk has no room; what was set aside before stays.
    pub fn reserve(&self, bytes: u64) -> Result<(), LedgerError> {
        let fail = |why| self.sqlite("set space aside")(why);
        match self.standing() {
            Standing::InMemory(_) => Ok(()),
            Standing::Alone => {
                let connection = self.lock();
                self.fill(&connection, bytes).map_err(fail)
            }
            Standing::OnDisk => {
                let own = crate::connection::open(&self.file, OpenFlags::default()).map_err(fail)?;
                // Copied below, not by every thousandth page.
                let set = own.busy_timeout(super::opening::PATIENCE).and_then(|()| own.execute_batch("PRAGMA wal_autocheckpoint = 0"));
                set.and_then(|()| self.fill(&own, bytes)).map_err(fail)
            }
        }
    }

    fn fill(&self, connection: &Connection, bytes: u64) -> rusqlite::Result<()> {
        let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let spare = pragma("freelist_count")?.unsigned_abs() * pragma("page_size")?.unsigned_abs();
        let log = std::fs::metadata(image::log_of(&self.file)).map_or(0, |log| log.len());
        if spare >= bytes / 2 && log >= bytes / 2 {
            return Ok(());
        }
        connection.execute_batch("CREATE TABLE IF NOT EXISTS spare (room BLOB) STRICT")?;
        let filled = (0..bytes.div_ceil(PIECE)).try_for_each(|_| {
            let piece = i64::try_from(PIECE.min(bytes)).unwrap_or(i64::MAX);
            connection.execute("INSERT INTO spare VALUES (zeroblob(?1))", [piece]).map(drop)
        });
        // Pages are on the disk once they went through the log; only then they may become spare ones.
        let copied = filled.and_then(|()| checkpoint(connection));
        connection.execute("DELETE FROM spare", []).map(drop).and(copied)
    }
}

/// Copies the log into the database as far as readers allow, so that it begins anew with the next write.
pub(super) fn checkpoint(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}
