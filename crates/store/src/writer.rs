//! The one connection that writes to the archive.

use std::path::PathBuf;

use rusqlite::{Connection, Transaction, params};
use serde::Serialize;

use super::block::{Block, Packer, Summary, seal};
use super::digests::{self, FileDigest};
use super::error::StoreError;
use super::events::PACKED;
use bartizan_model::{Alert, Approval, Event, Incident, Signal, Timestamp};

/// Meta key of the highest event number ever written; it outlives the events themselves.
pub(super) const LAST_EVENT: &str = "last_event_id";

/// The one connection that writes.
#[derive(Debug)]
pub struct Writer {
    pub(super) connection: Connection,
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
    /// What the database says (disk full, locked ...) or [`StoreError::TooLarge`]; nothing is written then.
    pub fn events(&mut self, events: &[Event]) -> Result<(), StoreError> {
        let (mut packer, mut blocks) = (Packer::default(), Vec::new());
        for event in events {
            packer.push(event)?;
            if packer.is_full() {
                blocks.extend(packer.take());
            }
        }
        blocks.extend(packer.take());
        self.blocks(&blocks)
    }

    /// Keeps blocks in one transaction: all of them or none.
    ///
    /// # Errors
    /// What the database says (disk full, locked ...); nothing is written then.
    pub fn blocks(&mut self, blocks: &[Block]) -> Result<(), StoreError> {
        let Some(last) = blocks.iter().map(|block| block.summary.last).max() else { return Ok(()) };
        self.together("writing events", |transaction| {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO blocks (last, first, earliest, latest, kinds, events, codec, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?;
            for Block { raw, summary } in blocks {
                let Summary { first, last, earliest, latest, kinds, events } = *summary;
                insert.execute(params![last as i64, first as i64, earliest, latest, kinds, events as i64, PACKED, seal(raw)])?;
            }
            transaction
                .prepare_cached("INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value WHERE CAST(excluded.value AS INTEGER) > CAST(value AS INTEGER)")?
                .execute(params![LAST_EVENT, last.to_string()])
                .map(drop)
        })
    }

    /// Remembers the digest and the package of a file, for all events that name this content of it.
    ///
    /// # Errors
    /// What the database says.
    pub fn upsert_digest(&mut self, digest: &FileDigest) -> Result<(), StoreError> {
        self.together("writing a digest", |transaction| digests::upsert(transaction, digest))
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

    fn upsert(&mut self, sql: &str, id: u64, at: Timestamp, record: &impl Serialize) -> Result<(), StoreError> {
        let json = encode(record)?;
        self.together("writing a record", |transaction| {
            transaction.prepare_cached(sql)?.execute(params![id as i64, nanos(at), json]).map(drop)
        })
    }

    pub(super) fn together<T>(
        &mut self,
        what: &'static str,
        change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let path = &self.path;
        let fail = |why| StoreError::Database { path: path.clone(), what, why };
        let transaction = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(fail)?;
        let done = change(&transaction).map_err(fail)?;
        transaction.commit().map_err(fail)?;
        Ok(done)
    }

    pub(super) fn fail(&self, what: &'static str, why: rusqlite::Error) -> StoreError {
        StoreError::Database { path: self.path.clone(), what, why }
    }
}

fn encode(record: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    Ok(serde_json::to_vec(record)?)
}
