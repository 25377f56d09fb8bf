//! The table of exceptions: a row with its audit line in one transaction, so that none begins or ends unrecorded.

use rusqlite::{Transaction, params};

use super::{Ledger, LedgerError, audit};
use bartizan_model::{AuditBody, Exception, ExceptionEnd, ExceptionId, ExceptionScope, Timestamp};

/// Exceptions in force at once.
pub const MAX_EXCEPTIONS: usize = 1_000;
/// Rows that are over and still listed; the audit log keeps what was said of all of them.
const MAX_ENDED: usize = 1_000;

/// Why an exception was not written.
#[derive(Debug, thiserror::Error)]
pub enum ExceptionError {
    /// There are as many as there may be.
    #[error("there are {MAX_EXCEPTIONS} exceptions in force: remove some first (`bartizan exceptions list`)")]
    Full,
    /// The disk or the database.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl Ledger {
    /// All exceptions that are kept, oldest first, those that are over too. A row that cannot be read hides nothing.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub fn exceptions(&self) -> Result<Vec<Exception>, LedgerError> {
        rows(&self.lock()).map_err(self.sqlite("read the exceptions"))
    }

    /// Adds an exception from now until `until`.
    ///
    /// # Errors
    /// When it cannot be written, or there are too many.
    pub fn add_exception(
        &self,
        scope: &ExceptionScope,
        (author, reason): (&str, &str),
        (now, until): (Timestamp, Timestamp),
    ) -> Result<Exception, ExceptionError> {
        let added = self.change("add an exception", true, |change, chain| {
            let known = rows(change)?;
            if known.iter().filter(|one| one.holds_at(now)).count() >= MAX_EXCEPTIONS {
                return Ok(None);
            }
            prune(change, &known, now)?;
            let last: i64 = change.query_row("SELECT last FROM exception_numbers", [], |row| row.get(0))?;
            change.execute("UPDATE exception_numbers SET last = ?1", [last + 1])?;
            let id = ExceptionId(u64::try_from(last).unwrap_or(0) + 1);
            let (author, reason) = (author.to_owned(), reason.to_owned());
            let exception = Exception { id, scope: scope.clone(), reason, author, added: now, until, removed: None };
            let body = serde_json::to_string(&exception).unwrap_or_default();
            change.execute("INSERT INTO exceptions (id, body) VALUES (?1, ?2)", params![last + 1, body])?;
            let detail = format!("{} until {} UTC: {}", exception.scope, until.format("%Y-%m-%d %H:%M"), exception.reason);
            audit::append(change, chain, &line(now, &exception.author, "exception.added", id, detail))?;
            Ok(Some(exception))
        })?;
        added.ok_or(ExceptionError::Full)
    }

    /// Ends an exception now; `None` when none of this name holds.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn remove_exception(&self, id: ExceptionId, end: &ExceptionEnd) -> Result<Option<Exception>, LedgerError> {
        self.change("remove an exception", true, |change, chain| {
            let Some(held) = rows(change)?.into_iter().find(|one| one.id == id && one.holds_at(end.at)) else { return Ok(None) };
            let exception = Exception { removed: Some(end.clone()), ..held };
            let body = serde_json::to_string(&exception).unwrap_or_default();
            change.execute("UPDATE exceptions SET body = ?2 WHERE id = ?1", params![number(id), body])?;
            audit::append(change, chain, &line(end.at, &end.by, "exception.removed", id, end.reason.clone()))?;
            Ok(Some(exception))
        })
    }
}

fn number(id: ExceptionId) -> i64 {
    i64::try_from(id.0).unwrap_or(i64::MAX)
}

fn line(at: Timestamp, actor: &str, what: &str, id: ExceptionId, detail: String) -> AuditBody {
    AuditBody { at, actor: actor.to_owned(), what: what.to_owned(), subject: id.to_string(), detail }
}

fn rows(connection: &rusqlite::Connection) -> rusqlite::Result<Vec<Exception>> {
    let mut statement = connection.prepare_cached("SELECT body FROM exceptions ORDER BY id LIMIT ?1")?;
    let bodies = statement.query_map([i64::try_from(MAX_EXCEPTIONS + MAX_ENDED).unwrap_or(i64::MAX)], |row| row.get::<_, String>(0))?;
    let mut out = Vec::new();
    for body in bodies {
        out.extend(serde_json::from_str::<Exception>(&body?).ok());
    }
    Ok(out)
}

/// Removes the oldest of those that are over, beyond what is listed.
fn prune(change: &Transaction<'_>, known: &[Exception], now: Timestamp) -> rusqlite::Result<()> {
    let ended: Vec<&Exception> = known.iter().filter(|one| !one.holds_at(now)).collect();
    for one in ended.iter().take((ended.len() + 1).saturating_sub(MAX_ENDED)) {
        change.execute("DELETE FROM exceptions WHERE id = ?1", [number(one.id)])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_and_its_audit_lines_outlive_the_agent() {
        let dir = tempfile::tempdir().unwrap();
        let at = |second| Timestamp::UNIX_EPOCH + chrono::Duration::seconds(second);
        let scope =
            ExceptionScope { source: Some("rule:x".to_owned()), unit: Some("backup.service".to_owned()), ..ExceptionScope::default() };
        let ledger = Ledger::open(dir.path(), at(0)).unwrap();
        let first = ledger.add_exception(&scope, ("uid 0", "nightly backup"), (at(1), at(100))).unwrap();
        let second = ledger.add_exception(&scope, ("uid 0", "again"), (at(1), at(100))).unwrap();
        assert_eq!((first.id, second.id), (ExceptionId(1), ExceptionId(2)));
        let end = ExceptionEnd { at: at(5), by: "uid 0".to_owned(), reason: "moved".to_owned() };
        assert_eq!(ledger.remove_exception(first.id, &end).unwrap().unwrap().removed, Some(end.clone()));
        assert_eq!(ledger.remove_exception(first.id, &end).unwrap(), None, "it ended already");
        drop(ledger);
        let ledger = Ledger::open(dir.path(), at(6)).unwrap();
        let known = ledger.exceptions().unwrap();
        assert_eq!(known.iter().map(|one| one.holds_at(at(6))).collect::<Vec<_>>(), [false, true]);
        let told: Vec<String> = ledger.audit_tail(9).unwrap().into_iter().map(|entry| entry.body.what).collect();
        assert_eq!(told, ["exception.added", "exception.added", "exception.removed"]);
        assert!(ledger.verify().unwrap().intact);
    }

    #[test]
    fn exceptions_are_bounded_and_a_name_is_given_once() {
        let dir = tempfile::tempdir().unwrap();
        let at = |second| Timestamp::UNIX_EPOCH + chrono::Duration::seconds(second);
        let ledger = Ledger::open(dir.path(), at(0)).unwrap();
        let (scope, body) = (ExceptionScope::default(), |id, until| Exception {
            id: ExceptionId(id),
            scope: ExceptionScope::default(),
            reason: String::new(),
            author: String::new(),
            added: at(0),
            until: at(until),
            removed: None,
        });
        let fill = |from: u64, count: usize, until| {
            let put = |change: &Transaction<'_>, id: u64| {
                let text = serde_json::to_string(&body(id, until)).unwrap();
                change.execute("INSERT INTO exceptions (id, body) VALUES (?1, ?2)", params![number(ExceptionId(id)), text])
            };
            ledger.change("fill", false, |change, _| (0..count as u64).try_for_each(|one| put(change, from + one).map(drop))).unwrap();
        };
        fill(10_000, MAX_ENDED, 1);
        let added = ledger.add_exception(&scope, ("", ""), (at(5), at(100))).unwrap();
        assert_eq!((added.id, ledger.exceptions().unwrap().len()), (ExceptionId(1), MAX_ENDED), "the oldest that ended went");
        fill(20_000, MAX_EXCEPTIONS, 100);
        assert!(matches!(ledger.add_exception(&scope, ("", ""), (at(5), at(100))), Err(ExceptionError::Full)));
    }
}
