//! A fact from the host: the one schema that every sensor speaks.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Alarm, Container, EventId, FileChange, Flow, HostText, Login, Process, ProcessKey, Timestamp, Traffic, WebAttack};

/// Which sensor saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// eBPF programs in the kernel.
    Ebpf,
    /// Netlink process connector.
    ProcessConnector,
    /// sock_diag polling.
    SockDiag,
    /// Reading /proc.
    Procfs,
    /// fanotify.
    Fanotify,
    /// inotify, through the notify library.
    Inotify,
    /// Comparing account files.
    Accounts,
    /// The interface of a container runtime.
    Containers,
    /// Bartizan about itself.
    Agent,
    /// Logs of the services of this host.
    Logs,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// exit(2) status, 0 to 255, when it exited by itself.
    pub code: Option<u8>,
    /// Signal number, when one ended it.
    pub signal: Option<u8>,
}

/// A use of privilege.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Privilege {
    /// Which.
    pub what: PrivilegeKind,
    /// On whom, when it has an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<ProcessKey>,
    /// What the object ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_exe: Option<HostText>,
    /// Real user id of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_uid: Option<u32>,
    /// The effective user id it now has, for a change of identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_uid: Option<u32>,
    /// Capabilities it has now and had not before, one bit each (capabilities(7)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gained: Option<u64>,
    /// The number of the signal, when one was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<u8>,
    /// What exactly, in the kernel's words: the module's name, the mount point, the kind of program ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<HostText>,
}

impl Privilege {
    /// A use of this kind about which nothing else is known.
    pub fn new(what: PrivilegeKind) -> Self {
        Self { what, target: None, target_exe: None, target_uid: None, new_uid: None, gained: None, signal: None, detail: None }
    }
}

impl fmt::Display for Privilege {
    /// In a few words, safe to show: `became uid 0`, `signal 9 to /usr/sbin/auditd (pid 612)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = || match (&self.target, &self.target_exe) {
            (Some(key), Some(exe)) => format!("{exe} (pid {})", key.pid),
            (Some(key), None) => format!("pid {}", key.pid),
            (None, _) => "an unknown process".to_owned(),
        };
        let detail = || self.detail.as_ref().map(|detail| format!(" {detail}")).unwrap_or_default();
        match self.what {
            PrivilegeKind::Ptrace => write!(f, "ptrace of {}", target()),
            PrivilegeKind::SetUid => match self.new_uid {
                Some(uid) => write!(f, "became uid {uid}"),
                None => f.write_str("became another user"),
            },
            PrivilegeKind::CapabilityGain => write!(f, "gained capabilities {:#x}", self.gained.unwrap_or_default()),
            PrivilegeKind::ModuleLoad => write!(f, "loads the kernel module{}", detail()),
            PrivilegeKind::Namespace => write!(f, "other namespaces:{}", detail()),
            PrivilegeKind::Mount => f.write_str(detail().trim_start()),
            PrivilegeKind::Bpf => write!(f, "loaded a BPF program:{}", detail()),
            PrivilegeKind::IoUring => f.write_str("set up an io_uring"),
            PrivilegeKind::KernelSetting => write!(f, "set{}", detail()),
            PrivilegeKind::FalseName => write!(f, "calls itself{}", detail()),
            PrivilegeKind::Kill => write!(f, "signal {} to {}", self.signal.unwrap_or_default(), target()),
        }
    }
}

/// Kinds of privilege use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrivilegeKind {
    /// Attached to another process (ptrace(2)).
    Ptrace,
    /// Changed its user id.
    SetUid,
    /// Has capabilities that it had not before its exec.
    CapabilityGain,
    /// Loaded a kernel module (init_module(2)).
    ModuleLoad,
    /// Made or entered another mount, pid, user or network namespace (unshare(2), setns(2), clone(2)).
    Namespace,
    /// Changed what is mounted (mount(2), move_mount(2)).
    Mount,
    /// Loaded a program into the kernel (bpf(2)).
    Bpf,
    /// Set up an io_uring (io_uring_setup(2)), which many sensors cannot follow.
    IoUring,
    /// Sent a signal that ends or stops a security service.
    Kill,
    /// Wrote a setting of the kernel (sysctl(8)) on which the safety of the host depends.
    KernelSetting,
    /// Took the name of a kernel thread (prctl(2), PR_SET_NAME).
    FalseName,
}

/// A change to the accounts of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserChange {
    /// Account name.
    pub user: HostText,
    /// User id, when the account has one.
    pub uid: Option<u32>,
    /// What changed.
    pub change: UserChangeKind,
    /// The group concerned, for group changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<HostText>,
}

/// Kinds of account change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UserChangeKind {
    /// A new account.
    Added,
    /// An account is gone.
    Removed,
    /// Its user id is now 0.
    BecameRoot,
    /// It entered a group that grants root (sudo, wheel, admin, docker ...).
    JoinedPrivilegedGroup,
    /// Its password or lock state changed.
    PasswordChanged,
}

/// Events that a hop could not deliver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// Where: `kernel-ring`, `lane`, `store` ...
    pub hop: String,
    /// How many since the last report.
    pub count: u64,
    /// Nothing was missing up to this moment; absent in old records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Nothing is missing since this moment; absent in old records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
    /// How many of each kind, where the hop can tell.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kinds: BTreeMap<String, u64>,
}

impl Loss {
    /// So many at this hop, between unknown moments.
    pub fn new(hop: &str, count: u64) -> Self {
        Self { hop: hop.to_owned(), count, from: None, to: None, kinds: BTreeMap::new() }
    }
}

/// Bartizan gave up some of its own work to stay within its budget, or took it up again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetChange {
    /// How many steps are given up now; 0 is everything in service.
    pub level: u8,
    /// What is given up now, in words.
    pub given_up: Vec<String>,
    /// Which limit forced it, or that there is room again.
    pub why: String,
}

/// The unit of systemd for which somebody listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListeningUnit {
    /// Its name: `ssh.socket`, `nginx.service`.
    pub name: String,
    /// It came with a package or is enabled, and what listens is what it is there to start.
    pub installed: bool,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum EventKind {
    /// A program was executed; the process is the new image.
    #[serde(rename = "process.exec")]
    Exec,
    /// A process was created; the process is the child.
    #[serde(rename = "process.fork")]
    Fork,
    /// A process ended.
    #[serde(rename = "process.exit")]
    Exit {
        /// How.
        exit: Exit,
    },
    /// An outbound connection was begun.
    #[serde(rename = "net.connect")]
    Connect {
        /// Between whom.
        net: Flow,
    },
    /// A socket began to listen.
    #[serde(rename = "net.listen")]
    Listen {
        /// Where.
        net: Flow,
        /// The unit of systemd for which it listens, where that was looked up.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unit: Option<ListeningUnit>,
    },
    /// Somebody from outside was connected to a listener; the process is the one that listens.
    #[serde(rename = "net.accept")]
    Accept {
        /// Between whom.
        net: Flow,
    },
    /// A connection ended.
    #[serde(rename = "net.close")]
    Close {
        /// Between whom.
        net: Flow,
        /// How much it carried.
        traffic: Traffic,
    },
    /// A watched file changed.
    #[serde(rename = "file.change")]
    FileChange {
        /// Which and how.
        file: FileChange,
    },
    /// A credential file was opened.
    #[serde(rename = "file.open")]
    FileOpen {
        /// Which.
        file: FileChange,
    },
    /// A start-up or access place changed.
    #[serde(rename = "persistence.change")]
    PersistenceChange {
        /// Which and how.
        file: FileChange,
    },
    /// An account changed.
    #[serde(rename = "user.change")]
    UserChange {
        /// Which and how.
        account: UserChange,
    },
    /// Privilege was used.
    #[serde(rename = "privilege.use")]
    PrivilegeUse {
        /// Which.
        privilege: Privilege,
    },
    /// A container was started, or found running.
    #[serde(rename = "container.start")]
    ContainerStart {
        /// Which.
        container: Container,
    },
    /// A container ended.
    #[serde(rename = "container.stop")]
    ContainerStop {
        /// Which.
        container: Container,
    },
    /// Somebody was let in, as a log says.
    #[serde(rename = "auth.ok")]
    LoginAccepted {
        /// Who and whence.
        auth: Login,
    },
    /// Somebody was refused, as a log says. Most failures are only counted: one stands for those before it.
    #[serde(rename = "auth.fail")]
    LoginFailed {
        /// Who and whence.
        auth: Login,
    },
    /// A request to a web server about which a detector speaks, as its log says.
    #[serde(rename = "web.attack")]
    WebAttack {
        /// What and whence.
        web: WebAttack,
    },
    /// Something was done to Bartizan itself, or by it more than it should.
    #[serde(rename = "agent.alarm")]
    Alarm {
        /// What.
        alarm: Alarm,
    },
    /// Bartizan's own cost met its limit.
    #[serde(rename = "agent.budget")]
    Budget {
        /// What follows from it.
        budget: BudgetChange,
    },
    /// Events were lost.
    #[serde(rename = "sensor.loss")]
    Loss {
        /// Where and how many.
        loss: Loss,
    },
}

impl EventKind {
    /// The kind's stable name, as in JSON and on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Exec => "process.exec",
            Self::Fork => "process.fork",
            Self::Exit { .. } => "process.exit",
            Self::Connect { .. } => "net.connect",
            Self::Listen { .. } => "net.listen",
            Self::Accept { .. } => "net.accept",
            Self::Close { .. } => "net.close",
            Self::FileChange { .. } => "file.change",
            Self::FileOpen { .. } => "file.open",
            Self::PersistenceChange { .. } => "persistence.change",
            Self::UserChange { .. } => "user.change",
            Self::PrivilegeUse { .. } => "privilege.use",
            Self::ContainerStart { .. } => "container.start",
            Self::ContainerStop { .. } => "container.stop",
            Self::LoginAccepted { .. } => "auth.ok",
            Self::LoginFailed { .. } => "auth.fail",
            Self::WebAttack { .. } => "web.attack",
            Self::Alarm { .. } => "agent.alarm",
            Self::Budget { .. } => "agent.budget",
            Self::Loss { .. } => "sensor.loss",
        }
    }

    /// Every name that [`EventKind::name`] can give.
    pub const NAMES: [&'static str; 20] = [
        "process.exec", "process.fork", "process.exit", "net.connect", "net.listen", "file.change", "file.open", "persistence.change",
        "user.change", "privilege.use", "container.start", "container.stop", "auth.ok", "auth.fail", "web.attack", "agent.alarm",
        "agent.budget", "sensor.loss", "net.accept", "net.close",
    ];
}

/// A fact from the host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its name, unique on this host for ever.
    pub id: EventId,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
    /// Who did it, when known.
    pub process: Option<Arc<Process>>,
    /// Which sensor saw it.
    pub source: Source,
    /// Every field is as the kernel had it; false when something could not be read or was cut.
    pub complete: bool,
}

impl Event {
    /// Who did it, or, where nobody saw that, who stands next to it: the maker of the directory in which a file was found.
    pub fn behind(&self) -> Option<&Arc<Process>> {
        let mut behind = self.process.as_ref();
        if let EventKind::FileChange { file } | EventKind::FileOpen { file } | EventKind::PersistenceChange { file } = &self.kind {
            behind = behind.or(file.directory_by.as_ref());
        }
        behind
    }

    /// About how many bytes it takes as JSON, never much less: whoever starts a program chooses how many.
    pub fn weight(&self) -> usize {
        let process = self.behind().map(|process| {
            let arguments: usize = process.argv.iter().map(|argument| 4 * argument.as_bytes().len() + 4).sum();
            let environment: usize = process.environment.iter().map(|variable| 4 * variable.value.as_bytes().len() + 80).sum();
            arguments + environment + 120 * (process.lineage.ancestors.len() + process.lineage.roots.len())
        });
        1200 + process.unwrap_or_default()
    }

    /// Most weight of one answer; more is asked for page by page.
    pub const PAGE: usize = 16 << 20;
}
