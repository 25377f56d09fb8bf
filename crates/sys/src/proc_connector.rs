//! The process connector: the kernel's own announcement of forks, execs and exits over netlink, for kernels without
//! BPF. It tells pids only; the rest must be read from /proc before the process is gone.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use super::home_network::socket_at_home;

use super::bpf::exit_of;
use super::clock;
use bartizan_model::Exit;

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
///
/// Where the kernel filters (Linux 6.6) execs come by a subscription of their own: the reader is woken for them alone, and
/// reads of them first, because what they run may be gone in a moment. Forks and exits lie until then.
#[derive(Debug)]
pub struct Connector {
    execs: Option<Subscription>,
    rest: Subscription,
}

/// include/uapi/linux/connector.h, cn_proc.h.
const CN_IDX_PROC: u32 = 1;
const LISTEN: u32 = 1;
const BODY: usize = 36; // nlmsghdr 16, cn_msg 20
const FORK: u32 = 1;
const EXEC: u32 = 2;
const COMM: u32 = 0x200;
const EXIT: u32 = 0x8000_0000;
/// Room for a storm while we read /proc: some 200,000 announcements.
const RECEIVE_BYTES: libc::c_int = 32 << 20;
const BATCH: usize = 64;
const MESSAGE_MOST: usize = 256;

impl Connector {
    /// Subscribes, and waits for the kernel to say that it does.
    ///
    /// # Errors
    /// When the kernel refuses or does not answer.
    pub fn open() -> Result<Self, ConnectorError> {
        Self::with_room(RECEIVE_BYTES)
    }

    fn with_room(bytes: libc::c_int) -> Result<Self, ConnectorError> {
        let mut rest = Subscription::open(bytes)?;
        let mut execs = Subscription::open(bytes)?;
        let filtered = execs.filter(EXEC)? && rest.filter(FORK | EXIT)?;
        Ok(Self { execs: filtered.then_some(execs), rest })
    }

    /// Hears what comes by this descriptor; nothing is asked of the kernel. One that is no connector is told when it is read.
    pub fn over(socket: OwnedFd) -> Self {
        Self { execs: None, rest: Subscription::on(socket) }
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
        self.execs.as_mut().map_or(Ok(0), |execs| execs.drain(take))
    }

    /// Hands over one batch of the rest, in the kernel's order: of everything, where the kernel does not filter.
    ///
    /// # Errors
    /// When the kernel refused the subscription, or the socket is broken.
    pub fn drain(&mut self, take: impl FnMut(Notice)) -> io::Result<usize> {
        self.rest.drain(take)
    }

    /// Announcements taken out, and announcements lost, since opening.
    pub fn counters(&self) -> (u64, u64) {
        let (execs, rest) = (self.execs.as_ref().map(Subscription::counters).unwrap_or_default(), self.rest.counters());
        (execs.0 + rest.0, execs.1 + rest.1)
    }
}

/// One socket at the connector.
#[derive(Debug)]
struct Subscription {
    socket: OwnedFd,
    /// Last sequence number seen of each processor: the kernel counts per processor, so a gap is an exact loss, unless it
    /// filters. Then, and where it tells, the socket's own count of what did not fit is taken.
    sequence: HashMap<u32, u32>,
    gaps: u64,
    filtered: bool,
    /// The kernel has said whether it accepts us.
    answered: bool,
    received: u64,
}

impl Subscription {
    fn open(bytes: libc::c_int) -> Result<Self, ConnectorError> {
        let subscription = Self::on(socket_at_home(subscribe)?);
        subscription.room(bytes);
        if !subscription.wait(Duration::from_millis(500))? {
            return Err(io::Error::from(io::ErrorKind::TimedOut).into());
        }
        Ok(subscription)
    }

    fn on(socket: OwnedFd) -> Self {
        Self { socket, sequence: HashMap::new(), gaps: 0, filtered: false, answered: false, received: 0 }
    }

    fn room(&self, bytes: libc::c_int) {
        let size = size_of::<libc::c_int>() as libc::socklen_t;
        // SAFETY: the option is ours and as long as we say. Refused without CAP_NET_ADMIN: then it stays small.
        let _small =
            unsafe { libc::setsockopt(self.socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, (&raw const bytes).cast(), size) };
    }

    /// Asks for these kinds alone; whether the kernel does so. An older one passes over the wish without a word, so it is
    /// tried: renaming the calling thread to what it is called already is announced, unless it is filtered.
    fn filter(&mut self, kinds: u32) -> io::Result<bool> {
        self.renamed(0)?; // what was announced before says nothing of the filter
        send(&self.socket, &[LISTEN.to_ne_bytes(), kinds.to_ne_bytes()].concat())?;
        let mut name = [0_u8; 16];
        // SAFETY: the buffer has the 16 bytes that both calls use (prctl(2)); without arguments gettid cannot fail.
        let thread = unsafe {
            libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr());
            libc::prctl(libc::PR_SET_NAME, name.as_ptr());
            libc::gettid().cast_unsigned()
        };
        self.filtered = !self.renamed(thread)?;
        Ok(self.filtered)
    }

    /// Passes over all that is there; whether this thread was said to be renamed.
    fn renamed(&mut self, thread: u32) -> io::Result<bool> {
        let (mut renamed, mut buffers) = (false, [[0_u8; MESSAGE_MOST]; BATCH]);
        loop {
            let lengths = receive(&self.socket, &mut buffers)?;
            if lengths.is_empty() {
                return Ok(renamed);
            }
            let messages = buffers.iter().zip(&lengths).filter_map(|(buffer, length)| Announcement::parse(buffer.get(..*length)?));
            for event in messages {
                renamed |= event.what == COMM && event.word(0) == Some(thread);
                if event.what == 0 && !std::mem::replace(&mut self.answered, true) {
                    acknowledged(&event)?;
                }
            }
        }
    }

    fn wait(&self, timeout: Duration) -> io::Result<bool> {
        let mut fd = libc::pollfd { fd: self.socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd that lives for the call.
        match unsafe { libc::poll(&raw mut fd, 1, i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX)) } {
            -1 => Err(io::Error::last_os_error()).or_else(interrupted),
            ready => Ok(ready > 0),
        }
    }

    fn drain(&mut self, mut take: impl FnMut(Notice)) -> io::Result<usize> {
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
                self.gaps += u64::from(event.sequence.wrapping_sub(before).wrapping_sub(1));
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

    fn counters(&self) -> (u64, u64) {
        (self.received, if self.filtered { self.overruns() } else { self.gaps })
    }

    /// What did not fit into the socket since it was opened: `sk_drops`, by SO_MEMINFO (include/uapi/linux/sock_diag.h).
    fn overruns(&self) -> u64 {
        const SO_MEMINFO: libc::c_int = 55;
        const DROPS: usize = 8;
        let mut info = [0_u32; DROPS + 1];
        let mut size = size_of_val(&info) as libc::socklen_t;
        // SAFETY: the room is ours and as long as we say. What an older kernel does not tell stays 0.
        unsafe { libc::getsockopt(self.socket.as_raw_fd(), libc::SOL_SOCKET, SO_MEMINFO, info.as_mut_ptr().cast(), &raw mut size) };
        u64::from(info.get(DROPS).copied().unwrap_or_default())
    }
}

fn interrupted(error: io::Error) -> io::Result<bool> {
    if error.kind() == io::ErrorKind::Interrupted { Ok(false) } else { Err(error) }
}

fn subscribe() -> io::Result<OwnedFd> {
    // SAFETY: plain system calls; the descriptor is owned from the moment it exists, the address lives for its call.
    let socket = unsafe {
        let fd = libc::socket(libc::PF_NETLINK, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, libc::NETLINK_CONNECTOR);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        let socket = OwnedFd::from_raw_fd(fd);
        let mut group: libc::sockaddr_nl = std::mem::zeroed();
        group.nl_family = libc::AF_NETLINK as libc::sa_family_t;
        group.nl_groups = CN_IDX_PROC;
        if libc::bind(fd, (&raw const group).cast(), size_of::<libc::sockaddr_nl>() as libc::socklen_t) < 0 {
            return Err(io::Error::last_os_error());
        }
        socket
    };
    send(&socket, &LISTEN.to_ne_bytes())?;
    Ok(socket)
}

/// Sends a wish to the connector: nlmsghdr, cn_msg, and the operation, with a filter or without.
fn send(socket: &OwnedFd, operation: &[u8]) -> io::Result<()> {
    let length = BODY + operation.len();
    let mut ask = Vec::with_capacity(length);
    ask.extend((length as u32).to_ne_bytes());
    ask.extend((libc::NLMSG_DONE as u16).to_ne_bytes());
    ask.extend([0; 10]); // flags, sequence, port
    ask.extend(CN_IDX_PROC.to_ne_bytes());
    ask.extend(1_u32.to_ne_bytes()); // CN_VAL_PROC
    ask.extend([0; 8]); // sequence, acknowledgement
    ask.extend((operation.len() as u16).to_ne_bytes());
    ask.extend([0; 2]);
    ask.extend(operation);
    // SAFETY: the buffer lives for the call.
    let sent = unsafe { libc::send(socket.as_raw_fd(), ask.as_ptr().cast(), ask.len(), 0) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
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
    loop {
        // SAFETY: every header points to one vector, every vector to one buffer; all live for the call.
        let got = unsafe {
            libc::recvmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), BATCH as libc::c_uint, libc::MSG_DONTWAIT as _, std::ptr::null_mut())
        };
        if let Ok(got) = usize::try_from(got) {
            return Ok(headers.iter().take(got).map(|header| header.msg_len as usize).collect());
        }
        match io::Error::last_os_error() {
            e if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) => return Ok(Vec::new()),
            // Told once for each time that it was full; what did fit is still there.
            e if e.raw_os_error() == Some(libc::ENOBUFS) => {}
            e => return Err(e),
        }
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

    /// 300 children, then two more on each processor, so that every processor has a last word.
    fn storm() {
        for _ in 0..300 {
            assert!(std::process::Command::new("/bin/true").status().unwrap().success());
        }
    }

    fn last_words() {
        for cpu in 0..std::thread::available_parallelism().unwrap().get() {
            let _ = std::process::Command::new("taskset").args(["-c", &cpu.to_string(), "/bin/true"]).status();
        }
    }

    fn drain_all(subscription: &mut Subscription) -> u64 {
        let mut taken = 0;
        while subscription.drain(|_| taken += 1).unwrap() > 0 {}
        taken
    }

    /// Two counts of one loss, made by different parts of the kernel, must agree: the gaps in its numbers and what its
    /// socket refused.
    #[test]
    fn what_a_stalled_reader_lost_is_counted_exactly() {
        let mut stalled = match Subscription::open(4096) {
            Ok(subscription) => subscription,
            Err(error) => return eprintln!("skipped: {error}"),
        };
        last_words();
        drain_all(&mut stalled);
        storm();
        drain_all(&mut stalled);
        stalled.room(RECEIVE_BYTES); // the last words must fit: a gap shows by what comes after it
        last_words();
        drain_all(&mut stalled);
        assert!(stalled.gaps > 100, "{}", stalled.gaps);
        assert_eq!(stalled.gaps, stalled.overruns());
    }

    /// Delivered and lost together are what was made, also where the kernel filters and its numbers say nothing.
    #[test]
    fn what_a_filtered_reader_lost_is_counted_exactly() {
        let open = |room| Subscription::open(room).and_then(|mut s| Ok(s.filter(EXEC)?.then_some(s)));
        let (mut stalled, mut whole) = match (open(4096), open(RECEIVE_BYTES)) {
            (Ok(Some(stalled)), Ok(Some(whole))) => (stalled, whole),
            (Ok(None), _) => return eprintln!("skipped: this kernel does not filter (Linux 6.6)"),
            (stalled, _) => return eprintln!("skipped: {:?}", stalled.err()),
        };
        let before = (drain_all(&mut stalled), stalled.received, drain_all(&mut whole), whole.received);
        storm();
        drain_all(&mut stalled);
        drain_all(&mut whole);
        let (made, delivered, lost) = (whole.received - before.3, stalled.received - before.1, stalled.counters().1);
        assert!(made >= 300 && lost > 100 && whole.counters().1 == 0, "{made} made, {delivered} delivered, {lost} lost");
        // Others on this host execute programs too: at the edges a few may be in one count alone.
        assert!((delivered + lost).abs_diff(made) <= 3, "{made} made, {delivered} delivered, {lost} lost");
    }

    proptest! {
        #[test]
        fn no_message_can_panic(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = Announcement::parse(&bytes).map(|a| a.notice(0));
        }
    }
}
