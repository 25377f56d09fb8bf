//! What can go wrong with the archive: what failed, on which file, why, and what to do.

use std::path::PathBuf;

use bartizan_model::EventId;

/// Why something could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The data directory cannot be used.
    #[error("{}: cannot be used: {why}; {}", path.display(), what_to_do_about_a_directory(why))]
    Directory {
        /// Which.
        path: PathBuf,
        /// What the system said.
        why: std::io::Error,
    },
    /// A later version of this program wrote the file. It is left as it is.
    #[error("{}: has version {found}, this program knows up to {known}: install the newer bartizan, or move the file away to begin anew", path.display())]
    Newer {
        /// Which.
        path: PathBuf,
        /// Version of the file.
        found: i64,
        /// Newest version known.
        known: i64,
    },
    /// The database refused.
    #[error("{}: {what} failed: {why}; {}", path.display(), what_to_do(why))]
    Database {
        /// Which.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the database said.
        why: rusqlite::Error,
    },
    /// The tables cannot be brought up to date.
    #[error("{}: cannot be brought up to version {known}: {why}; move the file away to begin anew", path.display())]
    Migration {
        /// Which.
        path: PathBuf,
        /// Newest version known.
        known: i64,
        /// Why.
        why: String,
    },
    /// The key that seals the baseline of files is not there.
    #[error("{}: is missing, and without it the baseline cannot be checked; put it back from a backup, or move integrity.db away and make a new baseline with `bartizan fim scan --baseline`", path.display())]
    NoKey {
        /// Which.
        path: PathBuf,
    },
    /// The baseline of files was changed by somebody who has not its key.
    #[error("{}: was changed by something other than Bartizan: {why}; compare this host with a backup that you trust, move the file away, and make a new baseline with `bartizan fim scan --baseline`", path.display())]
    Forged {
        /// Which.
        path: PathBuf,
        /// What does not fit.
        why: String,
    },
    /// The archive is not open: its disk refuses, or it is not opened yet.
    #[error("the archive cannot be read now: events and history of earlier runs are not shown; `bartizan doctor` says why")]
    Away,
    /// Others are asking, and none of them was done in time.
    #[error(
        "the archive is busy with other questions and answered none of them within {seconds} s; ask again, or for less with --since or --kind"
    )]
    Busy {
        /// How long was waited.
        seconds: u64,
    },
    /// An event is larger than any block.
    #[error("{event} takes more than {most} bytes and is not kept; please report what made it")]
    TooLarge {
        /// Which.
        event: EventId,
        /// The most that is kept.
        most: usize,
    },
    /// A record cannot be written as JSON.
    #[error("a record cannot be written as JSON: {0}; please report this")]
    Encode(#[from] serde_json::Error),
}

impl StoreError {
    /// Whether the file itself is damaged, as opposed to the disk being full or the file being locked.
    pub fn is_corruption(&self) -> bool {
        matches!(self, Self::Database { why, .. } if is_corruption(why))
    }

    /// Whether the baseline of files is not what Bartizan wrote: edited, damaged, or without its key.
    pub fn is_broken_baseline(&self) -> bool {
        matches!(self, Self::Forged { .. } | Self::NoKey { .. }) || self.is_corruption()
    }

    /// Whether the same may work later: the disk is full or fails, or somebody else holds the file.
    pub fn may_pass(&self) -> bool {
        use rusqlite::ErrorCode as Code;
        let Self::Database { why, .. } = self else { return matches!(self, Self::Directory { .. } | Self::Away) };
        let code = why.sqlite_error_code();
        matches!(
            code,
            Some(Code::DiskFull | Code::DatabaseBusy | Code::DatabaseLocked | Code::SystemIoFailure | Code::CannotOpen | Code::ReadOnly)
        )
    }
}

pub(super) fn is_corruption(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase))
}

/// What a person can do about a directory that refuses.
fn what_to_do_about_a_directory(why: &std::io::Error) -> &'static str {
    match why.kind() {
        std::io::ErrorKind::ReadOnlyFilesystem => "mount its file system read-write",
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => "free space and inodes on its disk",
        _ => "run as root or name another directory with --data DIR",
    }
}

/// What a person can do about a database that refuses.
pub(super) fn what_to_do(error: &rusqlite::Error) -> &'static str {
    use rusqlite::ErrorCode as Code;
    match error.sqlite_error_code() {
        Some(Code::DiskFull) => "free space on its disk",
        Some(Code::ReadOnly) => "mount its file system read-write",
        Some(Code::DatabaseBusy | Code::DatabaseLocked) => "end the program that holds it (`fuser -v` on the file names it)",
        Some(Code::CannotOpen) => "see that its directory exists and is writable, and that its file system has inodes left (`df -i`)",
        Some(Code::SystemIoFailure) => "check its disk: free space (`df`), inodes (`df -i`), errors (`dmesg`)",
        Some(Code::NotADatabase | Code::DatabaseCorrupt) => "it is damaged: restore it from a backup, or move it away to begin anew",
        _ => "check free space and permissions",
    }
}
