//! What a sensor saw of one process, before anything is known about its family.

use bartizan_model::{ExeFile, HostText, Namespaces, Variable};

/// Arguments kept of one process, in bytes, by every sensor: as much as `ARGV_FIRST` and `ARGV_MORE` in `bpf/events.h`.
pub const MAX_ARGV: usize = 32 << 10;

/// Who a process is at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Who {
    /// Its pid (thread group id) in the first pid namespace.
    pub pid: u32,
    /// When it started, in clock ticks since boot.
    pub start: u64,
    /// The pid of its parent; for a fork, of its creator.
    pub ppid: u32,
    /// When the parent started; absent when the sensor cannot tell.
    pub parent_start: Option<u64>,
    /// The moment, in nanoseconds since boot (`CLOCK_BOOTTIME`).
    pub at: u64,
    /// Real user id.
    pub uid: u32,
    /// Effective user id.
    pub euid: u32,
    /// Audit login user id, when set.
    pub loginuid: Option<u32>,
    /// Audit session id, when set.
    pub session: Option<u32>,
    /// Effective capabilities, one bit each.
    pub capabilities: u64,
    /// Inode of its network namespace; 0 when not known.
    pub netns: u32,
    /// Its other namespaces.
    pub namespaces: Namespaces,
    /// The kernel already treats it, and everything below it, as urgent.
    pub urgent: bool,
}

/// What a process runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Image {
    /// Path of the executable; `memfd:NAME` for one in memory, `[NAME]` for a thread of the kernel.
    pub exe: HostText,
    /// The executable as a file.
    pub exe_file: ExeFile,
    /// Arguments, at most [`MAX_ARGV`] bytes of them.
    pub argv: Vec<HostText>,
    /// More arguments existed.
    pub argv_truncated: bool,
    /// Variables that change what is loaded or run ([`super::environment`]).
    pub environment: Vec<Variable>,
    /// Controlling terminal: `pts/3`.
    pub tty: Option<HostText>,
    /// Working directory.
    pub cwd: HostText,
    /// Cgroup path, from the root of its hierarchy.
    pub cgroup: HostText,
    /// Which of fds 0, 1, 2 are sockets: one bit each.
    pub stdio_sockets: u8,
    /// Everything above is as the kernel had it.
    pub complete: bool,
}

/// Splits an argument area as the kernel keeps it: strings that each end with NUL. The last one may be cut.
pub(super) fn split_argv(area: &[u8]) -> Vec<HostText> {
    if area.is_empty() {
        return Vec::new();
    }
    area.strip_suffix(b"\0").unwrap_or(area).split(|byte| *byte == 0).map(HostText::from).collect()
}

/// Audit ids are "unset" as all ones (include/linux/audit.h).
pub(super) fn audit_id(raw: u32) -> Option<u32> {
    (raw != u32::MAX).then_some(raw)
}

/// Clock ticks of 10 ms (`USER_HZ` is 100 on every architecture we serve) from nanoseconds, rounded as
/// `/proc/PID/stat` rounds.
pub fn ticks(nanoseconds: u64) -> u64 {
    nanoseconds / 10_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_arguments_stay_arguments() {
        assert_eq!(split_argv(b"a\0\0b\0"), ["a", "", "b"].map(HostText::from));
        assert_eq!(split_argv(b"a\0cut"), ["a", "cut"].map(HostText::from));
        assert_eq!(split_argv(b"\0"), [HostText::default()]);
        assert!(split_argv(b"").is_empty());
    }
}
