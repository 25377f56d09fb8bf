//! The journal of actions: an intent is a row before anything is done, and stays for ever.

use rusqlite::{OptionalExtension, params};

use super::{Ledger, LedgerError};
use crate::model::{Action, ActionId, ActionState, WarrantId};

impl Ledger {
    /// Writes an intent down, with what the host looked like before. It is on disk when this returns.
    ///
    /// # Errors
    /// When it cannot be written: then nothing may be done. An id that is taken is an error.
    pub fn intend(&self, action: &Action, snapshot: &serde_json::Value) -> Result<(), LedgerError> {
        let body = self.encode(action)?;
        let values = params![number(action.id), state(action.state), action.state.is_active(), body, snapshot.to_string()];
        let written = self.lock().execute("INSERT INTO actions VALUES (?1, ?2, ?3, ?4, ?5)", values);
        written.map(drop).map_err(self.sqlite("write an intent"))
    }

    /// Writes down where an action stands now.
    ///
    /// # Errors
    /// When it cannot be written or was never intended.
    pub fn update(&self, action: &Action) -> Result<(), LedgerError> {
        let body = self.encode(action)?;
        let values = params![number(action.id), state(action.state), action.state.is_active(), body];
        let changed = self.lock().execute("UPDATE actions SET state = ?2, active = ?3, body = ?4 WHERE id = ?1", values);
        self.exactly_one(changed, action.id)
    }

    /// Writes down what an action changed, once that is known better than before.
    ///
    /// # Errors
    /// When it cannot be written or was never intended.
    pub fn set_snapshot(&self, id: ActionId, snapshot: &serde_json::Value) -> Result<(), LedgerError> {
        let changed = self.lock().execute("UPDATE actions SET snapshot = ?2 WHERE id = ?1", params![number(id), snapshot.to_string()]);
        self.exactly_one(changed, id)
    }

    /// What undoes an action; `None` when there is no such action.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn snapshot(&self, id: ActionId) -> Result<Option<serde_json::Value>, LedgerError> {
        let read =
            self.lock().query_row("SELECT snapshot FROM actions WHERE id = ?1", [number(id)], |row| row.get::<_, String>(0)).optional();
        let Some(text) = read.map_err(self.sqlite("read a snapshot"))? else { return Ok(None) };
        serde_json::from_str(&text).map(Some).map_err(|error| self.bad_row("read a snapshot", error))
    }

    /// One action.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn action(&self, id: ActionId) -> Result<Option<Action>, LedgerError> {
        Ok(self.read("SELECT body FROM actions WHERE id = ?1", number(id))?.pop())
    }

    /// Those that may still have an effect on the host, oldest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn active(&self) -> Result<Vec<Action>, LedgerError> {
        self.read("SELECT body FROM actions WHERE active = 1 ORDER BY id LIMIT ?1", 1 << 16)
    }

    /// The newest `limit`, newest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn actions(&self, limit: usize) -> Result<Vec<Action>, LedgerError> {
        self.read("SELECT body FROM actions ORDER BY id DESC LIMIT ?1", i64::try_from(limit).unwrap_or(i64::MAX))
    }

    /// The name of the next action.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn next_action_id(&self) -> Result<ActionId, LedgerError> {
        let read = self.lock().query_row("SELECT COALESCE(MAX(id), 0) + 1 FROM actions", [], |row| row.get::<_, i64>(0));
        read.map(|id| ActionId(u64::try_from(id).unwrap_or(1))).map_err(self.sqlite("count actions"))
    }

    /// The name of the first warrant after a restart: beyond every one that was ever used or audited.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn next_warrant_id(&self) -> Result<WarrantId, LedgerError> {
        const HIGHEST: &str = "SELECT MAX(n) FROM (
            SELECT COALESCE(MAX(CAST(SUBSTR(json_extract(body, '$.warrant'), 2) AS INTEGER)), 0) AS n FROM actions UNION ALL
            SELECT COALESCE(MAX(CAST(SUBSTR(json_extract(body, '$.subject'), 2) AS INTEGER)), 0) FROM audit
             WHERE json_extract(body, '$.what') LIKE 'warrant.%' AND json_extract(body, '$.subject') GLOB 'W[0-9]*')";
        let read = self.lock().query_row(HIGHEST, [], |row| row.get::<_, i64>(0));
        read.map(|id| WarrantId(u64::try_from(id).unwrap_or(0) + 1)).map_err(self.sqlite("count warrants"))
    }

    fn read(&self, query: &str, value: i64) -> Result<Vec<Action>, LedgerError> {
        let connection = self.lock();
        let rows = connection
            .prepare(query)
            .and_then(|mut statement| statement.query_map([value], |row| row.get::<_, String>(0))?.collect::<Result<Vec<String>, _>>());
        drop(connection);
        let rows = rows.map_err(self.sqlite("read actions"))?;
        rows.iter().map(|body| serde_json::from_str(body).map_err(|error| self.bad_row("read an action", error))).collect()
    }

    fn encode(&self, action: &Action) -> Result<String, LedgerError> {
        serde_json::to_string(action).map_err(|error| self.bad_row("write an action", error))
    }

    fn exactly_one(&self, changed: rusqlite::Result<usize>, id: ActionId) -> Result<(), LedgerError> {
        match changed.map_err(self.sqlite("write an action"))? {
            1 => Ok(()),
            _ => Err(LedgerError::Row { what: "write an action", file: self.file.clone(), why: format!("{id} was never intended") }),
        }
    }

    fn bad_row(&self, what: &'static str, error: serde_json::Error) -> LedgerError {
        LedgerError::Row { what, file: self.file.clone(), why: error.to_string() }
    }
}

fn number(id: ActionId) -> i64 {
    i64::try_from(id.0).unwrap_or(i64::MAX)
}

fn state(state: ActionState) -> &'static str {
    state.noun()
}
