//! Connections that read from the archive beside the one that writes.

use std::path::PathBuf;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};
use serde::de::DeserializeOwned;

use super::archive::connect;
use super::error::StoreError;
use super::events;
use super::writer::LAST_EVENT;
use bartizan_model::{Alert, AlertId, Approval, ApprovalId, Event, EventId, Incident, IncidentId, Signal, Timestamp};
use bartizan_protocol::EventQuery;

/// Most records that one question returns.
pub(super) const MOST: u32 = 100_000;

/// Records read, and how many could not be understood: never silently left out.
#[derive(Debug, Clone, PartialEq)]
pub struct Found<T> {
    /// What was asked for.
    pub records: Vec<T>,
    /// Records that are there and cannot be read: all events of a damaged block, whatever their kind.
    pub unreadable: u64,
}

/// One connection that reads what is committed.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    path: PathBuf,
}

impl Reader {
    pub(super) fn new(connection: Connection, path: PathBuf) -> Self {
        Self { connection, path }
    }

    /// Another connection to the same archive: a long search on it holds nobody up.
    ///
    /// # Errors
    /// What the database says.
    pub fn sibling(&self) -> Result<Self, StoreError> {
        Ok(Self::new(connect(&self.path, false)?, self.path.clone()))
    }

    /// The newest events that fit, oldest first; at most 100,000, and about [`Event::PAGE`] bytes.
    ///
    /// # Errors
    /// What the database says.
    pub fn events(&self, query: &EventQuery) -> Result<Found<Event>, StoreError> {
        events::find(&self.connection, query).map_err(|why| self.fail("reading events", why))
    }

    /// How many events of this kind or family there are since a moment. Those of a damaged block count only where nothing but
    /// the block's own summary is needed.
    ///
    /// # Errors
    /// What the database says.
    pub fn count(&self, kind: Option<&str>, since: Option<Timestamp>) -> Result<u64, StoreError> {
        events::count(&self.connection, kind, since).map_err(|why| self.fail("counting events", why))
    }

    /// The newest signals, newest first.
    ///
    /// # Errors
    /// What the database says.
    pub fn signals(&self, limit: u32) -> Result<Found<Signal>, StoreError> {
        self.find(
            "SELECT json FROM signals ORDER BY at DESC, event DESC, ordinal DESC LIMIT ?",
            vec![Value::Integer(limit.min(MOST).into())],
        )
    }

    /// The newest incidents, newest first.
    ///
    /// # Errors
    /// What the database says.
    pub fn incidents(&self, limit: u32) -> Result<Found<Incident>, StoreError> {
        self.find("SELECT json FROM incidents ORDER BY id DESC LIMIT ?", vec![Value::Integer(limit.min(MOST).into())])
    }

    /// One incident.
    ///
    /// # Errors
    /// What the database says.
    pub fn incident(&self, id: IncidentId) -> Result<Option<Incident>, StoreError> {
        let found = self.find("SELECT json FROM incidents WHERE id = ?", vec![Value::Integer(id.0 as i64)])?;
        Ok(found.records.into_iter().next())
    }

    /// The newest alerts, newest first.
    ///
    /// # Errors
    /// What the database says.
    pub fn alerts(&self, limit: u32) -> Result<Found<Alert>, StoreError> {
        self.find("SELECT json FROM alerts ORDER BY updated DESC, id DESC LIMIT ?", vec![Value::Integer(limit.min(MOST).into())])
    }

    /// The newest questions, newest first.
    ///
    /// # Errors
    /// What the database says.
    pub fn approvals(&self, limit: u32) -> Result<Found<Approval>, StoreError> {
        self.find("SELECT json FROM approvals ORDER BY id DESC LIMIT ?", vec![Value::Integer(limit.min(MOST).into())])
    }

    /// The highest event number ever given, 0 when none: numbers are never used again, even for events long removed.
    ///
    /// # Errors
    /// What the database says.
    pub fn max_event_id(&self) -> Result<EventId, StoreError> {
        let remembered = self.meta(LAST_EVENT)?.and_then(|text| text.parse().ok()).unwrap_or(0);
        Ok(EventId(self.max("SELECT max(last) FROM blocks")?.max(remembered)))
    }

    /// The highest incident number, 0 when none.
    ///
    /// # Errors
    /// What the database says.
    pub fn max_incident_id(&self) -> Result<IncidentId, StoreError> {
        self.max("SELECT max(id) FROM incidents").map(IncidentId)
    }

    /// The highest alert number, 0 when none.
    ///
    /// # Errors
    /// What the database says.
    pub fn max_alert_id(&self) -> Result<AlertId, StoreError> {
        self.max("SELECT max(id) FROM alerts").map(AlertId)
    }

    /// The highest approval number, 0 when none.
    ///
    /// # Errors
    /// What the database says.
    pub fn max_approval_id(&self) -> Result<ApprovalId, StoreError> {
        self.max("SELECT max(id) FROM approvals").map(ApprovalId)
    }

    /// A small fact about the agent itself, if it was ever remembered.
    ///
    /// # Errors
    /// What the database says.
    pub fn meta(&self, key: &str) -> Result<Option<String>, StoreError> {
        let value = self.connection.query_row("SELECT value FROM meta WHERE key = ?", [key], |row| row.get(0));
        value.optional().map_err(|why| self.fail("reading a setting", why))
    }

    fn max(&self, sql: &str) -> Result<u64, StoreError> {
        let highest: Option<i64> = self.connection.query_row(sql, [], |row| row.get(0)).map_err(|why| self.fail("reading numbers", why))?;
        Ok(highest.unwrap_or(0).unsigned_abs())
    }

    fn find<T: DeserializeOwned>(&self, sql: &str, values: Vec<Value>) -> Result<Found<T>, StoreError> {
        let fail = |why| self.fail("reading", why);
        let mut statement = self.connection.prepare_cached(sql).map_err(fail)?;
        let mut rows = statement.query(params_from_iter(values)).map_err(fail)?;
        let mut found = Found { records: Vec::new(), unreadable: 0 };
        while let Some(row) = rows.next().map_err(fail)? {
            let json = row.get_ref(0).map_err(fail)?.as_bytes().unwrap_or_default();
            match serde_json::from_slice(json) {
                Ok(record) => found.records.push(record),
                Err(_) => found.unreadable += 1,
            }
        }
        Ok(found)
    }

    fn fail(&self, what: &'static str, why: rusqlite::Error) -> StoreError {
        StoreError::Database { path: self.path.clone(), what, why }
    }
}
