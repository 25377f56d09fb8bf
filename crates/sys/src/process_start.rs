//! When a process started, for one that a pidfd holds: proof that a pid still means who we think.

use std::os::fd::{AsRawFd, OwnedFd};

/// Field 22 of `/proc/PID/stat`, in clock ticks since boot, if the process that `pidfd` holds is still there
/// (a zombie is): only then is the pid its own and no later process's.
pub(super) fn of(pid: u32, pidfd: &OwnedFd) -> Option<u64> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    // SAFETY: signal 0 sends nothing and only asks whether the process exists; no pointer is passed.
    let there = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), 0, std::ptr::null::<libc::siginfo_t>(), 0) } == 0;
    there.then(|| start_in(&stat)).flatten()
}

/// The same for a process seen a moment ago, without proof by pidfd: within milliseconds no pid comes round again.
pub fn just_now(pid: u32) -> Option<u64> {
    start_in(&std::fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// Field 22, counted after the last `)`: the name in field 2 may hold spaces and parentheses.
fn start_in(stat: &[u8]) -> Option<u64> {
    let end_of_name = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end_of_name + 1..)?).ok()?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_hostile_name_does_not_shift_the_fields() {
        let stat = b"7 (a) R 1 (x) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21";
        assert_eq!(super::start_in(stat), Some(4711));
    }
}
