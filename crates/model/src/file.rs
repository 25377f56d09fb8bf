//! Changes to files that matter.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{FileIntegrity, HostText, Process, Timestamp};

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
    /// Its content was cut off (truncate(2), or opened with O_TRUNC).
    Truncated,
    /// A hard or symbolic link was made: `other` is what it leads to.
    Linked,
    /// It now runs with the rights of its owner or its group (set-user-id, set-group-id).
    SetId,
    /// It now gives capabilities to whoever runs it (capabilities(7)).
    Capabilities,
    /// Everybody may now write to it.
    WorldWritable,
    /// Its time of modification was set back.
    Backdated,
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
            Self::Truncated => "truncated",
            Self::Linked => "linked",
            Self::SetId => "set the set-user-id or set-group-id bit of",
            Self::Capabilities => "gave capabilities to",
            Self::WorldWritable => "let everybody write to",
            Self::Backdated => "backdated",
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

/// What kind of file it is, by the place where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileClass {
    /// /etc/shadow and what else `[credentials] files` names. ATT&CK T1003.008.
    PasswordHashes,
    /// The SSH server's own keys. ATT&CK T1552.004.
    HostKey,
    /// A user's private key. ATT&CK T1552.004.
    PrivateKey,
    /// Access to a cloud provider (AWS, Google Cloud, Azure ...). ATT&CK T1552.001.
    CloudCredentials,
    /// Access to a container registry or cluster (Docker, Kubernetes). ATT&CK T1552.007.
    ContainerCredentials,
    /// Passwords and tokens of other programs: .netrc, .pgpass, .git-credentials ... ATT&CK T1552.001.
    ProgramCredentials,
    /// What a browser or password manager keeps. ATT&CK T1555.
    PasswordStore,
    /// What somebody typed into a shell. ATT&CK T1552.003, T1070.003.
    ShellHistory,
    /// A log. ATT&CK T1070.002.
    Log,
    /// A part of the system: programs, libraries, settings.
    System,
}

impl FileClass {
    /// In a sentence: "shell history".
    pub fn noun(self) -> &'static str {
        match self {
            Self::PasswordHashes => "password file",
            Self::HostKey => "SSH host key",
            Self::PrivateKey => "private key",
            Self::CloudCredentials => "cloud credentials",
            Self::ContainerCredentials => "container or cluster credentials",
            Self::ProgramCredentials => "credentials of a program",
            Self::PasswordStore => "password store",
            Self::ShellHistory => "shell history",
            Self::Log => "log",
            Self::System => "part of the system",
        }
    }

    /// Whether the system keeps it for the system's own use: only few programs ever have business there.
    pub fn is_system_secret(self) -> bool {
        match self {
            Self::PasswordHashes | Self::HostKey | Self::PrivateKey => true,
            Self::CloudCredentials
            | Self::ContainerCredentials
            | Self::ProgramCredentials
            | Self::PasswordStore
            | Self::ShellHistory
            | Self::Log
            | Self::System => false,
        }
    }
}

/// Attributes of a file at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileAttributes {
    /// Permission bits, set-user-id, set-group-id and sticky included; in JSON octal, `4755`.
    #[serde(with = "octal")]
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// When its content was last changed, as the file system says.
    pub modified: Timestamp,
    /// Capabilities that it gives to whoever runs it, one bit each (permitted set), if it has some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<u64>,
    /// It cannot be changed, or only be appended to.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub immutable: bool,
}

mod octal {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(mode: &u32, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{mode:04o}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
        u32::from_str_radix(&String::deserialize(deserializer)?, 8).map_err(D::Error::custom)
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
    /// What kind of file it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<FileClass>,
    /// The other path: what a link leads to, or the name that the file had before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<HostText>,
    /// Its attributes before, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes_before: Option<FileAttributes>,
    /// Its attributes after, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<FileAttributes>,
    /// How it is another than its baseline knows it, when it was compared with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integrity: Option<Box<FileIntegrity>>,
}

impl FileChange {
    /// Of which only the file and what happened to it is known.
    pub fn new(path: HostText, change: FileChangeKind) -> Self {
        Self {
            path,
            change,
            persistence: None,
            before: None,
            after: None,
            directory_by: None,
            class: None,
            other: None,
            attributes_before: None,
            attributes: None,
            integrity: None,
        }
    }
}
