//! Processes beyond doubt: a handle that stays with one process although its pid may be used again.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{self, Pid, PidfdFlags, PidfdGetfdFlags, Signal};

use super::clock::boot_id;
use super::proc_files::{self, pids};
use super::process_stat::Stat;
use super::readiness::readable;
use bartizan_model::ProcessKey;

/// The most processes that one look at /proc takes in (pid_max is 4,194,304 at most).
const MAX_PROCESSES: usize = 1 << 20;

/// Why a process could not be taken hold of.
#[derive(Debug, thiserror::Error)]
pub enum PidError {
    /// It has ended; its pid may belong to another by now.
    #[error("process {0} has ended")]
    Gone(ProcessKey),
    /// The kernel refused.
    #[error("could not {what} process {key}: {why}")]
    Kernel {
        /// What was tried.
        what: &'static str,
        /// On whom.
        key: ProcessKey,
        /// errno in words.
        why: io::Error,
    },
}

/// The key of a living process.
pub fn key_of(pid: u32) -> Option<ProcessKey> {
    Stat::read(pid).filter(|stat| !stat.is_dead()).map(|stat| stat.key())
}

/// Whether SIGSTOP waits for the process (`ShdPnd` in /proc/PID/status, one bit a signal from 1).
pub fn has_stop_pending(pid: u32) -> bool {
    let status = proc_files::text(pid, "status").unwrap_or_default();
    let pending = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("ShdPnd:")?.trim(), 16).ok());
    pending.is_some_and(|bits| bits & (1 << (libc::SIGSTOP - 1)) != 0)
}

/// Everything that lives now, ended ones left out.
///
/// # Errors
/// When /proc cannot be read.
pub fn everything() -> io::Result<Vec<Stat>> {
    Ok(pids()?.into_iter().filter_map(Stat::read).filter(|stat| !stat.is_dead()).take(MAX_PROCESSES).collect())
}

/// A hold on one process.
#[derive(Debug)]
pub struct PidFd {
    fd: OwnedFd,
    key: ProcessKey,
}

impl PidFd {
    /// Takes hold of exactly this process.
    ///
    /// # Errors
    /// [`PidError::Gone`] when it has ended, also when its pid belongs to another now.
    pub fn open(key: ProcessKey) -> Result<Self, PidError> {
        let pid = i32::try_from(key.pid).ok().filter(|_| key.boot == boot_id()).and_then(Pid::from_raw).ok_or(PidError::Gone(key))?;
        let fd = process::pidfd_open(pid, PidfdFlags::empty()).map_err(|why| match why {
            Errno::SRCH => PidError::Gone(key),
            why => PidError::Kernel { what: "take hold of", key, why: why.into() },
        })?;
        let held = Self { fd, key };
        // The start time is read after the hold and the hold is alive after that: it is of this very process.
        match Stat::read(key.pid) {
            Some(stat) if stat.start == key.start && !stat.is_dead() && held.is_alive() => Ok(held),
            _ => Err(PidError::Gone(key)),
        }
    }

    /// Sends a signal to it and to nobody else.
    ///
    /// # Errors
    /// [`PidError::Gone`] when it has ended.
    pub fn signal(&self, signal: i32) -> Result<(), PidError> {
        let sent = Signal::from_named_raw(signal).ok_or(Errno::INVAL).and_then(|signal| process::pidfd_send_signal(&self.fd, signal));
        sent.map_err(|why| match why {
            Errno::SRCH => PidError::Gone(self.key),
            why => PidError::Kernel { what: "signal", key: self.key, why: why.into() },
        })
    }

    /// A descriptor of ours for what one of its descriptors stands for (pidfd_getfd(2), Linux 5.6).
    ///
    /// # Errors
    /// When it has none of this number, or the kernel refuses.
    pub fn share(&self, descriptor: i32) -> io::Result<OwnedFd> {
        Ok(process::pidfd_getfd(&self.fd, descriptor, PidfdGetfdFlags::empty())?)
    }

    /// Whether it still runs (or is stopped); an ended one that nobody reaped does not.
    pub fn is_alive(&self) -> bool {
        !self.wait_gone(Duration::ZERO)
    }

    /// Waits until it has ended; `false` when it has not by then.
    pub fn wait_gone(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            // Interrupted, or no memory for the wait: as long as there is time it is tried again.
            let is_gone = readable(&[self.fd.as_fd()], left).unwrap_or(false);
            if is_gone || left.is_zero() {
                return is_gone;
            }
        }
    }
}

impl AsFd for PidFd {
    /// Readable when the process has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Grows a set of processes by everything that belongs below it: children, and orphans that still carry the
/// process group or session of a member (their parent may have ended between two looks).
pub fn grow(members: &mut std::collections::BTreeSet<u32>, world: &[Stat]) {
    loop {
        let before = members.len();
        for stat in world {
            let below = members.contains(&stat.ppid) || members.contains(&stat.group) || members.contains(&stat.session);
            if below && stat.pid > 1 && !stat.is_kernel_thread() {
                members.insert(stat.pid);
            }
        }
        if members.len() == before {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn who_ends_a_thread_of_several_lives_on() {
        // The first thread ends, another lives on: the process does.
        // SAFETY: the child makes one thread and ends its first one; the second one ends it.
        let child = unsafe { libc::fork() };
        if child == 0 {
            std::thread::spawn(|| std::thread::sleep(Duration::from_secs(20)));
            // SAFETY: ends this thread alone.
            unsafe { libc::syscall(libc::SYS_exit, 0) };
        }
        let pid = u32::try_from(child).unwrap();
        let begun = Instant::now();
        while Stat::read(pid).unwrap().state != b'Z' && begun.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let seen = (Stat::read(pid).unwrap().state, key_of(pid).is_some(), everything().unwrap().iter().any(|stat| stat.pid == pid));
        // SAFETY: ends and reaps the child just made.
        unsafe {
            libc::kill(child, libc::SIGKILL);
            libc::waitpid(child, std::ptr::null_mut(), 0);
        }
        assert_eq!(seen, (b'Z', true, true));
    }

    #[test]
    fn only_the_very_process_is_signalled() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let key = key_of(child.id()).unwrap();
        let other = ProcessKey { start: key.start + 1, ..key };
        assert!(matches!(PidFd::open(other), Err(PidError::Gone(_))));
        assert!(matches!(PidFd::open(ProcessKey { boot: bartizan_model::BootId(!key.boot.0), ..key }), Err(PidError::Gone(_))));
        let held = PidFd::open(key).unwrap();
        assert!(held.is_alive());
        held.signal(libc::SIGKILL).unwrap();
        assert!(held.wait_gone(Duration::from_secs(2)));
        assert!(matches!(PidFd::open(key), Err(PidError::Gone(_))), "an ended one that nobody reaped is gone");
        child.wait().unwrap();
        assert!(matches!(held.signal(libc::SIGCONT), Err(PidError::Gone(_))));
    }
}
