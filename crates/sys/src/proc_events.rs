//! Changes of user id and ptrace attachments, as the kernel tells them through the netlink process connector.
//!
//! Kernels from 6.6 filter for us; on older ones every fork and exec comes too and is passed over here.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use super::home_network::socket_at_home;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// linux/cn_proc.h
const PROC_CN_MCAST_LISTEN: u32 = 1;
const PROC_EVENT_NONE: u32 = 0;
const PROC_EVENT_UID: u32 = 0x4;
const PROC_EVENT_PTRACE: u32 = 0x100;
/// linux/connector.h: index and value of the process connector.
const CN_IDX_PROC: u32 = 1;
const CN_VAL_PROC: u32 = 1;
/// Bytes before `struct proc_event`: nlmsghdr (16) and cn_msg (20).
const HEADERS: usize = 36;
/// Receive buffer: room for about 100,000 events while we are not running.
const RECEIVE_BUFFER: i32 = 8 * 1024 * 1024;
/// The kernel answers at once.
const ANSWER: Duration = Duration::from_secs(1);
/// Messages of one drain, so that a flood cannot keep the caller from looking at anything else.
const MOST: usize = 4096;

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

/// A subscription.
#[derive(Debug)]
pub struct ProcEvents {
    socket: OwnedFd,
}

impl ProcEvents {
    /// Subscribes to user id changes and ptrace alone, where the kernel can filter.
    ///
    /// # Errors
    /// Without `CAP_NET_ADMIN`, outside the initial namespaces, or without the connector (`CONFIG_PROC_EVENTS`).
    pub fn open() -> io::Result<Self> {
        let events = Self { socket: socket_at_home(connect)? };
        // First everything: that is answered. Then the filter, which a kernel before 6.6 passes over without a word, and a
        // later one answers with an event that the filter itself holds back.
        events.send(&PROC_CN_MCAST_LISTEN.to_ne_bytes())?;
        events.answered()?;
        events.send(&[PROC_CN_MCAST_LISTEN.to_ne_bytes(), (PROC_EVENT_UID | PROC_EVENT_PTRACE).to_ne_bytes()].concat())?;
        Ok(events)
    }

    fn send(&self, operation: &[u8]) -> io::Result<()> {
        let message = message(operation);
        // SAFETY: the descriptor is ours and open; the buffer outlives the call.
        let sent = unsafe { libc::send(self.socket.as_raw_fd(), message.as_ptr().cast(), message.len(), 0) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn answered(&self) -> io::Result<()> {
        let until = Instant::now() + ANSWER;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            if !self.wait(left)? {
                continue;
            }
            let mut buffer = [0u8; 256];
            if let Some((PROC_EVENT_NONE, [error, ..])) = self.receive(&mut buffer)?.and_then(words) {
                return if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error.cast_signed().wrapping_abs())) };
            }
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "the kernel does not answer"))
    }

    /// Waits until something is there, at most `timeout`. True when there is.
    ///
    /// # Errors
    /// When the kernel breaks the subscription.
    pub fn wait(&self, timeout: Duration) -> io::Result<bool> {
        let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX)) {
            Ok(ready) => Ok(ready > 0),
            Err(nix::errno::Errno::EINTR) => Ok(false),
            Err(why) => Err(why.into()),
        }
    }

    /// Hands over what is there; returns how often the kernel had to drop some (each time at least one).
    ///
    /// # Errors
    /// When the kernel breaks the subscription.
    pub fn drain(&self, take: &mut dyn FnMut(PrivilegeSeen)) -> io::Result<u64> {
        let mut lost = 0;
        let mut buffer = [0u8; 256];
        for _ in 0..MOST {
            match self.receive(&mut buffer) {
                Ok(Some(body)) => seen(body).into_iter().for_each(&mut *take),
                Ok(None) => {}
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => break,
                Err(why) if why.raw_os_error() == Some(libc::ENOBUFS) => lost += 1,
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(why) => return Err(why),
            }
        }
        Ok(lost)
    }

    /// One `struct proc_event`; `None` for a message that is none or that the kernel did not send.
    fn receive<'a>(&self, buffer: &'a mut [u8; 256]) -> io::Result<Option<&'a [u8]>> {
        // SAFETY: all-zero is a valid sockaddr_nl.
        let mut from: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        let mut size = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
        // SAFETY: buffer and address are ours, writable and as long as we say.
        let got = unsafe {
            libc::recvfrom(
                self.socket.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                libc::MSG_DONTWAIT,
                (&raw mut from).cast(),
                &raw mut size,
            )
        };
        let Ok(length) = usize::try_from(got) else { return Err(io::Error::last_os_error()) };
        Ok(if from.nl_pid == 0 { buffer.get(HEADERS..length) } else { None })
    }
}

fn connect() -> io::Result<OwnedFd> {
    // SAFETY: no pointers; the result is checked before it is owned.
    let fd = unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, libc::NETLINK_CONNECTOR) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor just returned to us and owned by nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let room = RECEIVE_BUFFER;
    // SAFETY: option and address are ours and as long as we say; a refused buffer size only means a smaller one.
    let bound = unsafe {
        libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, (&raw const room).cast(), size_of::<i32>() as libc::socklen_t);
        let mut address: libc::sockaddr_nl = std::mem::zeroed();
        address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
        address.nl_groups = CN_IDX_PROC;
        libc::bind(fd, (&raw const address).cast(), size_of::<libc::sockaddr_nl>() as libc::socklen_t)
    };
    if bound < 0 { Err(io::Error::last_os_error()) } else { Ok(socket) }
}

/// nlmsghdr {u32 len, u16 type, u16 flags, u32 seq, u32 pid}, cn_msg {u32 idx, u32 val, u32 seq, u32 ack, u16 len, u16 flags}.
fn message(operation: &[u8]) -> Vec<u8> {
    let mut bytes = ((HEADERS + operation.len()) as u32).to_ne_bytes().to_vec();
    bytes.extend((libc::NLMSG_DONE as u16).to_ne_bytes());
    bytes.extend([0; 10]);
    bytes.extend([CN_IDX_PROC, CN_VAL_PROC, 0, 0].iter().flat_map(|word| word.to_ne_bytes()));
    bytes.extend((operation.len() as u16).to_ne_bytes());
    bytes.extend([0; 2]);
    bytes.extend(operation);
    bytes
}

/// proc_event {u32 what, u32 cpu, u64 timestamp_ns, union}: what it is and the first four words of the union.
fn words(body: &[u8]) -> Option<(u32, [u32; 4])> {
    let word = |at: usize| Some(u32::from_ne_bytes(body.get(at..at + 4)?.try_into().ok()?));
    Some((word(0)?, [word(16)?, word(20).unwrap_or(0), word(24).unwrap_or(0), word(28).unwrap_or(0)]))
}

fn seen(body: &[u8]) -> Option<PrivilegeSeen> {
    match words(body)? {
        // id_proc_event {process_pid, process_tgid, ruid, euid}
        (PROC_EVENT_UID, [_, pid, _, euid]) => Some(PrivilegeSeen::Uid { pid, euid }),
        // ptrace_proc_event {process_pid, process_tgid, tracer_pid, tracer_tgid}; no tracer means it let go
        (PROC_EVENT_PTRACE, [_, tracee, thread, tracer]) if thread != 0 => Some(PrivilegeSeen::Ptrace { tracer, tracee }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use super::*;

    fn wait_for(events: &ProcEvents, wanted: PrivilegeSeen) {
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
        let events = match ProcEvents::open() {
            Ok(events) => events,
            Err(why) => return eprintln!("skipped: process connector: {why}"),
        };
        let mut child = Command::new("sleep").arg("10").uid(65534).spawn().unwrap();
        let pid = child.id();
        wait_for(&events, PrivilegeSeen::Uid { pid, euid: 65534 });
        // SAFETY: attaches to our own child, which is killed below; the arguments are not used.
        let attached = unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid.cast_signed(), 0, 0) };
        assert_eq!(attached, 0, "{}", io::Error::last_os_error());
        wait_for(&events, PrivilegeSeen::Ptrace { tracer: std::process::id(), tracee: pid });
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn the_kernel_holds_back_what_is_not_asked_for() {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let mut version = release.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        let events = match ProcEvents::open() {
            Ok(events) if (version.next(), version.next()) >= (Some(6), Some(6)) => events,
            Ok(_) => return eprintln!("skipped: kernel {release} cannot filter"),
            Err(why) => return eprintln!("skipped: process connector: {why}"),
        };
        for _ in 0..20 {
            assert!(Command::new("true").status().unwrap().success());
        }
        let (mut buffer, mut kinds) = ([0; 256], Vec::new());
        // What was on its way between listening and filtering may still be there; 20 times fork, exec, exit are not.
        while let Ok(Some(body)) = events.receive(&mut buffer) {
            kinds.extend(words(body).map(|(kind, _)| kind));
        }
        let others = kinds.iter().filter(|kind| !matches!(**kind, PROC_EVENT_UID | PROC_EVENT_PTRACE)).count();
        assert!(others < 20, "{kinds:?}");
    }

    #[test]
    fn cut_and_foreign_messages_are_nothing() {
        assert_eq!(seen(&[4, 0, 0, 0]), None);
        let letting_go = [PROC_EVENT_PTRACE, 0, 0, 0, 5, 5, 0, 0].map(u32::to_ne_bytes).concat();
        assert_eq!(seen(&letting_go), None);
    }
}
