//! The process connector (cn_proc.h): the kernel's own announcements over netlink, by kind. Here births, programs and ends, for
//! kernels without BPF; they tell pids only, and the rest must be read from /proc before the process is gone.

mod privilege;
mod subscription;

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use super::bpf::exit_of;
use super::clock;
use bartizan_model::Exit;
pub use privilege::{PrivilegeEvents, PrivilegeSeen};
use subscription::{Announcement, EXEC, EXIT, FORK, Subscription};

/// One announcement. Moments are nanoseconds since boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// A process was created.
    Fork {
        /// The creator's pid.
        creator: u32,
        /// The new pid.
        pid: u32,
        /// When.
        at: u64,
    },
    /// A program was executed.
    Exec {
        /// By whom.
        pid: u32,
        /// When.
        at: u64,
    },
    /// The first thread of a process ended; others may live on.
    Exit {
        /// Whose.
        pid: u32,
        /// How.
        exit: Exit,
        /// When.
        at: u64,
    },
}

/// Why the connector cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the process connector cannot be used ({0}): it needs CONFIG_PROC_EVENTS, CAP_NET_ADMIN and the host's own namespaces")]
pub struct ConnectorError(#[from] io::Error);

impl From<ConnectorError> for io::Error {
    fn from(error: ConnectorError) -> Self {
        error.0
    }
}

/// An open connector. Dropping it unsubscribes.
///
/// Where the kernel filters (Linux 6.6) execs come by a subscription of their own: the reader is woken for them alone, and
/// reads of them first, because what they run may be gone in a moment. Forks and exits lie until then.
#[derive(Debug)]
pub struct Connector {
    execs: Option<Subscription>,
    rest: Subscription,
}

/// Room for a storm while we read /proc: some 200,000 announcements.
const RECEIVE_BYTES: usize = 32 << 20;

impl Connector {
    /// Subscribes, and waits for the kernel to say that it does.
    ///
    /// # Errors
    /// When the kernel refuses or does not answer.
    pub fn open() -> Result<Self, ConnectorError> {
        let mut rest = Subscription::open(RECEIVE_BYTES)?;
        let mut execs = Subscription::open(RECEIVE_BYTES)?;
        let filtered = execs.filter(EXEC)? && rest.filter(FORK | EXIT)?;
        Ok(Self { execs: filtered.then_some(execs), rest })
    }

    /// Hears what comes by this descriptor; nothing is asked of the kernel. One that is no connector is told when it is read.
    pub fn over(socket: OwnedFd) -> Self {
        Self { execs: None, rest: Subscription::on(socket.into()) }
    }

    /// Whether only execs end [`Connector::wait`].
    pub fn waits_for_execs(&self) -> bool {
        self.execs.is_some()
    }

    /// Waits until something is there (an exec, where the kernel filters), at most `timeout`. Whether there is.
    ///
    /// # Errors
    /// When the socket is broken.
    pub fn wait(&mut self, timeout: Duration) -> io::Result<bool> {
        self.execs.as_ref().unwrap_or(&self.rest).wait(timeout)
    }

    /// Hands over one batch of execs; how many messages there were. Always none where the kernel does not filter.
    ///
    /// # Errors
    /// When the socket is broken.
    pub fn drain_execs(&mut self, take: impl FnMut(Notice)) -> io::Result<usize> {
        self.execs.as_mut().map_or(Ok(0), |execs| noticed(execs, take))
    }

    /// Hands over one batch of the rest, in the kernel's order: of everything, where the kernel does not filter.
    ///
    /// # Errors
    /// When the kernel refused the subscription, or the socket is broken.
    pub fn drain(&mut self, take: impl FnMut(Notice)) -> io::Result<usize> {
        noticed(&mut self.rest, take)
    }

    /// Announcements taken out, and announcements lost, since opening.
    pub fn counters(&self) -> (u64, u64) {
        let (execs, rest) = (self.execs.as_ref().map(Subscription::counters).unwrap_or_default(), self.rest.counters());
        (execs.0 + rest.0, execs.1 + rest.1)
    }
}

/// One batch of a subscription, as notices.
fn noticed(subscription: &mut Subscription, mut take: impl FnMut(Notice)) -> io::Result<usize> {
    let asleep = clock::suspended_ns();
    subscription.drain(|event| notice(event, asleep).into_iter().for_each(&mut take))
}

/// Threads are left out: their thread id differs from the pid.
fn notice(event: &Announcement<'_>, asleep: u64) -> Option<Notice> {
    let (at, word) = (event.monotonic.saturating_add(asleep), |index| event.word(index));
    match event.what {
        FORK if word(2)? == word(3)? => Some(Notice::Fork { creator: word(1)?, pid: word(3)?, at }),
        EXEC => Some(Notice::Exec { pid: word(1)?, at }),
        EXIT if word(0)? == word(1)? => Some(Notice::Exit { pid: word(1)?, exit: exit_of(word(2)?), at }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_child_is_announced_from_birth_to_death() {
        let mut connector = match Connector::open() {
            Ok(connector) => connector,
            Err(error) => return eprintln!("skipped: {error}"),
        };
        let mut child = std::process::Command::new("/bin/sh").args(["-c", "exit 7"]).spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        let (mut seen, end) = (Vec::new(), Instant::now() + Duration::from_secs(5));
        while seen.len() < 3 && Instant::now() < end {
            connector.wait(Duration::from_millis(20)).unwrap();
            let mut take = |notice| match notice {
                Notice::Fork { creator, pid: p, at } if p == pid => seen.push((at, format!("fork by {}", creator == std::process::id()))),
                Notice::Exec { pid: p, at } if p == pid => seen.push((at, "exec".to_owned())),
                Notice::Exit { pid: p, exit, at } if p == pid => seen.push((at, format!("exit {:?}", exit.code))),
                _ => {}
            };
            connector.drain_execs(&mut take).unwrap();
            connector.drain(&mut take).unwrap();
        }
        seen.sort();
        let seen: Vec<_> = seen.into_iter().map(|(_, what)| what).collect();
        assert_eq!(seen, ["fork by true", "exec", "exit Some(7)"]);
        assert_eq!(connector.counters().1, 0);
    }
}
