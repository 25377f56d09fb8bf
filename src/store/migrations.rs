//! How the tables of `archive.db` came to be, step by step. A released step never changes; a new one is added at the end.

use rusqlite_migration::{M, Migrations};

/// Steps in order; the file's version (`user_version`) is the number of steps it has taken.
const STEPS: &[M<'static>] = &[M::up(
    "CREATE TABLE events (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL, json BLOB NOT NULL);
     CREATE INDEX events_by_time ON events (at);
     CREATE INDEX events_by_kind ON events (kind, id);
     CREATE TABLE signals (event INTEGER NOT NULL, ordinal INTEGER NOT NULL, at INTEGER NOT NULL, json BLOB NOT NULL,
                           PRIMARY KEY (event, ordinal)) WITHOUT ROWID;
     CREATE INDEX signals_by_time ON signals (at);
     CREATE TABLE incidents (id INTEGER PRIMARY KEY, updated INTEGER NOT NULL, json BLOB NOT NULL);
     CREATE TABLE alerts (id INTEGER PRIMARY KEY, updated INTEGER NOT NULL, json BLOB NOT NULL);
     CREATE TABLE approvals (id INTEGER PRIMARY KEY, asked INTEGER NOT NULL, json BLOB NOT NULL);
     CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;",
)];

/// All steps.
pub(super) const ALL: Migrations<'static> = Migrations::from_slice(STEPS);

/// The version that this program writes.
pub(super) const VERSION: i64 = STEPS.len() as i64;

#[cfg(test)]
mod tests {
    #[test]
    fn every_step_is_valid_sql() {
        super::ALL.validate().unwrap();
    }
}
