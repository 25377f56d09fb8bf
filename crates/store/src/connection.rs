//! SQLite opens whatever lies at a database's path and waits for ever on a pipe: nothing but plain files are given to it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, ffi};

/// A database and what lies beside it: its two kinds of logs and their index.
const FILES: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// Opens a database as `flags` say.
///
/// # Errors
/// As SQLite; as [`look`].
pub(crate) fn open(file: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    look(file)?;
    Connection::open_with_flags(file, flags)
}

/// Whether what is there may be opened; nothing need be there.
///
/// # Errors
/// As of a file that cannot be opened when it, or what belongs to it, is a pipe, a directory or a device.
pub(crate) fn look(file: &Path) -> rusqlite::Result<()> {
    for suffix in FILES {
        let mut name = OsString::from(file);
        name.push(suffix);
        let part = PathBuf::from(name);
        if part.metadata().is_ok_and(|found| !found.is_file()) {
            let what = format!("{} is not a regular file", part.display().to_string().escape_debug());
            return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CANTOPEN), Some(what)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::ledger::Ledger;

    fn make_pipe(at: &Path) {
        assert!(std::process::Command::new("mkfifo").arg(at).status().unwrap().success());
    }

    #[test]
    fn a_pipe_in_the_place_of_a_database_is_waited_for_by_nobody() {
        let now = chrono::Utc::now();
        for suffix in FILES {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("some.db");
            if !suffix.is_empty() {
                fs::write(&path, "").unwrap();
            }
            make_pipe(&dir.path().join(format!("some.db{suffix}")));
            for flags in [OpenFlags::SQLITE_OPEN_READ_ONLY, OpenFlags::default()] {
                let refused = open(&path, flags).unwrap_err().to_string();
                assert!(refused.contains(&format!("some.db{suffix} is not a regular file")), "{refused}");
            }
        }
        // The record of actions is kept in memory then, and says so; the log is read by nobody who waits.
        for name in ["ledger.db", "ledger.db-wal"] {
            let dir = tempfile::tempdir().unwrap();
            drop(Ledger::open(dir.path(), now).unwrap());
            let _ = fs::remove_file(dir.path().join(name));
            make_pipe(&dir.path().join(name));
            let told = Ledger::open(dir.path(), now).unwrap().trouble().unwrap();
            assert!(told.contains("is not a regular file"), "{name}: {told}");
            Ledger::verify_file(dir.path()).unwrap_err();
        }
    }
}
