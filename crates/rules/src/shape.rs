//! For which records an event stands.

use bartizan_model::{EventKind, FileChangeKind, PrivilegeKind, UserChangeKind};

use super::Route;

/// What kind of record one is, beside its route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Of Sigma's own taxonomy.
    Plain(Route),
    Execve,
    Syscall(&'static str),
    Path,
    Cwd,
    Account(&'static str),
}

impl Shape {
    pub(crate) fn route(self) -> Route {
        match self {
            Self::Plain(route) => route,
            Self::Execve | Self::Syscall(_) | Self::Path | Self::Cwd | Self::Account(_) => Route::Auditd,
        }
    }
}

/// The records for which an event stands; none: no rule can be about it.
pub(crate) fn shapes(kind: &EventKind) -> &'static [Shape] {
    use Shape::{Account, Cwd, Execve, Path, Plain, Syscall};
    match kind {
        EventKind::Exec => &[Plain(Route::ProcessCreation), Plain(Route::Text), Execve, Syscall("execve"), Path, Cwd],
        EventKind::Connect { .. } => &[Plain(Route::NetworkConnection), Syscall("connect")],
        EventKind::FileChange { file } | EventKind::PersistenceChange { file } => of_change(file.change),
        EventKind::FileOpen { .. } => of_change(FileChangeKind::Opened),
        EventKind::PrivilegeUse { privilege } => call(privilege.what),
        EventKind::UserChange { account } => match account.change {
            UserChangeKind::Added => &[Account("ADD_USER")],
            UserChangeKind::Removed => &[Account("DEL_USER")],
            UserChangeKind::BecameRoot | UserChangeKind::JoinedPrivilegedGroup | UserChangeKind::PasswordChanged => &[],
        },
        EventKind::Fork
        | EventKind::Exit { .. }
        | EventKind::Accept { .. }
        | EventKind::Close { .. }
        | EventKind::Listen { .. }
        | EventKind::ContainerStart { .. }
        | EventKind::ContainerStop { .. }
        | EventKind::LoginAccepted { .. }
        | EventKind::LoginFailed { .. }
        | EventKind::WebAttack { .. }
        | EventKind::Alarm { .. }
        | EventKind::Budget { .. }
        | EventKind::Loss { .. } => &[],
    }
}

fn of_change(change: FileChangeKind) -> &'static [Shape] {
    use Shape::{Path, Plain};
    match change {
        FileChangeKind::Created => &[Plain(Route::FileEvent), Path],
        FileChangeKind::Modified => &[Plain(Route::FileEvent), Plain(Route::FileChange), Path],
        FileChangeKind::Renamed => &[Plain(Route::FileEvent), Plain(Route::FileRename), Path],
        FileChangeKind::Deleted => &[Plain(Route::FileDelete), Path],
        FileChangeKind::Linked => &[Plain(Route::FileEvent), Path],
        FileChangeKind::Attributes
        | FileChangeKind::Truncated
        | FileChangeKind::SetId
        | FileChangeKind::Capabilities
        | FileChangeKind::WorldWritable
        | FileChangeKind::Backdated => &[Plain(Route::FileChange), Path],
        FileChangeKind::Opened => &[Plain(Route::FileAccess), Path],
    }
}

fn call(what: PrivilegeKind) -> &'static [Shape] {
    use Shape::Syscall;
    match what {
        PrivilegeKind::Ptrace => &[Syscall("ptrace")],
        PrivilegeKind::SetUid => &[Syscall("setuid")],
        PrivilegeKind::CapabilityGain => &[Syscall("capset")],
        PrivilegeKind::ModuleLoad => &[Syscall("finit_module")],
        PrivilegeKind::Namespace => &[Syscall("unshare")],
        PrivilegeKind::Mount => &[Syscall("mount")],
        PrivilegeKind::Bpf => &[Syscall("bpf")],
        PrivilegeKind::IoUring => &[Syscall("io_uring_setup")],
        PrivilegeKind::Kill => &[Syscall("kill")],
        PrivilegeKind::FalseName => &[Syscall("prctl")],
        PrivilegeKind::KernelSetting => &[],
    }
}
