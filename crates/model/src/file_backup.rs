//! A copy kept of a file that decides who gets in, so that it can be put back.

use serde::{Deserialize, Serialize};

use super::{HostText, Timestamp};

/// One copy of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileBackup {
    /// Where the file lies.
    pub path: HostText,
    /// BLAKE3 of its content, 64 hex digits: the copy's name.
    pub copy: String,
    /// When the copy was made.
    pub at: Timestamp,
    /// Permission bits (chmod(2)).
    pub mode: u32,
    /// Owner's user id.
    pub uid: u32,
    /// Owner's group id.
    pub gid: u32,
    /// Length in bytes.
    pub bytes: u64,
    /// Whether the file holds something else now, or is gone.
    pub differs: bool,
}
