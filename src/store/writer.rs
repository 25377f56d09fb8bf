//! The one connection that writes to the archive.

use std::path::PathBuf;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::Serialize;

use super::error::StoreError;
use crate::model::{Alert, Approval, Event, Incident, Signal, Timestamp};

/// Rows deleted in one transaction when room is made, so that readers and the disk are never held for long.
const SWEEP: u32 = 20_000;

/// Meta key of the highest event number ever written; it outlives the events themselves.
pub(super) const LAST_EVENT: &str = "last_event_id";

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

/// The one connection that writes.
#[derive(Debug)]
pub struct Writer {
    connection: Connection,
    path: PathBuf,
}

/// Nanoseconds since 1970; at the ends of the representable range (years 1677 and 2262) times stick.
pub(super) fn nanos(at: Timestamp) -> i64 {
    at.timestamp_nanos_opt().unwrap_or(if at.timestamp() < 0 { i64::MIN } else { i64::MAX })
}

impl Writer {
    pub(super) fn new(connection: Connection, path: PathBuf) -> Self {
        Self { connection, path }
    }

    /// Keeps events in one transaction: all of them or none.
    ///
    /// # Errors
    /// What the database says (disk full, locked ...); nothing is written then.
    pub fn events(&mut self, events: &[Event]) -> Result<(), StoreError> {
        let Some(last) = events.iter().map(|event| event.id.0).max() else { return Ok(()) };
        let rows: Vec<_> = events.iter().map(|event| serde_json::to_vec(event).map(|json| (event, json))).collect::<Result<_, _>>()?;
        self.together("writing events", |transaction| {
            let mut insert = transaction.prepare_cached("INSERT INTO events (id, at, kind, json) VALUES (?1, ?2, ?3, ?4)")?;
            for (event, json) in rows {
                insert.execute(params![event.id.0 as i64, nanos(event.at), event.kind.name(), json])?;
            }
            transaction
                .prepare_cached("INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value WHERE CAST(excluded.value AS INTEGER) > CAST(value AS INTEGER)")?
                .execute(params![LAST_EVENT, last.to_string()])?;
            Ok(())
        })
    }

    /// Keeps a signal, in place of the one of the same name.
    ///
    /// # Errors
    /// What the database says.
    pub fn upsert_signal(&mut self, signal: &Signal) -> Result<(), StoreError> {
        let json = encode(signal)?;
        self.together("writing a signal", |transaction| {
            let key = params![signal.id.event.0 as i64, signal.id.ordinal, nanos(signal.at), json];
            transaction
                .prepare_cached("INSERT OR REPLACE INTO signals (event, ordinal, at, json) VALUES (?1, ?2, ?3, ?4)")?
                .execute(key)
                .map(drop)
        })
    }

    /// Keeps an incident, in place of the one of the same name.
    ///
    /// # Errors
    /// What the database says.
    pub fn upsert_incident(&mut self, incident: &Incident) -> Result<(), StoreError> {
        self.upsert("INSERT OR REPLACE INTO incidents (id, updated, json) VALUES (?1, ?2, ?3)", incident.id.0, incident.updated, incident)
    }

    /// Keeps an alert, in place of the one of the same name.
    ///
    /// # Errors
    /// What the database says.
    pub fn upsert_alert(&mut self, alert: &Alert) -> Result<(), StoreError> {
        self.upsert("INSERT OR REPLACE INTO alerts (id, updated, json) VALUES (?1, ?2, ?3)", alert.id.0, alert.updated, alert)
    }

    /// Keeps a question, in place of the one of the same name.
    ///
    /// # Errors
    /// What the database says.
    pub fn upsert_approval(&mut self, approval: &Approval) -> Result<(), StoreError> {
        self.upsert("INSERT OR REPLACE INTO approvals (id, asked, json) VALUES (?1, ?2, ?3)", approval.id.0, approval.asked_at, approval)
    }

    /// Remembers one small fact about the agent itself (mode, when the last console left ...).
    ///
    /// # Errors
    /// What the database says.
    pub fn set_meta(&mut self, key: &str, value: &str) -> Result<(), StoreError> {
        self.together("writing a setting", |transaction| {
            transaction.prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)")?.execute([key, value]).map(drop)
        })
    }

    /// Makes room: removes events and signals from before `keep_since`, then the oldest events until the database is
    /// at most `max_bytes`. Incidents, alerts and approvals stay: they are few, and the story of the host.
    ///
    /// # Errors
    /// What the database says; what was removed until then stays removed.
    pub fn retain(&mut self, max_bytes: u64, keep_since: Timestamp) -> Result<Swept, StoreError> {
        let mut swept = Swept::default();
        let (before, sweep) = (nanos(keep_since), i64::from(SWEEP));
        loop {
            let gone =
                self.delete("DELETE FROM events WHERE id IN (SELECT id FROM events WHERE at < ?1 ORDER BY at LIMIT ?2)", [before, sweep])?;
            swept.events += gone;
            if gone == 0 {
                break;
            }
        }
        swept.signals = self.delete("DELETE FROM signals WHERE at < ?1 AND ?2", [before, 1])?;
        loop {
            swept.bytes = self.give_back()?;
            if swept.bytes <= max_bytes {
                break;
            }
            // As large a share of the events as of the bytes that are too many, so that a few rounds suffice.
            let events = self.count_events()?;
            let share = events as f64 * (1.0 - max_bytes as f64 / swept.bytes as f64) * 1.1;
            let some = (share.ceil() as i64).clamp(1, sweep);
            let gone = self.delete("DELETE FROM events WHERE id IN (SELECT id FROM events ORDER BY id LIMIT ?2) AND ?1", [1, some])?;
            swept.events += gone;
            if gone == 0 {
                break;
            }
        }
        Ok(swept)
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

    fn count_events(&self) -> Result<i64, StoreError> {
        self.connection.query_row("SELECT count(*) FROM events", [], |row| row.get(0)).map_err(|why| self.fail("counting", why))
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

    fn delete(&mut self, sql: &str, bounds: [i64; 2]) -> Result<u64, StoreError> {
        self.together("making room", |transaction| transaction.prepare_cached(sql)?.execute(bounds).map(|rows| rows as u64))
    }

    fn upsert(&mut self, sql: &str, id: u64, at: Timestamp, record: &impl Serialize) -> Result<(), StoreError> {
        let json = encode(record)?;
        self.together("writing a record", |transaction| {
            transaction.prepare_cached(sql)?.execute(params![id as i64, nanos(at), json]).map(drop)
        })
    }

    fn together<T>(&mut self, what: &'static str, change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let path = &self.path;
        let fail = |why| StoreError::Database { path: path.clone(), what, why };
        let transaction = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(fail)?;
        let done = change(&transaction).map_err(fail)?;
        transaction.commit().map_err(fail)?;
        Ok(done)
    }

    fn fail(&self, what: &'static str, why: rusqlite::Error) -> StoreError {
        StoreError::Database { path: self.path.clone(), what, why }
    }
}

fn encode(record: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    Ok(serde_json::to_vec(record)?)
}
