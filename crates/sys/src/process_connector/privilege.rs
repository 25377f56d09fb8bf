//! Changes of user id and ptrace attachments, as the process connector tells them.
//!
//! Kernels from 6.6 filter for us; on older ones every fork and exec comes too and is passed over here.

use std::io;
use std::time::Duration;

use super::ConnectorError;
use super::subscription::{Announcement, PTRACE, Subscription, UID};

/// Room for about 100,000 announcements while we are not running.
const RECEIVE_BYTES: usize = 8 << 20;
/// Batches of one drain, so that a flood cannot keep the caller from looking at anything else.
const MOST: usize = 64;

/// What was seen. Pids are thread group ids in the initial pid namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PrivilegeSeen {
    /// A process changed a user id.
    Uid {
        /// Which.
        pid: u32,
        /// Its effective user id now.
        euid: u32,
    },
    /// A process attached to another.
    Ptrace {
        /// Who attached.
        tracer: u32,
        /// To whom.
        tracee: u32,
    },
}

/// A subscription to those.
#[derive(Debug)]
pub struct PrivilegeEvents {
    subscription: Subscription,
    /// Losses told already.
    told: u64,
}

impl PrivilegeEvents {
    /// Subscribes to user id changes and ptrace alone, where the kernel can filter.
    ///
    /// # Errors
    /// Without `CAP_NET_ADMIN`, outside the initial namespaces, or without the connector (`CONFIG_PROC_EVENTS`).
    pub fn open() -> Result<Self, ConnectorError> {
        let mut subscription = Subscription::open(RECEIVE_BYTES)?;
        subscription.filter(UID | PTRACE)?;
        Ok(Self { subscription, told: 0 })
    }

    /// Waits until something is there, at most `timeout`. True when there is.
    ///
    /// # Errors
    /// When the kernel breaks the subscription.
    pub fn wait(&self, timeout: Duration) -> io::Result<bool> {
        self.subscription.wait(timeout)
    }

    /// Hands over what is there; returns how many announcements were lost since the last call. Where the kernel does not filter,
    /// forks and execs are among them.
    ///
    /// # Errors
    /// When the kernel breaks the subscription.
    pub fn drain(&mut self, take: &mut dyn FnMut(PrivilegeSeen)) -> io::Result<u64> {
        for _ in 0..MOST {
            if self.subscription.drain(|event| seen(event).into_iter().for_each(&mut *take))? == 0 {
                break;
            }
        }
        let (_, lost) = self.subscription.counters();
        Ok(lost.saturating_sub(std::mem::replace(&mut self.told, lost)))
    }
}

pub(super) fn seen(event: &Announcement<'_>) -> Option<PrivilegeSeen> {
    let word = |index| event.word(index);
    match event.what {
        // id_proc_event {process_pid, process_tgid, ruid, euid}
        UID => Some(PrivilegeSeen::Uid { pid: word(1)?, euid: word(3)? }),
        // ptrace_proc_event {process_pid, process_tgid, tracer_pid, tracer_tgid}; no tracer means it let go
        PTRACE if word(2)? != 0 => Some(PrivilegeSeen::Ptrace { tracer: word(3)?, tracee: word(1)? }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::Command;
    use std::time::Instant;

    use super::*;

    fn wait_for(events: &mut PrivilegeEvents, wanted: PrivilegeSeen) {
        let until = Instant::now() + Duration::from_secs(5);
        let mut all = Vec::new();
        while Instant::now() < until {
            events.wait(Duration::from_millis(100)).unwrap();
            events.drain(&mut |seen| all.push(seen)).unwrap();
            if all.contains(&wanted) {
                return;
            }
        }
        panic!("{wanted:?} was not seen, but {all:?}");
    }

    #[test]
    fn identity_changes_and_attachments_are_seen() {
        let mut events = match PrivilegeEvents::open() {
            Ok(events) => events,
            Err(why) => return eprintln!("skipped: process connector: {why}"),
        };
        let mut child = Command::new("sleep").arg("10").uid(65534).spawn().unwrap();
        let pid = child.id();
        wait_for(&mut events, PrivilegeSeen::Uid { pid, euid: 65534 });
        // SAFETY: attaches to our own child, which is killed below; the arguments are not used.
        let attached = unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid.cast_signed(), 0, 0) };
        assert_eq!(attached, 0, "{}", io::Error::last_os_error());
        wait_for(&mut events, PrivilegeSeen::Ptrace { tracer: std::process::id(), tracee: pid });
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn cut_messages_and_who_lets_go_are_nothing() {
        let body = |words: &[u32]| [vec![0; 36], words.iter().flat_map(|word| word.to_ne_bytes()).collect()].concat();
        let seen_in = |words: &[u32]| seen(&Announcement::parse(&body(words)).unwrap());
        assert!(Announcement::parse(&body(&[UID])).is_none());
        assert_eq!(seen_in(&[UID, 0, 0, 0, 5, 5]), None);
        assert_eq!(seen_in(&[PTRACE, 0, 0, 0, 5, 5, 0, 0]), None);
        assert_eq!(seen_in(&[PTRACE, 0, 0, 0, 5, 5, 7, 6]), Some(PrivilegeSeen::Ptrace { tracer: 6, tracee: 5 }));
    }
}
