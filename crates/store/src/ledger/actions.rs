//! The journal of actions: an intent is a row before anything is done, and stays for ever.
//!
//! An intent and its audit line are one transaction, a receipt and its audit line another: the record never tells of
//! one without the other. An intent is as durable as its effect: what dies with the kernel is handed to the kernel, what
//! outlives a reboot is on the disk (`synchronous = FULL` syncs the write-ahead log at the commit) before it begins.

use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use serde_json::Value;

use super::audit::Chain;
use super::book::{Anchor, Book, Held};
use super::row::{self, number};
use super::{Ledger, LedgerError, audit, locked, opening, reserve};
use bartizan_model::{Action, ActionId, AuditBody, BootId, Unpoisoned as _, WarrantId};

/// How old the `verified_at` on disk may grow, in seconds: what is in memory is never older than a round.
const REFRESH: i64 = 60;
/// Rows refreshed in one go; the rest waits for the next round.
const MAX_REFRESHED: usize = 500;
/// How long a change waits for somebody else who holds the file and did not let go the last time.
const IMPATIENCE: Duration = Duration::from_millis(20);
/// Active actions that are read at start.
const MAX_ACTIVE: i64 = 1 << 16;

impl Ledger {
    /// Writes an intent down, with what the host looked like before and the line of the record that tells of it. When
    /// this returns it survives our own death; for kinds that outlive a reboot, a power cut too.
    ///
    /// # Errors
    /// When it cannot be written: then nothing may be done. An id that is taken is an error.
    pub fn intend(&self, action: &Action, snapshot: &Value, anchor: Anchor, line: &AuditBody) -> Result<(), LedgerError> {
        let body = self.encode(action)?;
        let clock = i64::try_from(anchor.ns).unwrap_or(i64::MAX);
        self.change("write an intent", action.kind.outlives_reboot(), |change, chain| {
            let mut row = change.prepare_cached(
                "INSERT INTO actions (id, state, active, body, snapshot, boot, clock) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?;
            let active = action.state.is_active();
            row.execute(params![number(action.id), action.state.noun(), active, body, snapshot.to_string(), anchor.boot.0, clock])?;
            row::write(change, action, &body)?;
            audit::append(change, chain, line).map(drop)
        })?;
        let mut book = self.book();
        book.last = book.last.max(action.id.0);
        if action.state.is_active() {
            let (action, snapshot) = (Arc::new(action.clone()), Arc::new(snapshot.clone()));
            book.active.insert(action.id, Held { written: action.verified_at, action, snapshot, anchor: Some(anchor) });
        }
        Ok(())
    }

    /// Writes down where an action stands now. Memory knows it even when this fails, and the row follows as soon as the
    /// disk takes it.
    ///
    /// # Errors
    /// When it cannot be written or was never intended.
    pub fn update(&self, action: &Action) -> Result<(), LedgerError> {
        self.settle(action, None, None)
    }

    /// Writes down where an action stands now, what undoes it if that is known better than before, and the line of the
    /// record that tells of it: all of it or nothing. What fails is kept in memory and written as soon as the disk takes it.
    ///
    /// # Errors
    /// When it cannot be written or was never intended.
    pub fn settle(&self, action: &Action, snapshot: Option<&Value>, line: Option<&AuditBody>) -> Result<(), LedgerError> {
        let body = self.encode(action)?;
        let mut known = false;
        let written = self.change("write an action", action.kind.outlives_reboot(), |change, chain| {
            known = row::write(change, action, &body)? == 1;
            if let Some(snapshot) = snapshot {
                let mut row = change.prepare_cached("UPDATE actions SET snapshot = ?2 WHERE id = ?1")?;
                row.execute(params![number(action.id), snapshot.to_string()])?;
            }
            line.map_or(Ok(()), |line| audit::append(change, chain, line).map(drop))
        });
        if written.is_ok() && !known {
            return Err(LedgerError::Row {
                what: "write an action",
                file: self.file.clone(),
                why: format!("{} was never intended", action.id),
            });
        }
        let mut book = self.book();
        if let (Some(snapshot), Some(held)) = (snapshot, book.active.get_mut(&action.id)) {
            held.snapshot = Arc::new(snapshot.clone());
        }
        book.put(action);
        match &written {
            Ok(()) => {
                book.owed_rows.remove(&action.id);
                if let Some(held) = book.active.get_mut(&action.id) {
                    held.written = action.verified_at;
                }
            }
            Err(_) => book.owe(Some(action), line.cloned()),
        }
        written
    }

    /// Writes down where several actions stand now with one line of the record: all of it or nothing. What fails is kept in
    /// memory as by [`Ledger::settle`].
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn settle_all(&self, actions: &[Action], line: &AuditBody) -> Result<(), LedgerError> {
        let rows = actions.iter().map(|action| Ok((action, self.encode(action)?))).collect::<Result<Vec<_>, LedgerError>>()?;
        let synced = actions.iter().any(|action| action.kind.outlives_reboot());
        let written = self.change("write actions", synced, |change, chain| {
            rows.iter().try_for_each(|(action, body)| row::write(change, action, body).map(drop))?;
            audit::append(change, chain, line).map(drop)
        });
        let mut book = self.book();
        for action in actions {
            book.put(action);
            match &written {
                Ok(()) => drop(book.owed_rows.remove(&action.id)),
                Err(_) => book.owe(Some(action), None),
            }
        }
        if written.is_err() {
            book.owe(None, Some(line.clone()));
        }
        written
    }

    /// Writes down what an action is about to change, once that is known better than before.
    ///
    /// # Errors
    /// When it cannot be written or the action is not active: then what needs it must not be done.
    pub fn set_snapshot(&self, id: ActionId, snapshot: &Value) -> Result<(), LedgerError> {
        match self.held_one(id) {
            Some(held) => self.settle(&held.action, Some(snapshot), None),
            None => {
                let why = format!("{id} is not active");
                Err(LedgerError::Row { what: "write a snapshot", file: self.file.clone(), why })
            }
        }
    }

    /// Takes over that actions were seen unchanged; on disk at most once a minute each, some hundreds at a time.
    ///
    /// # Errors
    /// When those that are due cannot be written; memory knows all of them.
    pub fn refresh(&self, seen: &[Action]) -> Result<(), LedgerError> {
        let mut book = self.book();
        let mut due = Vec::new();
        for action in seen {
            book.put(action);
            let Some(held) = book.active.get_mut(&action.id) else { continue };
            let age = action.verified_at.zip(held.written).map(|(now, then)| (now - then).num_seconds());
            if due.len() < MAX_REFRESHED && age.is_none_or(|age| age.abs() >= REFRESH) {
                held.written = action.verified_at;
                due.push(Arc::clone(&held.action));
            }
        }
        drop(book);
        if due.is_empty() {
            return Ok(());
        }
        let rows = due.iter().map(|action| Ok((action, self.encode(action)?))).collect::<Result<Vec<_>, LedgerError>>()?;
        self.change("refresh actions", false, |change, _| {
            rows.iter().try_for_each(|(action, body)| row::write(change, action, body).map(drop))
        })
    }

    /// What undoes an action; `None` when there is no such action.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn snapshot(&self, id: ActionId) -> Result<Option<Value>, LedgerError> {
        if let Some(held) = self.book().active.get(&id) {
            return Ok(Some(Value::clone(&held.snapshot)));
        }
        let read =
            self.lock().query_row("SELECT snapshot FROM actions WHERE id = ?1", [number(id)], |row| row.get::<_, String>(0)).optional();
        let Some(text) = read.map_err(self.sqlite("read a snapshot"))? else { return Ok(None) };
        serde_json::from_str(&text).map(Some).map_err(|error| self.bad_row("read a snapshot", &error))
    }

    /// One action.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn action(&self, id: ActionId) -> Result<Option<Action>, LedgerError> {
        let book = self.book();
        if let Some(known) = book.active.get(&id).map(|held| Action::clone(&held.action)).or_else(|| book.owed_rows.get(&id).cloned()) {
            return Ok(Some(known));
        }
        drop(book);
        Ok(self.read("SELECT body, desired FROM actions WHERE id = ?1", number(id))?.pop())
    }

    /// Those that may still have an effect on the host, oldest first.
    ///
    /// # Errors
    /// None any more: they are in memory. The signature stays for callers.
    pub fn active(&self) -> Result<Vec<Action>, LedgerError> {
        Ok(self.book().active.values().map(|held| Action::clone(&held.action)).collect())
    }

    /// The same with what undoes each, without copying them.
    pub fn held(&self) -> Vec<Held> {
        self.book().active.values().cloned().collect()
    }

    /// One active action with what undoes it, without copying it.
    pub fn held_one(&self, id: ActionId) -> Option<Held> {
        self.book().active.get(&id).cloned()
    }

    /// The first active action for which `wanted` says yes.
    pub fn find_active(&self, wanted: impl Fn(&Action) -> bool) -> Option<Arc<Action>> {
        self.book().active.values().find(|held| wanted(&held.action)).map(|held| Arc::clone(&held.action))
    }

    /// The newest `limit`, newest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn actions(&self, limit: usize) -> Result<Vec<Action>, LedgerError> {
        let mut rows =
            self.read("SELECT body, desired FROM actions ORDER BY id DESC LIMIT ?1", i64::try_from(limit).unwrap_or(i64::MAX))?;
        let book = self.book();
        // What was seen since, and what the disk does not know yet.
        for row in &mut rows {
            if let Some(known) = book.owed_rows.get(&row.id) {
                row.clone_from(known);
            } else if let Some(held) = book.active.get(&row.id) {
                row.clone_from(&held.action);
            }
        }
        Ok(rows)
    }

    /// The name of the next action.
    ///
    /// # Errors
    /// None any more: it is in memory. The signature stays for callers.
    pub fn next_action_id(&self) -> Result<ActionId, LedgerError> {
        Ok(ActionId(self.book().last + 1))
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

    /// One change of the database, whole or not at all; synced when it must outlive a power cut. What it adds to the
    /// audit log moves the log's end, and with it the anchor.
    pub(super) fn change<T>(
        &self,
        what: &'static str,
        synced: bool,
        mut body: impl FnMut(&Transaction<'_>, &mut Chain) -> rusqlite::Result<T>,
    ) -> Result<T, LedgerError> {
        if let Some(why) = self.trouble() {
            return Err(LedgerError::Away { file: self.file.clone(), why });
        }
        let mut connection = self.lock();
        let mut head = locked(&self.head);
        let mut chain = Chain { head: head.clone(), cut: None };
        let mut done = run(&mut connection, synced, &mut chain, &mut body);
        if done.as_ref().is_err_and(|why| why.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)) {
            // The log cannot grow, but it may begin anew once it is copied: the pages have room.
            chain = Chain { head: head.clone(), cut: None };
            done = reserve::checkpoint(&connection).and_then(|()| run(&mut connection, synced, &mut chain, &mut body));
        }
        // Whoever else holds the file has had its chance: until it lets go nobody waits that long again.
        let busy = done.as_ref().is_err_and(|why| why.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy));
        let _ = connection.busy_timeout(if busy { IMPATIENCE } else { opening::PATIENCE });
        if done.is_ok() && *head != chain.head {
            *head = chain.head;
            if let Some(anchor) = self.anchor.get() {
                anchor.moved(head.clone());
            }
        }
        drop((head, connection));
        if let Some(cut) = chain.cut.filter(|_| done.is_ok()) {
            *locked(&self.cut) = Some(cut);
        }
        done.map_err(self.sqlite(what))
    }

    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unpoisoned()
    }

    /// Reads every active row into memory.
    pub(super) fn load(&self) -> Result<(), LedgerError> {
        const ACTIVE: &str = "SELECT body, desired, snapshot, boot, clock FROM actions WHERE active = 1 ORDER BY id LIMIT ?1";
        let connection = self.lock();
        let rows = connection.prepare(ACTIVE).and_then(|mut statement| {
            let rows = statement.query_map([MAX_ACTIVE], |row| {
                let (body, desired, snapshot) = (row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?);
                Ok((body, desired, snapshot, row.get::<_, Option<u32>>(3)?, row.get::<_, Option<i64>>(4)?))
            })?;
            rows.collect::<Result<Vec<_>, _>>()
        });
        let last = connection.query_row("SELECT COALESCE(MAX(id), 0) FROM actions", [], |row| row.get::<_, i64>(0));
        drop(connection);
        let mut book = self.book();
        book.last = u64::try_from(last.map_err(self.sqlite("count actions"))?).unwrap_or(0);
        for (body, desired, snapshot, boot, clock) in rows.map_err(self.sqlite("read actions"))? {
            let action = row::read(&body, &desired).map_err(|error| self.bad_row("read an action", &error))?;
            let snapshot = serde_json::from_str(&snapshot).map_err(|error| self.bad_row("read a snapshot", &error))?;
            let anchor = boot.zip(clock).map(|(boot, ns)| Anchor { boot: BootId(boot), ns: u64::try_from(ns).unwrap_or(0) });
            let held = Held { written: action.verified_at, action: Arc::new(action), snapshot: Arc::new(snapshot), anchor };
            book.active.insert(held.action.id, held);
        }
        Ok(())
    }

    fn read(&self, query: &str, value: i64) -> Result<Vec<Action>, LedgerError> {
        let connection = self.lock();
        let rows = connection
            .prepare(query)
            .and_then(|mut statement| statement.query_map([value], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<Vec<_>, _>>());
        drop(connection);
        let rows: Vec<(String, String)> = rows.map_err(self.sqlite("read actions"))?;
        rows.iter().map(|(body, desired)| row::read(body, desired).map_err(|error| self.bad_row("read an action", &error))).collect()
    }

    fn encode(&self, action: &Action) -> Result<String, LedgerError> {
        serde_json::to_string(action).map_err(|error| self.bad_row("write an action", &error))
    }

    fn bad_row(&self, what: &'static str, error: &serde_json::Error) -> LedgerError {
        LedgerError::Row { what, file: self.file.clone(), why: error.to_string() }
    }
}

/// One transaction, whole or not at all.
fn run<T>(
    connection: &mut Connection,
    synced: bool,
    chain: &mut Chain,
    body: &mut impl FnMut(&Transaction<'_>, &mut Chain) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    if synced {
        connection.execute_batch("PRAGMA synchronous = FULL")?;
    }
    let change = connection.transaction_with_behavior(TransactionBehavior::Immediate);
    let done = change.and_then(|change| body(&change, chain).and_then(|given| change.commit().map(|()| given)));
    if synced {
        // Harmless when it fails: then more is synced than must be.
        let _ = connection.execute_batch("PRAGMA synchronous = NORMAL");
    }
    done
}
