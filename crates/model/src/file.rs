//! Changes to files that matter.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{HostText, Process};

/// What happened to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileChangeKind {
    /// It appeared.
    Created,
    /// Its content was written.
    Modified,
    /// It was removed.
    Deleted,
    /// Another file took its name, or it got another name.
    Renamed,
    /// Owner, mode or other attributes changed.
    Attributes,
    /// It was opened (only for files watched for reading).
    Opened,
}

impl FileChangeKind {
    /// As a verb: "modified".
    pub fn verb(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Modified => "modified",
            Self::Deleted => "deleted",
            Self::Renamed => "replaced",
            Self::Attributes => "changed the attributes of",
            Self::Opened => "opened",
        }
    }
}

/// Which start-up or access place a file belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PersistenceKind {
    /// crontab(5), cron.d, at jobs. ATT&CK T1053.003.
    Cron,
    /// systemd units and timers. ATT&CK T1543.002, T1053.006.
    SystemdUnit,
    /// authorized_keys. ATT&CK T1098.004.
    AuthorizedKeys,
    /// /etc/ld.so.preload. ATT&CK T1574.006.
    LdPreload,
    /// rc.local, init.d. ATT&CK T1037.004.
    RcScript,
    /// Shell profiles. ATT&CK T1546.004.
    ShellProfile,
    /// PAM configuration and modules. ATT&CK T1556.003.
    Pam,
    /// sudoers. ATT&CK T1548.003.
    Sudoers,
}

impl PersistenceKind {
    /// In a sentence: "cron job".
    pub fn noun(self) -> &'static str {
        match self {
            Self::Cron => "cron job",
            Self::SystemdUnit => "systemd unit",
            Self::AuthorizedKeys => "SSH authorized_keys",
            Self::LdPreload => "ld.so.preload",
            Self::RcScript => "start-up script",
            Self::ShellProfile => "shell profile",
            Self::Pam => "PAM configuration",
            Self::Sudoers => "sudoers",
        }
    }
}

/// One change to one file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileChange {
    /// Full path.
    pub path: HostText,
    /// What happened.
    pub change: FileChangeKind,
    /// Which persistence place it is, if one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence: Option<PersistenceKind>,
    /// Content hash (BLAKE3, hex) before, when known.
    #[serde(default)]
    pub before: Option<String>,
    /// Content hash (BLAKE3, hex) after, when known.
    #[serde(default)]
    pub after: Option<String>,
    /// Who made its directory a moment before. The file was found in it: who wrote it was not seen, another child of the same
    /// parent perhaps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory_by: Option<Arc<Process>>,
}
