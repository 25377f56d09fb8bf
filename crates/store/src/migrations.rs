//! How the tables of `archive.db` came to be, step by step. A released step never changes; a new one is added at the end.

use rusqlite_migration::{M, Migrations};

/// Steps in order; the file's version (`user_version`) is the number of steps it has taken.
const STEPS: &[M<'static>] = &[
    M::up(
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
    ),
    // Events in blocks. What was one row becomes a block of one event, in the form of a row (codec 0). The numbers of the kinds
    // are those of kinds.rs; 4611686018427387904 is a kind without a number.
    M::up(
        "CREATE TABLE blocks (last INTEGER PRIMARY KEY, first INTEGER NOT NULL, earliest INTEGER NOT NULL, latest INTEGER NOT NULL,
                              kinds INTEGER NOT NULL, events INTEGER NOT NULL, codec INTEGER NOT NULL, data BLOB NOT NULL);
         INSERT INTO blocks SELECT id, id, at, at,
             CASE kind WHEN 'process.exec' THEN 1 WHEN 'process.fork' THEN 2 WHEN 'process.exit' THEN 4 WHEN 'net.connect' THEN 8
                       WHEN 'net.listen' THEN 16 WHEN 'file.change' THEN 32 WHEN 'file.open' THEN 64
                       WHEN 'persistence.change' THEN 128 WHEN 'user.change' THEN 256 WHEN 'privilege.use' THEN 512
                       WHEN 'sensor.loss' THEN 8192 ELSE 4611686018427387904 END,
             1, 0, json FROM events ORDER BY id;
         CREATE INDEX blocks_by_time ON blocks (latest);
         DROP TABLE events;
         CREATE TABLE digests (number INTEGER PRIMARY KEY, device INTEGER NOT NULL, inode INTEGER NOT NULL, changed INTEGER NOT NULL,
                               sha256 BLOB, package BLOB, UNIQUE (device, inode, changed));",
    ),
];

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
