//! The way back of a ledger that was read into memory: to its file, or to a new one, as soon as the disk takes it.

use rusqlite::{Connection, params};

use super::opening::{connect, is_damage, put_aside, unavailable};
use super::{Head, Ledger, LedgerError, Standing, audit, locked};

impl Ledger {
    /// From memory back to the disk, when that takes us again. What was decided meanwhile is owed to it and follows.
    ///
    /// # Errors
    /// None for a disk that still refuses: [`Ledger::trouble`] says why.
    pub(super) fn come_back(&self) -> Result<(), LedgerError> {
        let made = std::fs::create_dir_all(self.directory());
        let made = made.map_err(|why| LedgerError::File { what: "make the directory of", file: self.file.clone(), why });
        let back = made.and_then(|()| connect(&self.file)).or_else(|why| {
            if !is_damage(&why) {
                return Err(why);
            }
            put_aside(&self.file, chrono::Utc::now(), &why)?;
            connect(&self.file)
        });
        let back =
            back.and_then(|(connection, standing)| self.take_over(connection).map(|(connection, unknown)| (connection, standing, unknown)));
        match back {
            Ok((connection, standing, unknown)) => {
                self.begin_anchor(self.head())?;
                *self.lock() = connection;
                *locked(&self.standing) = standing;
                // At once: a start from here on must find that what was undone meanwhile is gone.
                self.pay();
                if unknown {
                    // It could not be read when we began: what it says is live is compared with the host from here on.
                    self.load()?;
                }
            }
            Err(why) => *locked(&self.standing) = Standing::InMemory(unavailable(&self.file, &why, None)),
        }
        Ok(())
    }

    /// A new file gets our name and what is live; an old one has both. Whether it holds what we never read.
    fn take_over(&self, mut connection: Connection) -> Result<(Connection, bool), LedgerError> {
        let fail = |why| self.sqlite("go back to the disk")(why);
        let there: String = connection.query_row("SELECT value FROM meta WHERE key = 'instance'", [], |row| row.get(0)).map_err(fail)?;
        if there == self.instance {
            return Ok((connection, false));
        }
        let (lines, hash) = audit::head(&connection).map_err(fail)?;
        let change = connection.transaction().map_err(fail)?;
        change.execute("UPDATE meta SET value = ?1 WHERE key = 'instance'", [&self.instance]).map_err(fail)?;
        for held in self.held() {
            let (body, snapshot) = (serde_json::to_string(&*held.action).unwrap_or_default(), held.snapshot.to_string());
            let (boot, clock) = held.anchor.map(|anchor| (anchor.boot.0, i64::try_from(anchor.ns).unwrap_or(i64::MAX))).unzip();
            let number = super::row::number(held.action.id);
            let row = params![number, held.action.state.noun(), held.action.state.is_active(), body, snapshot, boot, clock];
            let sql = "INSERT OR REPLACE INTO actions (id, state, active, body, snapshot, boot, clock) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            change.execute(sql, row).and_then(|_| super::row::write(&change, &held.action, &body)).map_err(fail)?;
        }
        change.commit().map_err(fail)?;
        let at = chrono::Utc::now();
        *locked(&self.head) = Head { lines, hash, at };
        Ok((connection, lines > 0))
    }
}
