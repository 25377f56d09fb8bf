//! Reads wtmpdb(8), the database that keeps past logins where wtmp(5) is gone (Debian 13, openSUSE): written by root's login services alone.

use std::path::Path;
use std::time::Duration;

use rusqlite::OpenFlags;

/// How long a login service may hold the database before it counts as unreadable.
const PATIENCE: Duration = Duration::from_millis(200);
/// `USER_PROCESS` of wtmpdb.h.
const USER_PROCESS: i64 = 3;

/// Somebody came from there; of each account and host the newest login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastLogin {
    /// The account.
    pub user: Vec<u8>,
    /// The far end as the service named it: an address, or a host's name where sshd says `UseDNS yes`.
    pub host: Vec<u8>,
    /// When, in seconds since 1970.
    pub seconds: u64,
}

/// Logins from elsewhere since `since` (seconds since 1970), newest first, at most `most`; and whether there were more.
///
/// # Errors
/// The file is no such database, or another process holds it.
pub fn past_logins(file: &Path, since: u64, most: usize) -> rusqlite::Result<(Vec<PastLogin>, bool)> {
    let connection = crate::connection::open(file, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(PATIENCE)?;
    // wtmpdb counts microseconds. The lengths are those of utmp(5).
    let mut statement = connection.prepare(
        "SELECT CAST(substr(User, 1, 32) AS BLOB) AS who, CAST(substr(RemoteHost, 1, 256) AS BLOB) AS host, max(Login) / 1000000 AS at
         FROM wtmp WHERE Type = ?1 AND Login >= ?2 AND RemoteHost <> '' GROUP BY who, host ORDER BY at DESC LIMIT ?3",
    )?;
    let since = i64::try_from(since).unwrap_or(i64::MAX).saturating_mul(1_000_000);
    let limit = i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1);
    let rows = statement.query_map((USER_PROCESS, since, limit), |row| {
        Ok(PastLogin { user: row.get(0)?, host: row.get(1)?, seconds: u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0) })
    })?;
    let mut found = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    let more = found.len() > most;
    found.truncate(most);
    Ok((found, more))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by libwtmpdb 0.73 of Debian 13: a boot, ann three times from two addresses, bob from a named host and at a console.
    const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/wtmp.db");

    #[test]
    fn past_logins_are_read_as_debian_13_writes_them() {
        let read = |since, most| past_logins(Path::new(FILE), since, most).unwrap();
        let text = |login: &PastLogin| format!("{} {} {}", login.user.escape_ascii(), login.host.escape_ascii(), login.seconds);
        let (all, more) = read(0, 10);
        let lines: Vec<String> = all.iter().map(text).collect();
        assert_eq!(lines, ["bob client.example.org 1700000300", "ann 192.0.2.7 1700000200", "ann 2001:db8::7 1700000100"]);
        assert!(!more);
        assert_eq!(read(1_700_000_150, 10).0.len(), 2, "none of the older ones");
        assert!(read(0, 2).1, "one of three is left out, and that is said");
    }

    #[test]
    fn what_is_no_such_database_is_an_error_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in [("empty", &b""[..]), ("other", &[7; 4096][..])] {
            let file = dir.path().join(name);
            std::fs::write(&file, bytes).unwrap();
            assert!(past_logins(&file, 0, 10).is_err(), "{name}");
            assert_eq!(std::fs::read(&file).unwrap(), bytes);
        }
        assert!(past_logins(&dir.path().join("missing"), 0, 10).is_err());
        assert!(!dir.path().join("missing").exists());
    }
}
