//! What is normal here, on disk: `baseline.db` in the data directory, with the state of each habit in every version.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, params};
use rusqlite_migration::{M, Migrations};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::StoreError;
use bartizan_baseline::{Changes, KeptHabit, KeptProfile};
use bartizan_model::{BaselineVersion, HabitState, HostText, Timestamp};

/// The database in the data directory.
const FILE: &str = "baseline.db";
/// How its tables came to be. A released step never changes.
const STEPS: &[M<'static>] = &[
    M::up(
        "CREATE TABLE profiles (id INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;
     CREATE TABLE habits (id INTEGER PRIMARY KEY, profile INTEGER NOT NULL, kind TEXT NOT NULL, value BLOB NOT NULL, state TEXT NOT NULL,
       reason TEXT NOT NULL, author TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, count INTEGER NOT NULL,
       days INTEGER NOT NULL) STRICT;
     CREATE INDEX habits_of ON habits (profile);
     CREATE TABLE turns (version INTEGER NOT NULL, habit INTEGER NOT NULL, state TEXT, PRIMARY KEY (version, habit)) STRICT, WITHOUT ROWID;
     CREATE TABLE versions (number INTEGER PRIMARY KEY, at TEXT NOT NULL, author TEXT NOT NULL, what TEXT NOT NULL) STRICT;
     CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;",
    ),
    M::up("ALTER TABLE habits ADD COLUMN told INTEGER NOT NULL DEFAULT 0;"),
];
/// How long another process may write.
const PATIENCE: Duration = Duration::from_secs(5);
/// Versions that are kept; what an older one said is part of the oldest kept one.
const MAX_VERSIONS: u64 = 1_000;
/// When learning began.
const BEGAN: &str = "began";

/// The baseline of habits, open.
#[derive(Debug)]
pub struct Habits {
    connection: Connection,
    path: PathBuf,
}

/// A habit whose state differs between two versions: its number, and the states.
pub type Turn = (u64, Option<HabitState>, Option<HabitState>);

impl Habits {
    /// Opens it in this directory, and makes it where there is none.
    ///
    /// # Errors
    /// What the disk or the database says.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(FILE);
        let fail = |why| StoreError::Database { path: path.clone(), what: "opening", why };
        fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|why| StoreError::Directory { path: dir.to_owned(), why })?;
        let access = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = crate::connection::open(&path, access).map_err(fail)?;
        connection.busy_timeout(PATIENCE).map_err(fail)?;
        connection.pragma_update(None, "journal_mode", "wal").map_err(fail)?;
        connection.pragma_update(None, "synchronous", "normal").map_err(fail)?;
        connection.pragma_update(None, "trusted_schema", false).map_err(fail)?;
        connection.pragma_update(None, "cache_size", -512).map_err(fail)?; // KiB
        let (found, known) = (connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(fail)?, STEPS.len() as i64);
        if found > known {
            return Err(StoreError::Newer { path, found, known });
        }
        let newer = |why: rusqlite_migration::Error| StoreError::Migration { path: path.clone(), known, why: why.to_string() };
        Migrations::from_slice(STEPS).to_latest(&mut connection).map_err(newer)?;
        Ok(Self { connection, path })
    }

    fn failed(&self, what: &'static str) -> impl Fn(rusqlite::Error) -> StoreError + use<> {
        let path = self.path.clone();
        move |why| StoreError::Database { path: path.clone(), what, why }
    }

    /// All of it. Rows that cannot be read are left out.
    ///
    /// # Errors
    /// What the database says.
    pub fn load(&self) -> Result<Changes, StoreError> {
        let fail = self.failed("reading what is normal");
        let began = fact(&self.connection, BEGAN).map_err(&fail)?.and_then(|text| text.parse().ok()).unwrap_or_default();
        let mut statement = self.connection.prepare("SELECT body FROM profiles ORDER BY id").map_err(&fail)?;
        let bodies = statement.query_map([], |row| row.get::<_, String>(0)).map_err(&fail)?;
        let mut profiles = Vec::new();
        for body in bodies {
            profiles.extend(serde_json::from_str::<KeptProfile>(&body.map_err(&fail)?).ok());
        }
        let columns = "id, profile, kind, value, state, reason, author, first, last, count, days, told";
        let mut statement = self.connection.prepare(&format!("SELECT {columns} FROM habits ORDER BY id")).map_err(&fail)?;
        let mut rows = statement.query([]).map_err(&fail)?;
        let mut habits = Vec::new();
        while let Some(row) = rows.next().map_err(&fail)? {
            habits.extend(habit(row).map_err(&fail)?);
        }
        Ok(Changes { began, profiles, habits, ..Changes::default() })
    }

    /// Keeps what changed, all of it or nothing. What changes its state does so in the version that is made next.
    ///
    /// # Errors
    /// What the database says.
    pub fn save(&mut self, changes: &Changes) -> Result<(), StoreError> {
        let fail = self.failed("keeping what is normal");
        let transaction = self.connection.transaction().map_err(&fail)?;
        save(&transaction, changes).map_err(&fail)?;
        transaction.commit().map_err(&fail)
    }

    /// Makes a version of what was kept since the last one.
    ///
    /// # Errors
    /// What the database says.
    pub fn make_version(&mut self, at: Timestamp, by: &str, what: &str) -> Result<BaselineVersion, StoreError> {
        let fail = self.failed("making a version");
        let transaction = self.connection.transaction().map_err(&fail)?;
        let number = next_version(&transaction).map_err(&fail)?;
        let values = params![signed(number), at.to_rfc3339(), by, what];
        transaction.execute("INSERT INTO versions (number, at, author, what) VALUES (?1, ?2, ?3, ?4)", values).map_err(&fail)?;
        fold(&transaction, number.saturating_sub(MAX_VERSIONS)).map_err(&fail)?;
        transaction.commit().map_err(&fail)?;
        Ok(BaselineVersion { number, at, by: by.to_owned(), what: what.to_owned() })
    }

    /// All versions, oldest first.
    ///
    /// # Errors
    /// What the database says.
    pub fn versions(&self) -> Result<Vec<BaselineVersion>, StoreError> {
        let fail = self.failed("reading versions");
        let mut statement = self.connection.prepare("SELECT number, at, author, what FROM versions ORDER BY number").map_err(&fail)?;
        let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get(2)?, row.get(3)?));
        let rows = statement.query_map([], row).map_err(&fail)?;
        let version = |(number, at, by, what): (i64, String, String, String)| BaselineVersion {
            number: unsigned(number),
            at: at.parse().unwrap_or_default(),
            by,
            what,
        };
        rows.map(|row| row.map(version)).collect::<Result<_, _>>().map_err(fail)
    }

    /// How many habits turned since the last version: to learned, to waiting, to rejected.
    ///
    /// # Errors
    /// What the database says.
    pub fn turned(&self) -> Result<[u64; 3], StoreError> {
        let fail = self.failed("reading versions");
        let next = next_version(&self.connection).map_err(&fail)?;
        let count = |state: HabitState| {
            let sql = "SELECT count(*) FROM turns WHERE version = ?1 AND state = ?2";
            self.connection.query_row(sql, params![signed(next), state.name()], |row| row.get::<_, i64>(0)).map(unsigned)
        };
        let counts = [HabitState::Learned, HabitState::Waiting, HabitState::Rejected].map(count);
        counts.into_iter().collect::<Result<Vec<_>, _>>().map_err(fail).map(|counts| counts.try_into().unwrap_or_default())
    }

    /// The state of each habit in a version.
    ///
    /// # Errors
    /// What the database says.
    pub fn states_at(&self, version: u64) -> Result<HashMap<u64, HabitState>, StoreError> {
        let fail = self.failed("reading a version");
        let sql = "SELECT habit, state FROM turns WHERE version <= ?1 ORDER BY version";
        let mut statement = self.connection.prepare(sql).map_err(&fail)?;
        let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<String>>(1)?));
        let mut states = HashMap::new();
        for turn in statement.query_map([signed(version)], row).map_err(&fail)? {
            let (habit, state) = turn.map_err(&fail)?;
            match state.and_then(|state| read::<HabitState>(&state)) {
                Some(state) => drop(states.insert(unsigned(habit), state)),
                None => drop(states.remove(&unsigned(habit))),
            }
        }
        Ok(states)
    }

    /// What differs between two versions, by number.
    ///
    /// # Errors
    /// What the database says.
    pub fn diff(&self, from: u64, to: u64) -> Result<Vec<Turn>, StoreError> {
        let (before, after) = (self.states_at(from)?, self.states_at(to)?);
        let mut numbers: Vec<u64> = before.keys().chain(after.keys()).copied().collect();
        numbers.sort_unstable();
        numbers.dedup();
        let turn = |number: u64| (number, before.get(&number).copied(), after.get(&number).copied());
        Ok(numbers.into_iter().map(turn).filter(|(_, before, after)| before != after).collect())
    }
}

fn save(transaction: &Transaction<'_>, changes: &Changes) -> rusqlite::Result<()> {
    let version = signed(next_version(transaction)?);
    let began = changes.began.to_string();
    transaction.execute("INSERT OR REPLACE INTO facts (name, value) VALUES (?1, ?2)", params![BEGAN, began])?;
    for profile in &changes.profiles {
        let body = serde_json::to_string(profile).unwrap_or_default();
        let sql = "INSERT OR REPLACE INTO profiles (id, body) VALUES (?1, ?2)";
        transaction.prepare_cached(sql)?.execute(params![signed(profile.id), body])?;
    }
    for habit in &changes.habits {
        save_habit(transaction, habit, version)?;
    }
    for profile in &changes.gone {
        let sql = "INSERT OR REPLACE INTO turns (version, habit, state) SELECT ?1, id, NULL FROM habits WHERE profile = ?2";
        transaction.prepare_cached(sql)?.execute(params![version, signed(*profile)])?;
        transaction.prepare_cached("DELETE FROM habits WHERE profile = ?1")?.execute([signed(*profile)])?;
        transaction.prepare_cached("DELETE FROM profiles WHERE id = ?1")?.execute([signed(*profile)])?;
    }
    for habit in &changes.gone_habits {
        let sql = "INSERT OR REPLACE INTO turns (version, habit, state) SELECT ?1, id, NULL FROM habits WHERE id = ?2";
        transaction.prepare_cached(sql)?.execute(params![version, signed(*habit)])?;
        transaction.prepare_cached("DELETE FROM habits WHERE id = ?1")?.execute([signed(*habit)])?;
    }
    Ok(())
}

fn save_habit(transaction: &Transaction<'_>, habit: &KeptHabit, version: i64) -> rusqlite::Result<()> {
    let id = signed(habit.id);
    let state = |row: &rusqlite::Row<'_>| row.get::<_, String>(0);
    let before = transaction.prepare_cached("SELECT state FROM habits WHERE id = ?1")?.query_row([id], state).optional()?;
    if before.as_deref() != Some(habit.state.name()) {
        let sql = "INSERT OR REPLACE INTO turns (version, habit, state) VALUES (?1, ?2, ?3)";
        transaction.prepare_cached(sql)?.execute(params![version, id, habit.state.name()])?;
    }
    let sql = "INSERT OR REPLACE INTO habits (id, profile, kind, value, state, reason, author, first, last, count, days, told) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    let (kind, reason) = (word(&habit.kind), word(&habit.reason));
    let KeptHabit { profile, value, state, by, first, last, count, days, told, .. } = habit;
    transaction.prepare_cached(sql)?.execute(params![
        id,
        signed(*profile),
        kind,
        value.as_bytes(),
        state.name(),
        reason,
        by,
        first,
        last,
        count,
        days,
        told
    ])?;
    Ok(())
}

/// Makes what older versions said part of this one, and forgets them.
fn fold(transaction: &Transaction<'_>, oldest: u64) -> rusqlite::Result<()> {
    if oldest == 0 {
        return Ok(());
    }
    let oldest = signed(oldest);
    let newest = "SELECT max(version) FROM turns AS later WHERE later.habit = turns.habit AND later.version <= ?1";
    transaction.execute(&format!("DELETE FROM turns WHERE version <= ?1 AND version < ({newest})"), [oldest])?;
    transaction.execute("DELETE FROM versions WHERE number < ?1", [oldest])?;
    Ok(())
}

fn next_version(connection: &Connection) -> rusqlite::Result<u64> {
    let number = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
    connection.query_row("SELECT coalesce(max(number), 0) + 1 FROM versions", [], number).map(unsigned)
}

fn fact(connection: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    connection.query_row("SELECT value FROM facts WHERE name = ?1", [name], |row| row.get(0)).optional()
}

fn habit(row: &rusqlite::Row<'_>) -> rusqlite::Result<Option<KeptHabit>> {
    let number = |place| row.get::<_, i64>(place).map(unsigned);
    let (kind, state, reason): (String, String, String) = (row.get(2)?, row.get(4)?, row.get(5)?);
    let (Some(kind), Some(state), Some(reason)) = (read(&kind), read(&state), read(&reason)) else { return Ok(None) };
    Ok(Some(KeptHabit {
        id: number(0)?,
        profile: number(1)?,
        kind,
        value: HostText::from(row.get::<_, Vec<u8>>(3)?),
        state,
        reason,
        by: row.get(6)?,
        first: row.get(7)?,
        last: row.get(8)?,
        count: row.get(9)?,
        days: row.get(10)?,
        told: row.get(11)?,
    }))
}

/// A plain enum as JSON calls it.
fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn read<T: DeserializeOwned>(word: &str) -> Option<T> {
    serde_json::from_value(serde_json::Value::from(word)).ok()
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_baseline::KeptActivity;
    use bartizan_model::{HabitKind, HabitReason, Profile};

    fn profile(id: u64) -> KeptProfile {
        let who = Profile { exe: "/usr/sbin/x".into(), below: None, unit: None, user: "root".into(), container: None };
        let activity = KeptActivity::default();
        KeptProfile { id, who, first: 1, last: 2, count: 3, days: 1, crowded: 0, trusted: true, last_start: 9, activity }
    }

    fn habit(id: u64, profile: u64, state: HabitState) -> KeptHabit {
        let (kind, value, reason) = (HabitKind::Child, HostText::from(&b"/bin/\xff"[..]), HabitReason::Observed);
        KeptHabit { id, profile, kind, value, state, reason, by: "bartizan".to_owned(), first: 1, last: 2, count: 3, days: 1, told: 5 }
    }

    #[test]
    fn what_is_kept_comes_back_and_every_version_says_what_counted() {
        let dir = tempfile::tempdir().unwrap();
        let at = Timestamp::from_timestamp(1_700_000_000, 0).unwrap();
        let mut habits = Habits::open(dir.path()).unwrap();
        let first = Changes {
            began: 7,
            profiles: vec![profile(1), profile(2)],
            habits: vec![habit(1, 1, HabitState::Learned), habit(2, 2, HabitState::Waiting)],
            ..Changes::default()
        };
        habits.save(&first).unwrap();
        assert_eq!(habits.turned().unwrap(), [1, 1, 0]);
        habits.make_version(at, "bartizan", "a day").unwrap();
        let approved = Changes { habits: vec![habit(2, 2, HabitState::Learned)], began: 7, ..Changes::default() };
        habits.save(&approved).unwrap();
        habits.save(&Changes { habits: vec![habit(3, 1, HabitState::Rejected)], gone: vec![2], began: 7, ..Changes::default() }).unwrap();
        habits.make_version(at, "ann", "a review").unwrap();
        drop(habits);
        let habits = Habits::open(dir.path()).unwrap();
        let kept = habits.load().unwrap();
        assert_eq!((kept.began, kept.profiles.clone()), (7, vec![profile(1)]));
        assert_eq!(kept.habits, [habit(1, 1, HabitState::Learned), habit(3, 1, HabitState::Rejected)]);
        let versions: Vec<_> = habits.versions().unwrap().into_iter().map(|version| (version.number, version.by)).collect();
        assert_eq!(versions, [(1, "bartizan".to_owned()), (2, "ann".to_owned())]);
        assert_eq!(habits.diff(1, 2).unwrap(), [(2, Some(HabitState::Waiting), None), (3, None, Some(HabitState::Rejected))]);
        assert_eq!(habits.states_at(1).unwrap(), HashMap::from([(1, HabitState::Learned), (2, HabitState::Waiting)]));
    }

    #[test]
    fn old_versions_are_folded_into_the_oldest_that_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut habits = Habits::open(dir.path()).unwrap();
        habits.save(&Changes { profiles: vec![profile(1)], habits: vec![habit(1, 1, HabitState::Waiting)], ..Changes::default() }).unwrap();
        for round in 0..MAX_VERSIONS + 3 {
            let state = if round % 2 == 0 { HabitState::Learned } else { HabitState::Rejected };
            habits.save(&Changes { habits: vec![habit(1, 1, state)], ..Changes::default() }).unwrap();
            habits.make_version(Timestamp::default(), "bartizan", "").unwrap();
        }
        let versions = habits.versions().unwrap();
        assert_eq!((versions.len() as u64, versions.first().unwrap().number), (MAX_VERSIONS + 1, 3));
        assert_eq!(habits.states_at(3).unwrap(), HashMap::from([(1, HabitState::Learned)]));
        assert_eq!(habits.states_at(4).unwrap(), HashMap::from([(1, HabitState::Rejected)]));
    }
}
