//! A process: who it is beyond doubt, what it runs, and which services stand behind it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{HostText, Sha256, Timestamp};

/// One boot of one machine: the first 32 bits of `/proc/sys/kernel/random/boot_id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct BootId(pub u32);

/// A process beyond doubt, even after its pid is used again: boot, pid and start time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ProcessKey {
    /// The boot it lived in.
    pub boot: BootId,
    /// Its pid (thread group id) in our own pid namespace.
    pub pid: u32,
    /// When it started, in clock ticks since boot (field 22 of `/proc/PID/stat`, 100 per second: proc(5)).
    pub start: u64,
}

impl fmt::Display for ProcessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:08x}-{}-{}", self.boot.0, self.pid, self.start))
    }
}

/// A process key that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a process key: write it as BOOT-PID-START, for example 1f2e3d4c-812-40211 (the console and `events` show it)")]
pub struct KeyError(String);

impl FromStr for ProcessKey {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let fail = || KeyError(text.escape_debug().take(40).collect());
        let mut parts = text.split('-');
        let (Some(boot), Some(pid), Some(start), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(fail());
        };
        if boot.len() != 8 || !boot.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(fail());
        }
        Ok(Self {
            boot: BootId(u32::from_str_radix(boot, 16).map_err(|_| fail())?),
            pid: pid.parse().map_err(|_| fail())?,
            start: start.parse().map_err(|_| fail())?,
        })
    }
}

impl From<ProcessKey> for String {
    fn from(key: ProcessKey) -> Self {
        key.to_string()
    }
}

impl TryFrom<String> for ProcessKey {
    type Error = KeyError;
    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}

/// The file that a process executes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ExeFile {
    /// Device number as the kernel counts it (`major << 20 | minor`).
    pub device: u32,
    /// Inode number.
    pub inode: u64,
    /// It lives in memory only (memfd_create(2)).
    pub memfd: bool,
    /// Its last name was removed before it was executed.
    pub deleted: bool,
    /// When it was last changed in any way (ctime), in nanoseconds since 1970; 0 when not known. Device, inode and this
    /// moment name one content: nobody without the kernel's help can set it back.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub changed: i64,
    /// SHA-256 of its content, once it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
}

fn is_zero(value: &i64) -> bool {
    *value == 0
}

/// A variable of a program's environment that changes what it loads or runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// Its name: `LD_PRELOAD` ...
    pub name: HostText,
    /// Its value, cut when very long.
    pub value: HostText,
}

/// Inode numbers of namespaces, as in `/proc/PID/ns`; 0 when not known. The network's stands beside them as `netns`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Namespaces {
    /// Mounts (mount_namespaces(7)).
    pub mnt: u32,
    /// Process ids (pid_namespaces(7)).
    pub pid: u32,
    /// User ids (user_namespaces(7)).
    pub user: u32,
}

/// What kind of service a process is, as far as an attacker cannot hide it: being a service raises suspicion
/// of what grows below it, so a false claim only hurts the claimant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceRole {
    /// Serves HTTP: nginx, apache2, php-fpm ... (`policy.toml`, `[roles]`).
    WebServer,
    /// Keeps data: postgres, mysqld, redis-server ...
    Database,
    /// Moves mail: postfix, exim4, dovecot ...
    MailServer,
    /// Any other program that listens on TCP.
    NetworkService,
    /// The SSH daemon itself.
    SshServer,
    /// A session that a person opened: below sshd or login.
    LoginSession,
    /// cron, atd, anacron.
    Scheduler,
    /// dpkg, apt, rpm, dnf and what they run.
    PackageManager,
    /// containerd-shim, runc, conmon.
    ContainerRuntime,
    /// auditd, fail2ban, rsyslog ...: whoever ends one may want to hide.
    SecurityService,
    /// Bartizan itself.
    Agent,
}

impl ServiceRole {
    /// Whether strangers can talk to it: the roles from which an intrusion usually starts.
    pub fn is_network_facing(self) -> bool {
        matches!(self, Self::WebServer | Self::Database | Self::MailServer | Self::NetworkService)
    }

    /// In a sentence: "web server".
    pub fn noun(self) -> &'static str {
        match self {
            Self::WebServer => "web server",
            Self::Database => "database",
            Self::MailServer => "mail server",
            Self::NetworkService => "network service",
            Self::SshServer => "SSH server",
            Self::LoginSession => "login session",
            Self::Scheduler => "scheduler",
            Self::PackageManager => "package manager",
            Self::ContainerRuntime => "container runtime",
            Self::SecurityService => "security service",
            Self::Agent => "Bartizan",
        }
    }
}

/// One step up the family tree: a parent, or the same process before it executed another program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ancestor {
    /// Which process.
    pub key: ProcessKey,
    /// What it ran then.
    pub exe: HostText,
}

/// A service in the family tree. Kept at any depth: a thousand nested programs do not make it forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// What kind of service.
    pub role: ServiceRole,
    /// Which process.
    pub key: ProcessKey,
    /// What it ran.
    pub exe: HostText,
}

/// Where a process comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lineage {
    /// Nearest first, at most [`Lineage::SHOWN`].
    pub ancestors: Arc<[Ancestor]>,
    /// How many more stood above those.
    pub elided: u32,
    /// Services among all ancestors **and the process itself**, nearest first, one per role.
    pub roots: Arc<[Root]>,
}

impl Lineage {
    /// Ancestors kept by name; older ones are only counted.
    pub const SHOWN: usize = 16;

    /// The nearest service that strangers can talk to, the process itself included.
    pub fn network_facing(&self) -> Option<&Root> {
        self.roots.iter().find(|root| root.role.is_network_facing())
    }

    /// The nearest service of this role, the process itself included.
    pub fn root(&self, role: ServiceRole) -> Option<&Root> {
        self.roots.iter().find(|root| root.role == role)
    }
}

/// One process as it was when an event happened. Never changed afterwards: an exec makes a new one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Who it is.
    pub key: ProcessKey,
    /// Its pid, once more for readers of JSON.
    pub pid: u32,
    /// Its parent's pid when it started.
    pub ppid: u32,
    /// Its parent, when known.
    pub parent: Option<ProcessKey>,
    /// Path of the executable, resolved by the kernel (for a script: the interpreter).
    pub exe: HostText,
    /// The executable as a file.
    pub exe_file: ExeFile,
    /// Arguments, raw, with the program's own name first.
    pub argv: Vec<HostText>,
    /// More arguments existed than we kept.
    #[serde(default)]
    pub argv_truncated: bool,
    /// Working directory at exec.
    pub cwd: HostText,
    /// Real user id.
    pub uid: u32,
    /// Effective user id.
    pub euid: u32,
    /// The user's name, when the host has one for `uid`.
    pub user: Option<HostText>,
    /// Audit login user id: who logged in, whatever they became since (unset for daemons).
    pub loginuid: Option<u32>,
    /// Audit session id.
    pub session: Option<u32>,
    /// Effective capabilities, one bit each (capabilities(7)).
    pub capabilities: u64,
    /// Cgroup path or leaf name.
    pub cgroup: HostText,
    /// Container id, first 12 hex digits, when the cgroup names one.
    pub container: Option<String>,
    /// systemd unit, when the cgroup names one.
    pub unit: Option<String>,
    /// Inode of its network namespace; 0 when not known.
    pub netns: u32,
    /// Its other namespaces.
    #[serde(default)]
    pub namespaces: Namespaces,
    /// Its controlling terminal: `pts/3`, when it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tty: Option<HostText>,
    /// Variables that change what it loads or runs, as they were at exec.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<Variable>,
    /// The package that owns the executable, once it was looked up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<HostText>,
    /// Name of the container, when its runtime told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_name: Option<HostText>,
    /// Which of stdin (bit 0), stdout (1), stderr (2) is a socket.
    pub stdio_sockets: u8,
    /// When it was started or, after an exec, when it executed.
    pub since: Timestamp,
    /// Where it comes from.
    #[serde(with = "lineage_as_list")]
    pub lineage: Lineage,
}

impl Process {
    /// A process of which nothing but its name is known, since this moment.
    pub fn unknown(key: ProcessKey, since: Timestamp) -> Self {
        Self {
            key,
            pid: key.pid,
            ppid: 0,
            parent: None,
            exe: HostText::default(),
            exe_file: ExeFile::default(),
            argv: Vec::new(),
            argv_truncated: false,
            cwd: HostText::default(),
            uid: 0,
            euid: 0,
            user: None,
            loginuid: None,
            session: None,
            capabilities: 0,
            cgroup: HostText::default(),
            container: None,
            unit: None,
            netns: 0,
            namespaces: Namespaces::default(),
            tty: None,
            environment: Vec::new(),
            package: None,
            container_name: None,
            stdio_sockets: 0,
            since,
            lineage: Lineage::default(),
        }
    }

    /// The program's own name: the last part of `exe`.
    pub fn name(&self) -> String {
        self.exe.last_part().escaped()
    }

    /// The command line on one line, safe to show.
    pub fn command(&self) -> String {
        self.argv.iter().map(HostText::escaped).collect::<Vec<_>>().join(" ")
    }
}

/// The stable JSON form: `lineage` is the list of ancestors; what else is known stands in an object at its end
/// only when there is something to say.
mod lineage_as_list {
    use super::{Ancestor, Arc, Lineage, Root};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Step {
        Ancestor(Ancestor),
        Summary { elided: u32, roots: Vec<Root> },
    }

    pub(super) fn serialize<S: Serializer>(lineage: &Lineage, serializer: S) -> Result<S::Ok, S::Error> {
        let mut steps: Vec<Step> = lineage.ancestors.iter().cloned().map(Step::Ancestor).collect();
        if lineage.elided > 0 || !lineage.roots.is_empty() {
            steps.push(Step::Summary { elided: lineage.elided, roots: lineage.roots.to_vec() });
        }
        steps.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Lineage, D::Error> {
        let mut ancestors = Vec::new();
        let mut lineage = Lineage::default();
        for step in Vec::<Step>::deserialize(deserializer)? {
            match step {
                Step::Ancestor(ancestor) => ancestors.push(ancestor),
                Step::Summary { elided, roots } => (lineage.elided, lineage.roots) = (elided, Arc::from(roots)),
            }
        }
        lineage.ancestors = Arc::from(ancestors);
        Ok(lineage)
    }
}
