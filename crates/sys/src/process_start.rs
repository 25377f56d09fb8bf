//! When a process started, for one that a pidfd holds: proof that a pid still means who we think.

use std::os::fd::{AsRawFd, OwnedFd};

use super::process_stat::Stat;

/// Field 22 of `/proc/PID/stat`, in clock ticks since boot, if the process that `pidfd` holds is still there
/// (a zombie is): only then is the pid its own and no later process's.
pub(super) fn of(pid: u32, pidfd: &OwnedFd) -> Option<u64> {
    let start = just_now(pid)?;
    // SAFETY: signal 0 sends nothing and only asks whether the process exists; no pointer is passed.
    let there = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), 0, std::ptr::null::<libc::siginfo_t>(), 0) } == 0;
    there.then_some(start)
}

/// The same for a process seen a moment ago, without proof by pidfd: within milliseconds no pid comes round again.
pub fn just_now(pid: u32) -> Option<u64> {
    Stat::read(pid).map(|stat| stat.start)
}
