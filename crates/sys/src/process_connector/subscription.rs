//! One subscription at the process connector: which kinds it asks for, what comes, and exactly how much was lost.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::socket::{setsockopt, sockopt};

use super::ConnectorError;
use crate::descriptors;
use crate::home_network::socket_at_home;
use crate::netlink::message::{Writer, number_at};
use crate::netlink::{DONE, Family, Socket};
use crate::readiness::readable;

/// Kinds of announcement, a bit each (`enum proc_cn_event`, include/uapi/linux/cn_proc.h).
pub(super) const FORK: u32 = 1;
pub(super) const EXEC: u32 = 2;
pub(super) const UID: u32 = 4;
pub(super) const PTRACE: u32 = 0x100;
const COMM: u32 = 0x200;
pub(super) const EXIT: u32 = 0x8000_0000;
/// An answer to whoever asked.
const NONE: u32 = 0;
/// include/uapi/linux/connector.h, cn_proc.h.
const CN_IDX_PROC: u32 = 1;
const CN_VAL_PROC: u32 = 1;
const LISTEN: u32 = 1;
const BODY: usize = 36; // nlmsghdr 16, cn_msg 20
const BATCH: usize = 64;
const MAX_MESSAGE: usize = 256;
/// The kernel answers at once.
const ANSWER: Duration = Duration::from_millis(500);

/// One socket at the connector.
#[derive(Debug)]
pub(super) struct Subscription {
    socket: Socket,
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
    /// Asks for everything, with so much room for what we did not read yet, and waits for the kernel to say that it does.
    pub(super) fn open(bytes: usize) -> Result<Self, ConnectorError> {
        let subscription = Self::on(socket_at_home(subscribe)?);
        subscription.room(bytes);
        if !subscription.wait(ANSWER)? {
            return Err(io::Error::from(io::ErrorKind::TimedOut).into());
        }
        Ok(subscription)
    }

    pub(super) fn on(socket: Socket) -> Self {
        Self { socket, sequence: HashMap::new(), gaps: 0, filtered: false, answered: false, received: 0 }
    }

    fn room(&self, bytes: usize) {
        // Refused without CAP_NET_ADMIN: then it stays small.
        let _small = setsockopt(&self.socket, sockopt::RcvBufForce, &bytes);
    }

    /// Asks for these kinds alone; whether the kernel does so. An older one passes over the wish without a word, so it is
    /// tried: renaming the calling thread to what it is called already is announced, unless it is filtered.
    pub(super) fn filter(&mut self, kinds: u32) -> io::Result<bool> {
        self.renamed(0)?; // what was announced before says nothing of the filter
        send(&self.socket, &[LISTEN.to_ne_bytes(), kinds.to_ne_bytes()].concat())?;
        prctl::set_name(&prctl::get_name()?)?;
        let thread = nix::unistd::gettid().as_raw().cast_unsigned();
        self.filtered = !self.renamed(thread)?;
        Ok(self.filtered)
    }

    /// Passes over all that is there; whether this thread was said to be renamed.
    fn renamed(&mut self, thread: u32) -> io::Result<bool> {
        let (mut renamed, mut buffers) = (false, [[0_u8; MAX_MESSAGE]; BATCH]);
        loop {
            let lengths = receive(&self.socket, &mut buffers)?;
            if lengths.is_empty() {
                return Ok(renamed);
            }
            let messages = buffers.iter().zip(&lengths).filter_map(|(buffer, length)| Announcement::parse(buffer.get(..*length)?));
            for event in messages {
                renamed |= event.what == COMM && event.word(0) == Some(thread);
                if event.what == NONE && !std::mem::replace(&mut self.answered, true) {
                    acknowledged(&event)?;
                }
            }
        }
    }

    /// Waits until something is there, at most `timeout`. Whether there is.
    pub(super) fn wait(&self, timeout: Duration) -> io::Result<bool> {
        readable(&[self.socket.as_fd()], timeout)
    }

    /// Hands over one batch, in the kernel's order; how many messages there were.
    pub(super) fn drain(&mut self, mut take: impl FnMut(&Announcement<'_>)) -> io::Result<usize> {
        let mut buffers = [[0_u8; MAX_MESSAGE]; BATCH];
        let lengths = receive(&self.socket, &mut buffers)?;
        for (buffer, length) in buffers.iter().zip(&lengths) {
            let Some(event) = buffer.get(..*length).and_then(Announcement::parse) else { continue };
            // Answers to any listener, not only to us, are counted by the kernel like announcements (cn_proc_ack); older
            // kernels give them no processor.
            if event.cpu != u32::MAX
                && let Some(before) = self.sequence.insert(event.cpu, event.sequence)
            {
                self.gaps += u64::from(event.sequence.wrapping_sub(before).wrapping_sub(1));
            }
            if event.what == NONE {
                // Only the first answer is ours. Anybody may ask the connector badly, and the refusal is sent to all.
                if !std::mem::replace(&mut self.answered, true) {
                    acknowledged(&event)?;
                }
                continue;
            }
            self.received += 1;
            take(&event);
        }
        Ok(lengths.len())
    }

    /// Announcements taken out, and announcements lost, since opening.
    pub(super) fn counters(&self) -> (u64, u64) {
        (self.received, if self.filtered { self.overruns() } else { self.gaps })
    }

    /// What did not fit into the socket since it was opened: `sk_drops`, by SO_MEMINFO (include/uapi/linux/sock_diag.h).
    fn overruns(&self) -> u64 {
        const SO_MEMINFO: libc::c_int = 55;
        const DROPS: usize = 8;
        let mut info = [0_u32; DROPS + 1];
        let mut size = size_of_val(&info) as libc::socklen_t;
        // SAFETY: the room is ours and as long as we say. What an older kernel does not tell stays 0.
        unsafe { libc::getsockopt(self.socket.as_fd().as_raw_fd(), libc::SOL_SOCKET, SO_MEMINFO, info.as_mut_ptr().cast(), &raw mut size) };
        u64::from(info.get(DROPS).copied().unwrap_or_default())
    }
}

fn subscribe() -> io::Result<Socket> {
    descriptors::ask_for(1)?;
    let socket = Socket::listening(Family::Connector, CN_IDX_PROC, ANSWER)?;
    send(&socket, &LISTEN.to_ne_bytes())?;
    Ok(socket)
}

/// Sends a wish to the connector: `struct cn_msg`, and the operation, with a filter or without.
fn send(socket: &Socket, operation: &[u8]) -> io::Result<()> {
    let mut ask = Writer::default();
    ask.message(DONE, 0, 0, |w| {
        [CN_IDX_PROC, CN_VAL_PROC, 0, 0].into_iter().for_each(|word| w.put(&word.to_ne_bytes())); // sequence, acknowledgement
        w.put(&(operation.len() as u16).to_ne_bytes());
        w.put(&[0; 2]);
        w.put(operation);
    });
    socket.send(ask.bytes())
}

/// Lengths of the messages received into `buffers`; none when nothing is there. One that the kernel did not send has none. ENOBUFS
/// means that the kernel had to drop: the gap in the sequence will tell how many.
fn receive(socket: &Socket, buffers: &mut [[u8; MAX_MESSAGE]; BATCH]) -> io::Result<Vec<usize>> {
    // SAFETY: all zeroes is an empty address.
    let mut senders: [libc::sockaddr_nl; BATCH] = unsafe { std::mem::zeroed() };
    let mut vectors: Vec<libc::iovec> =
        buffers.iter_mut().map(|b| libc::iovec { iov_base: b.as_mut_ptr().cast(), iov_len: MAX_MESSAGE }).collect();
    let mut headers: Vec<libc::mmsghdr> = vectors
        .iter_mut()
        .zip(&mut senders)
        .map(|(vector, sender)| {
            // SAFETY: all zeroes is an empty message header.
            let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_name = (&raw mut *sender).cast();
            header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
            header
        })
        .collect();
    let descriptor = socket.as_fd().as_raw_fd();
    loop {
        // SAFETY: every header points to one vector and one address, every vector to one buffer; all live for the call.
        let got = unsafe {
            libc::recvmmsg(descriptor, headers.as_mut_ptr(), BATCH as libc::c_uint, libc::MSG_DONTWAIT as _, std::ptr::null_mut())
        };
        match Errno::result(got) {
            Ok(got) => {
                let got = headers.iter().zip(&senders).take(usize::try_from(got).unwrap_or(0));
                return Ok(got.map(|(header, sender)| if sender.nl_pid == 0 { header.msg_len as usize } else { 0 }).collect());
            }
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(Vec::new()),
            // Told once for each time that it was full; what did fit is still there.
            Err(Errno::ENOBUFS) => {}
            Err(why) => return Err(why.into()),
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
pub(super) struct Announcement<'a> {
    sequence: u32,
    /// Its kind.
    pub(super) what: u32,
    cpu: u32,
    /// When, on CLOCK_MONOTONIC.
    pub(super) monotonic: u64,
    data: &'a [u8],
}

impl<'a> Announcement<'a> {
    pub(super) fn parse(message: &'a [u8]) -> Option<Self> {
        let word = |at| number_at(message, at);
        let monotonic = message.get(BODY + 8..)?.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes))?;
        Some(Self { sequence: word(24)?, what: word(BODY)?, cpu: word(BODY + 4)?, monotonic, data: message.get(BODY + 16..)? })
    }

    /// One of the numbers that its kind consists of.
    pub(super) fn word(&self, index: usize) -> Option<u32> {
        number_at(self.data, index * 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ROOM: usize = 32 << 20;

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
        stalled.room(ROOM); // the last words must fit: a gap shows by what comes after it
        last_words();
        drain_all(&mut stalled);
        assert!(stalled.gaps > 100, "{}", stalled.gaps);
        assert_eq!(stalled.gaps, stalled.overruns());
    }

    /// Delivered and lost together are what was made, also where the kernel filters and its numbers say nothing.
    #[test]
    fn what_a_filtered_reader_lost_is_counted_exactly() {
        let open = |room| Subscription::open(room).and_then(|mut s| Ok(s.filter(EXEC)?.then_some(s)));
        let (mut stalled, mut whole) = match (open(4096), open(ROOM)) {
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

    #[test]
    fn the_kernel_holds_back_what_is_not_asked_for() {
        let mut events = match Subscription::open(ROOM) {
            Ok(events) => events,
            Err(why) => return eprintln!("skipped: process connector: {why}"),
        };
        if !events.filter(UID | PTRACE).unwrap() {
            return eprintln!("skipped: this kernel cannot filter (Linux 6.6)");
        }
        for _ in 0..20 {
            assert!(std::process::Command::new("true").status().unwrap().success());
        }
        let mut kinds = Vec::new();
        while events.drain(|event| kinds.push(event.what)).unwrap() > 0 {}
        assert!(kinds.iter().all(|kind| matches!(*kind, UID | PTRACE)), "{kinds:?}");
    }

    proptest! {
        #[test]
        fn no_message_can_panic(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = Announcement::parse(&bytes).map(|event| (super::super::notice(&event, 0), super::super::privilege::seen(&event)));
        }
    }
}
