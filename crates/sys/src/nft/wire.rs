//! Netlink messages of the netfilter family: written, sent, acknowledged, read back.
//!
//! Layout from include/uapi/linux/netlink.h and nfnetlink.h. No reply is trusted to be well formed: every length
//! is checked and what does not fit ends the parse.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::sealed::Sealed;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// This is a request.
const REQUEST: u16 = 0x1;
/// Several messages follow, ended by NLMSG_DONE.
const ACK: u16 = 0x4;
const DUMP: u16 = 0x300;
const DUMP_INTERRUPTED: u16 = 0x10;
const CREATE: u16 = 0x400;
const EXCLUSIVE: u16 = 0x200;
const APPEND: u16 = 0x800;
const NESTED: u16 = 0x8000;
const NFTABLES: u16 = 10;
const CONNTRACK: u16 = 1;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// The most that one dump may bring: 65,536 elements of each of four sets need about 20 MB.
const DUMP_LIMIT: usize = 32 << 20;

/// How a change treats what is already there.
#[derive(Debug, Clone, Copy)]
pub(super) enum Existing {
    /// Make it; an equal one is an error.
    Refuse,
    /// Make one more, at the end.
    Append,
    /// Only change or remove.
    Need,
}

/// Bytes of one or more messages under construction.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    changes: usize,
}

impl Batch {
    /// An open transaction: all of its changes take, or none.
    pub(super) fn begin() -> Self {
        let mut batch = Self::default();
        batch.message(BATCH_BEGIN, REQUEST, |b| b.bytes.extend(header(0, NFTABLES)));
        batch
    }

    /// One change inside the transaction, acknowledged by itself.
    pub(super) fn change(&mut self, kind: u16, existing: Existing, family: u8, body: impl FnOnce(&mut Self)) {
        let flags = REQUEST
            | ACK
            | match existing {
                Existing::Refuse => CREATE | EXCLUSIVE,
                Existing::Append => CREATE | APPEND,
                Existing::Need => 0,
            };
        self.changes += 1;
        self.message((NFTABLES << 8) | kind, flags, |b| {
            b.bytes.extend(header(family, 0));
            body(b);
        });
    }

    /// The bytes of the whole transaction, closed, and how many changes it holds.
    pub(super) fn close(mut self) -> (Vec<u8>, usize) {
        self.message(BATCH_END, REQUEST, |b| b.bytes.extend(header(0, NFTABLES)));
        (self.bytes, self.changes)
    }

    /// The same without its end: the kernel tries each change, answers, and takes all of them back.
    pub(super) fn leave_open(self) -> (Vec<u8>, usize) {
        (self.bytes, self.changes)
    }

    fn message(&mut self, kind: u16, flags: u16, body: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.bytes.extend([0; 4]);
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(flags.to_ne_bytes());
        self.bytes.extend((self.changes as u32).to_ne_bytes());
        self.bytes.extend([0; 4]);
        body(self);
        let length = (self.bytes.len() - start) as u32;
        patch(&mut self.bytes, start, &length.to_ne_bytes());
    }

    /// One attribute.
    pub(super) fn attr(&mut self, kind: u16, value: &[u8]) {
        self.bytes.extend(((4 + value.len()) as u16).to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// One attribute holding a number, most significant byte first as netfilter wants it.
    pub(super) fn number(&mut self, kind: u16, value: u32) {
        self.attr(kind, &value.to_be_bytes());
    }

    /// One attribute holding a zero-ended name.
    pub(super) fn name(&mut self, kind: u16, value: &str) {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.attr(kind, &bytes);
    }

    /// One attribute holding attributes.
    pub(super) fn nest(&mut self, kind: u16, body: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.bytes.extend((kind | NESTED).to_ne_bytes());
        body(self);
        let length = (self.bytes.len() - start) as u16;
        patch(&mut self.bytes, start, &length.to_ne_bytes());
    }
}

fn header(family: u8, resource: u16) -> [u8; 4] {
    let [high, low] = resource.to_be_bytes();
    [family, 0, high, low]
}

fn patch(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

/// A netlink socket to netfilter, in the network namespace of the thread that opened it.
#[derive(Debug)]
pub(super) struct Socket(OwnedFd, Mutex<()>);

impl Socket {
    /// A bound socket with a two-second limit on reads.
    pub(super) fn open() -> io::Result<Self> {
        // SAFETY: socket(2) takes no pointer; the descriptor is owned at once.
        let raw = unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_NETFILTER) };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `raw` is a fresh descriptor that nobody else owns.
        let fd = unsafe { OwnedFd::from_raw_fd(raw) };
        let limit = libc::timeval { tv_sec: 2, tv_usec: 0 };
        // SAFETY: the pointer and length describe `limit`, alive for the call.
        let set = unsafe {
            libc::setsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVTIMEO, (&raw const limit).cast(), size_of_val(&limit) as u32)
        };
        if set < 0 { Err(io::Error::last_os_error()) } else { Ok(Self(fd, Mutex::default())) }
    }

    /// Held from a question to its last answer: two threads may share the socket.
    fn my_turn(&self) -> MutexGuard<'_, ()> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a transaction that was sealed; the kernel has carried it out, or none of it, when this returns.
    pub(super) fn commit(&self, sealed: &Sealed) -> io::Result<()> {
        let (wanted, _turn) = (sealed.changes(), self.my_turn());
        self.make_room(sealed.bytes().len())?;
        self.send(sealed.bytes())?;
        // nfnetlink works inside sendmsg(2): every reply is queued already, so an empty queue means the end.
        let (mut acks, mut failure) = (0, None);
        while let Some(bytes) = self.receive(libc::MSG_DONTWAIT)? {
            for message in messages(&bytes) {
                match message.error() {
                    Some(0) => acks += 1,
                    Some(code) => failure = failure.or(Some(code)),
                    None => {}
                }
            }
        }
        match failure {
            Some(code) => Err(io::Error::from_raw_os_error(code)),
            None if acks < wanted => Err(io::Error::other(format!("the kernel acknowledged {acks} of {wanted} changes"))),
            None => Ok(()),
        }
    }

    /// All answers to one question, each given to `each` as its attributes. Repeated when the kernel says that
    /// the listing changed while it was read.
    pub(super) fn dump(&self, kind: u16, family: u8, body: impl Fn(&mut Batch)) -> io::Result<Vec<Vec<u8>>> {
        let _turn = self.my_turn();
        for _ in 0..5 {
            self.question((NFTABLES << 8) | kind, DUMP, family, &body)?;
            if let Some(answers) = self.read_dump(DUMP_LIMIT, |_| true)? {
                return Ok(answers);
            }
        }
        Err(io::Error::new(io::ErrorKind::Interrupted, "the listing kept changing while it was read"))
    }

    /// The answers of connection tracking to one question that `keep` wants. Connections come and go always, so one
    /// reading is taken as it is; at most `most` bytes are read.
    pub(super) fn dump_tracked(&self, kind: u16, family: u8, most: usize, keep: impl Fn(&[u8]) -> bool) -> io::Result<Vec<Vec<u8>>> {
        let _turn = self.my_turn();
        self.question((CONNTRACK << 8) | kind, DUMP, family, &|_: &mut Batch| {})?;
        self.read_dump(most, keep).map(Option::unwrap_or_default)
    }

    /// One order to connection tracking, acknowledged.
    pub(super) fn order_tracked(&self, kind: u16, family: u8, body: impl Fn(&mut Batch)) -> io::Result<()> {
        let _turn = self.my_turn();
        self.question((CONNTRACK << 8) | kind, ACK, family, &body)?;
        let bytes = self.receive(0)?.ok_or(io::ErrorKind::TimedOut)?;
        match messages(&bytes).find_map(|message| message.error()) {
            Some(0) => Ok(()),
            Some(code) => Err(io::Error::from_raw_os_error(code)),
            None => Err(io::Error::other("the kernel did not acknowledge")),
        }
    }

    /// The answer to one question about one thing; an error of the kernel when there is none such.
    pub(super) fn ask(&self, kind: u16, family: u8, body: impl Fn(&mut Batch)) -> io::Result<()> {
        let _turn = self.my_turn();
        self.question((NFTABLES << 8) | kind, 0, family, &body)?;
        let bytes = self.receive(0)?.ok_or(io::ErrorKind::TimedOut)?;
        match messages(&bytes).find_map(|message| message.error()) {
            None | Some(0) => Ok(()),
            Some(code) => Err(io::Error::from_raw_os_error(code)),
        }
    }

    fn question(&self, kind: u16, flags: u16, family: u8, body: &impl Fn(&mut Batch)) -> io::Result<()> {
        let mut request = Batch::default();
        request.message(kind, REQUEST | flags, |b| {
            b.bytes.extend(header(family, 0));
            body(b);
        });
        self.send(&request.bytes)
    }

    /// `None`: interrupted by a change, ask again.
    fn read_dump(&self, most: usize, keep: impl Fn(&[u8]) -> bool) -> io::Result<Option<Vec<Vec<u8>>>> {
        let (mut answers, mut total, mut interrupted) = (Vec::new(), 0, false);
        loop {
            let bytes = self.receive(0)?.ok_or(io::ErrorKind::TimedOut)?;
            total += bytes.len();
            if total > most {
                return Err(io::Error::other(format!("the listing is larger than {} MB", most >> 20)));
            }
            for message in messages(&bytes) {
                interrupted |= message.flags & DUMP_INTERRUPTED != 0;
                match message.kind {
                    NLMSG_DONE => {
                        return match message.number() {
                            Some(code) if code < 0 => Err(io::Error::from_raw_os_error(code.wrapping_neg())),
                            _ => Ok((!interrupted).then_some(answers)),
                        };
                    }
                    NLMSG_ERROR => match message.error() {
                        Some(code) if code != 0 => return Err(io::Error::from_raw_os_error(code)),
                        _ => {}
                    },
                    // Four bytes of nfgenmsg stand before the attributes.
                    _ => answers.extend(message.body.get(4..).filter(|attributes| keep(attributes)).map(<[u8]>::to_vec)),
                }
            }
        }
    }

    /// A socket that hears what this group of the kernel tells.
    pub(super) fn listening(group: u32) -> io::Result<Self> {
        let socket = Self::open()?;
        let wait = libc::timeval { tv_sec: 0, tv_usec: 500_000 };
        let fd = socket.0.as_raw_fd();
        let done = |code: libc::c_int| if code < 0 { Err(io::Error::last_os_error()) } else { Ok(()) };
        // SAFETY: each pointer and length describe a value alive for the call; all zeros is a valid sockaddr_nl.
        unsafe {
            let mut own: libc::sockaddr_nl = std::mem::zeroed();
            own.nl_family = libc::AF_NETLINK as u16;
            done(libc::bind(fd, (&raw const own).cast(), size_of_val(&own) as u32))?;
            done(libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_RCVTIMEO, (&raw const wait).cast(), size_of_val(&wait) as u32))?;
            let (level, join) = (libc::SOL_NETLINK, libc::NETLINK_ADD_MEMBERSHIP);
            done(libc::setsockopt(fd, level, join, (&raw const group).cast(), size_of_val(&group) as u32))?;
        }
        Ok(socket)
    }

    /// What a [`Socket::listening`] one hears next of nftables; nothing after half a second of silence.
    pub(super) fn hear(&self) -> io::Result<Vec<Heard>> {
        let Some(bytes) = self.receive(0)? else { return Ok(Vec::new()) };
        let ours = messages(&bytes).filter(|message| message.kind >> 8 == NFTABLES);
        let heard = ours.filter_map(|message| {
            let attributes = message.body.get(4..)?.to_vec();
            Some(Heard { kind: message.kind & 0xff, family: *message.body.first()?, attributes })
        });
        Ok(heard.collect())
    }

    /// A message longer than the socket's buffer is refused (EMSGSIZE); 212,992 bytes is the kernel's own choice.
    fn make_room(&self, length: usize) -> io::Result<()> {
        if length < 100_000 {
            return Ok(());
        }
        let size = libc::c_int::try_from(length).unwrap_or(libc::c_int::MAX);
        // SAFETY: the pointer and length describe `size`, alive for the call.
        let set = unsafe {
            libc::setsockopt(
                self.0.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_SNDBUFFORCE,
                (&raw const size).cast(),
                size_of_val(&size) as u32,
            )
        };
        if set < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        // SAFETY: pointer and length describe `bytes`.
        let sent = unsafe { libc::send(self.0.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Whether nothing waits to be read, nor an error to be told.
    pub(super) fn is_empty(&self) -> bool {
        let _turn = self.my_turn();
        let mut byte = 0u8;
        // SAFETY: the pointer describes one byte, alive for the call; MSG_TRUNC and MSG_PEEK take nothing away.
        let got =
            unsafe { libc::recv(self.0.as_raw_fd(), (&raw mut byte).cast(), 1, libc::MSG_PEEK | libc::MSG_TRUNC | libc::MSG_DONTWAIT) };
        got < 0 && io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock
    }

    /// One datagram, or `None` when there is none (yet).
    fn receive(&self, flags: i32) -> io::Result<Option<Vec<u8>>> {
        let mut buffer = vec![0u8; 64 << 10];
        loop {
            // SAFETY: pointer and length describe `buffer`.
            let got = unsafe { libc::recv(self.0.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), flags) };
            if let Ok(length) = usize::try_from(got) {
                buffer.truncate(length);
                return Ok(Some(buffer));
            }
            let error = io::Error::last_os_error();
            match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock => return Ok(None),
                _ => return Err(error),
            }
        }
    }
}

/// One message of nftables that was not an answer.
#[derive(Debug)]
pub(super) struct Heard {
    /// Which order it tells of.
    pub(super) kind: u16,
    pub(super) family: u8,
    pub(super) attributes: Vec<u8>,
}

struct Message<'a> {
    kind: u16,
    flags: u16,
    body: &'a [u8],
}

impl Message<'_> {
    fn number(&self) -> Option<i32> {
        self.body.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes))
    }

    /// The errno of an error message, 0 for an acknowledgement.
    fn error(&self) -> Option<i32> {
        (self.kind == NLMSG_ERROR).then(|| self.number().map_or(libc::EBADMSG, i32::wrapping_neg))
    }
}

fn messages(bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(*rest.first_chunk()?) as usize;
        let kind = u16::from_ne_bytes(*rest.get(4..)?.first_chunk()?);
        let flags = u16::from_ne_bytes(*rest.get(6..)?.first_chunk()?);
        let body = rest.get(16..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Message { kind, flags, body })
    })
}

/// The attributes in `bytes`, as (kind, value).
pub(super) fn attrs(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = u16::from_ne_bytes(*rest.first_chunk()?) as usize;
        let kind = u16::from_ne_bytes(*rest.get(2..)?.first_chunk()?) & 0x3fff;
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The first attribute of this kind; empty when there is none.
pub(super) fn attr(bytes: &[u8], kind: u16) -> &[u8] {
    attrs(bytes).find(|(found, _)| *found == kind).map_or(&[], |(_, value)| value)
}

/// A zero-ended name.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.split(|b| *b == 0).next().unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_from_outside_can_break_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for message in messages(&bytes) {
                let _ = (message.error(), attrs(message.body).count());
            }
            attrs(&bytes).for_each(|(_, value)| drop((text(value), attrs(value).count())));
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut batch = Batch::default();
        batch.nest(3, |b| {
            b.number(1, 7);
            b.name(2, "abc");
        });
        let nested = attr(&batch.bytes, 3);
        assert_eq!((attr(nested, 1), text(attr(nested, 2))), (&[0, 0, 0, 7][..], "abc".to_owned()));
    }
}
