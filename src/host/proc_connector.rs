//! The process connector: the kernel's own announcement of forks, execs and exits over netlink, for kernels without
//! BPF. It tells pids only; the rest must be read from /proc before the process is gone.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use super::home_network::socket_at_home;

use super::bpf::exit_of;
use super::clock;
use crate::model::Exit;

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

/// An open connector. Dropping it unsubscribes.
#[derive(Debug)]
pub struct Connector {
    socket: OwnedFd,
    /// Last sequence number seen of each processor: the kernel counts per processor, so a gap is an exact loss.
    sequence: HashMap<u32, u32>,
    /// The kernel has said whether it accepts us.
    answered: bool,
    received: u64,
    lost: u64,
}

/// include/uapi/linux/connector.h, cn_proc.h.
const CN_IDX_PROC: u32 = 1;
const LISTEN: u32 = 1;
const BODY: usize = 36; // nlmsghdr 16, cn_msg 20
const FORK: u32 = 1;
const EXEC: u32 = 2;
const EXIT: u32 = 0x8000_0000;
/// Room for a storm while we read /proc: some 200,000 announcements.
const RECEIVE_BYTES: i32 = 32 << 20;
const BATCH: usize = 64;
const MESSAGE_MOST: usize = 256;

impl Connector {
    /// Subscribes, and waits for the kernel to say that it does.
    ///
    /// # Errors
    /// When the kernel refuses or does not answer.
    pub fn open() -> Result<Self, ConnectorError> {
        let socket = socket_at_home(subscribe)?;
        let mut connector = Self { socket, sequence: HashMap::new(), answered: false, received: 0, lost: 0 };
        if !connector.wait(Duration::from_millis(500))? {
            return Err(io::Error::from(io::ErrorKind::TimedOut).into());
        }
        Ok(connector)
    }

    /// One whose socket is no socket, to test what follows when it breaks.
    #[cfg(test)]
    pub(crate) fn broken() -> Self {
        let nothing = std::fs::File::open("/dev/null").unwrap();
        Self { socket: nothing.into(), sequence: HashMap::new(), answered: false, received: 0, lost: 0 }
    }

    /// Waits until something is there, at most `timeout`. Whether there is.
    ///
    /// # Errors
    /// When the socket is broken.
    pub fn wait(&mut self, timeout: Duration) -> io::Result<bool> {
        let mut fd = libc::pollfd { fd: self.socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd that lives for the call.
        match unsafe { libc::poll(&raw mut fd, 1, i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX)) } {
            -1 => Err(io::Error::last_os_error()).or_else(interrupted),
            ready => Ok(ready > 0),
        }
    }

    /// Hands over one batch of what is there, oldest first; how many messages there were.
    ///
    /// # Errors
    /// When the kernel refused the subscription, or the socket is broken.
    pub fn drain(&mut self, mut take: impl FnMut(Notice)) -> io::Result<usize> {
        let mut buffers = [[0_u8; MESSAGE_MOST]; BATCH];
        let lengths = receive(&self.socket, &mut buffers)?;
        let asleep = clock::suspended_ns();
        for (buffer, length) in buffers.iter().zip(&lengths) {
            let Some(event) = buffer.get(..*length).and_then(Announcement::parse) else { continue };
            // Answers to any listener, not only to us, are counted by the kernel like announcements (cn_proc_ack); older
            // kernels give them no processor.
            if event.cpu != u32::MAX
                && let Some(before) = self.sequence.insert(event.cpu, event.sequence)
            {
                self.lost += u64::from(event.sequence.wrapping_sub(before).wrapping_sub(1));
            }
            if event.what == 0 {
                // Only the first answer is ours. Anybody may ask the connector badly, and the refusal is sent to all.
                if !std::mem::replace(&mut self.answered, true) {
                    acknowledged(&event)?;
                }
                continue;
            }
            self.received += 1;
            if let Some(notice) = event.notice(asleep) {
                take(notice);
            }
        }
        Ok(lengths.len())
    }

    /// Announcements taken out, and announcements lost, since opening.
    pub fn counters(&self) -> (u64, u64) {
        (self.received, self.lost)
    }
}

/// While it lives, the thread that made it overtakes ordinary ones.
#[derive(Debug)]
pub struct Overtaking(std::marker::PhantomData<*const ()>); // of one thread: not to be sent to another

/// Lets the calling thread overtake ordinary ones: a reader that comes too late finds an empty /proc. Measured: half
/// of the shortest programs keep their arguments, instead of a few in a hundred.
///
/// # Errors
/// Without CAP_SYS_NICE.
pub fn overtake() -> io::Result<Overtaking> {
    schedule(libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, 10).map(|()| Overtaking(std::marker::PhantomData))
}

impl Drop for Overtaking {
    fn drop(&mut self) {
        let _always_allowed = schedule(libc::SCHED_OTHER, 0);
    }
}

fn schedule(policy: libc::c_int, priority: libc::c_int) -> io::Result<()> {
    let priority = libc::sched_param { sched_priority: priority };
    // SAFETY: a plain structure that lives for the call; 0 is the calling thread.
    match unsafe { libc::sched_setscheduler(0, policy, &raw const priority) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn interrupted(error: io::Error) -> io::Result<bool> {
    if error.kind() == io::ErrorKind::Interrupted { Ok(false) } else { Err(error) }
}

fn subscribe() -> io::Result<OwnedFd> {
    let length = (BODY + 4) as u32;
    let mut ask = Vec::with_capacity(BODY + 4);
    ask.extend(length.to_ne_bytes());
    ask.extend((libc::NLMSG_DONE as u16).to_ne_bytes());
    ask.extend([0; 10]); // flags, sequence, port
    ask.extend(CN_IDX_PROC.to_ne_bytes());
    ask.extend(1_u32.to_ne_bytes()); // CN_VAL_PROC
    ask.extend([0; 8]); // sequence, acknowledgement
    ask.extend(4_u16.to_ne_bytes());
    ask.extend([0; 2]);
    ask.extend(LISTEN.to_ne_bytes());
    // SAFETY: plain system calls; the descriptor is owned from the moment it exists, all arguments live for their call.
    unsafe {
        let fd = libc::socket(libc::PF_NETLINK, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, libc::NETLINK_CONNECTOR);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        let socket = OwnedFd::from_raw_fd(fd);
        let room = RECEIVE_BYTES;
        // Refused without CAP_NET_ADMIN; then the next call is refused too and says so.
        let _small =
            libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, (&raw const room).cast(), size_of::<i32>() as libc::socklen_t);
        let mut group: libc::sockaddr_nl = std::mem::zeroed();
        group.nl_family = libc::AF_NETLINK as libc::sa_family_t;
        group.nl_groups = CN_IDX_PROC;
        if libc::bind(fd, (&raw const group).cast(), size_of::<libc::sockaddr_nl>() as libc::socklen_t) < 0
            || libc::send(fd, ask.as_ptr().cast(), ask.len(), 0) < 0
        {
            return Err(io::Error::last_os_error());
        }
        Ok(socket)
    }
}

/// Lengths of the messages received into `buffers`; none when nothing is there. ENOBUFS means that the kernel had to
/// drop: the gap in the sequence will tell how many.
fn receive(socket: &OwnedFd, buffers: &mut [[u8; MESSAGE_MOST]; BATCH]) -> io::Result<Vec<usize>> {
    let mut vectors: Vec<libc::iovec> =
        buffers.iter_mut().map(|b| libc::iovec { iov_base: b.as_mut_ptr().cast(), iov_len: MESSAGE_MOST }).collect();
    let mut headers: Vec<libc::mmsghdr> = vectors
        .iter_mut()
        .map(|vector| {
            // SAFETY: all zeroes is an empty message header.
            let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header
        })
        .collect();
    // SAFETY: every header points to one vector, every vector to one buffer; all live for the call.
    let got = unsafe {
        libc::recvmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), BATCH as libc::c_uint, libc::MSG_DONTWAIT as _, std::ptr::null_mut())
    };
    match usize::try_from(got) {
        Ok(got) => Ok(headers.iter().take(got).map(|header| header.msg_len as usize).collect()),
        Err(_) => match io::Error::last_os_error() {
            e if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EINTR | libc::ENOBUFS)) => Ok(Vec::new()),
            e => Err(e),
        },
    }
}

/// The kernel's answer to the subscription: 0 or an errno.
fn acknowledged(event: &Announcement<'_>) -> io::Result<()> {
    match event.word(0) {
        Some(0) | None => Ok(()),
        Some(errno) => Err(io::Error::from_raw_os_error(errno.cast_signed().wrapping_abs())),
    }
}

/// `struct proc_event` and its sequence number.
struct Announcement<'a> {
    sequence: u32,
    what: u32,
    cpu: u32,
    monotonic: u64,
    data: &'a [u8],
}

impl<'a> Announcement<'a> {
    fn parse(message: &'a [u8]) -> Option<Self> {
        let word = |at: usize| message.get(at..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes));
        let monotonic = message.get(BODY + 8..)?.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes))?;
        Some(Self { sequence: word(24)?, what: word(BODY)?, cpu: word(BODY + 4)?, monotonic, data: message.get(BODY + 16..)? })
    }

    fn word(&self, index: usize) -> Option<u32> {
        self.data.get(index * 4..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
    }

    /// Threads are left out: their thread id differs from the pid.
    fn notice(&self, asleep: u64) -> Option<Notice> {
        let at = self.monotonic + asleep;
        match self.what {
            FORK if self.word(2)? == self.word(3)? => Some(Notice::Fork { creator: self.word(1)?, pid: self.word(3)?, at }),
            EXEC => Some(Notice::Exec { pid: self.word(1)?, at }),
            EXIT if self.word(0)? == self.word(1)? => Some(Notice::Exit { pid: self.word(1)?, exit: exit_of(self.word(2)?), at }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
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
            connector.wait(Duration::from_millis(100)).unwrap();
            connector
                .drain(|notice| match notice {
                    Notice::Fork { creator, pid: p, .. } if p == pid => seen.push(format!("fork by {}", creator == std::process::id())),
                    Notice::Exec { pid: p, .. } if p == pid => seen.push("exec".to_owned()),
                    Notice::Exit { pid: p, exit, .. } if p == pid => seen.push(format!("exit {:?}", exit.code)),
                    _ => {}
                })
                .unwrap();
        }
        assert_eq!(seen, ["fork by true", "exec", "exit Some(7)"]);
        assert_eq!(connector.counters().1, 0);
    }

    proptest! {
        #[test]
        fn no_message_can_panic(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = Announcement::parse(&bytes).map(|a| a.notice(0));
        }
    }
}
