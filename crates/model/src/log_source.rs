//! A log that is followed: how far, how well, and what keeps it from being read.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{HostText, Timestamp};

/// How a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogState {
    /// Read to its end, and heard of when there is more.
    Following,
    /// More is written than is read: lines wait in the file.
    Behind,
    /// There is no such file. It is read from its beginning once there is.
    Missing,
    /// It may not be opened.
    Unreadable,
    /// A directory, FIFO, device or socket.
    NotAFile,
    /// A link that somebody else than root or the owner of the file may have made.
    ForeignLink,
    /// It ended the process that reads logs again and again, and is tried again later.
    SetAside,
    /// It cannot be read now; what is wrong stands beside it.
    Failed,
    /// Its lines are read, and none of them is in the format that it is read in.
    NotUnderstood,
    /// Another source has the same lines, or the configuration says so.
    Off,
}

impl LogState {
    /// In a table.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Following => "following",
            Self::Behind => "behind",
            Self::Missing => "missing",
            Self::Unreadable => "unreadable",
            Self::NotAFile => "not a file",
            Self::ForeignLink => "foreign link",
            Self::SetAside => "set aside",
            Self::Failed => "failed",
            Self::NotUnderstood => "not understood",
            Self::Off => "off",
        }
    }

    /// Whether lines may be written there that nobody reads, and nobody wants it so.
    pub fn is_dead(self) -> bool {
        match self {
            Self::Missing | Self::Unreadable | Self::NotAFile | Self::ForeignLink => true,
            Self::SetAside | Self::Failed | Self::NotUnderstood => true,
            Self::Following | Self::Behind | Self::Off => false,
        }
    }

    /// Whether its lines are read.
    pub fn is_read(self) -> bool {
        matches!(self, Self::Following | Self::Behind)
    }
}

impl fmt::Display for LogState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.noun())
    }
}

/// A line that ended the process that reads logs twice, and is not looked at any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAsideLine {
    /// Where it begins in the file, in bytes; of a journal, in what was read since the agent began.
    pub offset: u64,
    /// When.
    pub at: Timestamp,
    /// What it did.
    pub why: String,
}

/// One source. Counts go on over restarts of the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSource {
    /// The file, or `journal`.
    pub name: HostText,
    /// How its lines are written.
    pub format: String,
    /// How it is.
    pub state: LogState,
    /// Lines read.
    pub lines: u64,
    /// Of them, those that a parser knew.
    pub parsed: u64,
    /// Those that none did.
    pub unparsed: u64,
    /// Those longer than 64 KiB, of which only the beginning was looked at.
    pub cut: u64,
    /// Records that came of them.
    pub records: u64,
    /// Bytes of holes that were passed over: nobody has written them (lseek(2), `SEEK_DATA`).
    #[serde(default)]
    pub skipped: u64,
    /// Bytes that are written and not read yet; unknown of a journal.
    pub lag: Option<u64>,
    /// When the last line was read.
    pub last_line: Option<Timestamp>,
    /// Beginnings of the last lines that no parser knew, at most three.
    pub samples: Vec<HostText>,
    /// Lines that are not looked at any more; the newest eight.
    pub set_aside: Vec<SetAsideLine>,
    /// How many in all.
    pub set_aside_count: u64,
    /// What went wrong, the last of it.
    pub trouble: Option<String>,
    /// How often something did.
    pub troubles: u64,
}

impl LogSource {
    /// The same without any of its lines.
    pub fn in_brief(&self) -> Self {
        Self { samples: Vec::new(), set_aside: Vec::new(), ..self.clone() }
    }
}
