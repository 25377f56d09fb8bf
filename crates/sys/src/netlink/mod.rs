//! Netlink (netlink(7)): the one socket and the one loop that reads answers; [`message`] writes and takes apart what goes over it.

pub mod message;

use std::io;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, NetlinkAddr, bind, recv, send, setsockopt, sockopt};
use nix::sys::time::TimeVal;
use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType, socket_with};

use message::{Message, messages};

/// NLMSG_ERROR: an errno, or 0 as acknowledgement.
const ERROR: u16 = 2;
/// NLMSG_DONE: the end of a listing.
pub(crate) const DONE: u16 = 3;
/// NLM_F_DUMP_INTR: what is listed changed meanwhile.
const INTERRUPTED: u16 = 0x10;
/// No datagram of the kernel is longer (NLMSG_GOODSIZE, and what a dump makes of a larger buffer).
const LONGEST: usize = 64 << 10;
/// What a socket takes in one message without being asked to make room (net.core.wmem_default is 212,992).
const ROOM: usize = 100_000;

/// Who is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Addresses, routes, links (rtnetlink(7)).
    Route,
    /// Open sockets (sock_diag(7)).
    SockDiag,
    /// nftables and connection tracking.
    Netfilter,
    /// The process connector.
    Connector,
    /// Everything that registers under a name.
    Generic,
}

impl Family {
    fn number(self) -> libc::c_int {
        match self {
            Self::Route => libc::NETLINK_ROUTE,
            Self::SockDiag => libc::NETLINK_SOCK_DIAG,
            Self::Netfilter => libc::NETLINK_NETFILTER,
            Self::Connector => libc::NETLINK_CONNECTOR,
            Self::Generic => libc::NETLINK_GENERIC,
        }
    }
}

/// Whether the answer so far is enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Read on.
    More,
    /// The rest need not be read: the socket is of no use afterwards.
    Enough,
}

/// What was read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// All of one moment.
    Whole,
    /// What was listed changed meanwhile: ask again where that matters.
    Interrupted,
}

/// A socket to the kernel, in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Socket(OwnedFd);

impl Socket {
    /// One that asks; an answer that does not come within `patience` is an error.
    ///
    /// # Errors
    /// When the kernel has no such family, or no descriptor to give.
    pub fn open(family: Family, patience: Duration) -> io::Result<Self> {
        // nix names no NETLINK_CONNECTOR. The protocol of routes has the number 0.
        let protocol = NonZeroU32::new(family.number().cast_unsigned()).map(Protocol::from_raw);
        let socket = Self(socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?);
        let (seconds, micros) = (i64::try_from(patience.as_secs()).unwrap_or(i64::MAX), i64::from(patience.subsec_micros()));
        setsockopt(&socket.0, sockopt::ReceiveTimeout, &TimeVal::new(seconds as _, micros as _))?;
        Ok(socket)
    }

    /// One that hears what these groups tell (a bit for each, the first group's is 1).
    ///
    /// # Errors
    /// As [`Socket::open`]; also when the process may not listen to a group.
    pub fn listening(family: Family, groups: u32, patience: Duration) -> io::Result<Self> {
        let socket = Self::open(family, patience)?;
        bind(socket.0.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        Ok(socket)
    }

    /// Sends one datagram of whole messages.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn send(&self, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() > ROOM {
            // A message longer than the socket's buffer is refused (EMSGSIZE).
            setsockopt(&self.0, sockopt::SndBufForce, &bytes.len())?;
        }
        Ok(send(self.0.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL).map(drop)?)
    }

    /// The next datagram, waited for.
    ///
    /// # Errors
    /// `TimedOut` when none came within the socket's patience; ENOBUFS when some were lost.
    pub fn receive(&self) -> io::Result<Vec<u8>> {
        self.datagram(MsgFlags::empty())?.ok_or_else(too_late)
    }

    /// The next datagram, if one is there already.
    ///
    /// # Errors
    /// ENOBUFS when some were lost.
    pub fn receive_now(&self) -> io::Result<Option<Vec<u8>>> {
        self.datagram(MsgFlags::MSG_DONTWAIT)
    }

    fn datagram(&self, flags: MsgFlags) -> io::Result<Option<Vec<u8>>> {
        let mut buffer = vec![0; LONGEST];
        Ok(self.read(&mut buffer, flags)?.map(<[u8]>::to_vec))
    }

    fn read<'a>(&self, buffer: &'a mut [u8], flags: MsgFlags) -> io::Result<Option<&'a [u8]>> {
        loop {
            match recv(self.0.as_raw_fd(), buffer, flags) {
                Ok(length) => return Ok(buffer.get(..length)),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(None),
                Err(why) => return Err(why.into()),
            }
        }
    }

    /// Whether nothing waits to be read, nor an error to be told.
    pub fn is_empty(&self) -> bool {
        let look = MsgFlags::MSG_PEEK | MsgFlags::MSG_TRUNC | MsgFlags::MSG_DONTWAIT;
        recv(self.0.as_raw_fd(), &mut [0], look) == Err(Errno::EAGAIN)
    }

    /// Gives each message of the answer to `each`, until it has enough, the listing ends or the order is acknowledged; reads at
    /// most `most` bytes.
    ///
    /// # Errors
    /// The kernel's own error; `TimedOut`; an answer that is longer.
    pub fn answers(&self, most: usize, mut each: impl FnMut(&Message<'_>) -> Next) -> io::Result<Listing> {
        let (mut buffer, mut all, mut listing) = (vec![0; LONGEST], 0, Listing::Whole);
        loop {
            let bytes = self.read(&mut buffer, MsgFlags::empty())?.ok_or_else(too_late)?;
            all += bytes.len();
            if all > most {
                return Err(io::Error::other(format!("the kernel's answer is larger than {} MB", most >> 20)));
            }
            for message in messages(bytes) {
                if message.flags & INTERRUPTED != 0 {
                    listing = Listing::Interrupted;
                }
                match (message.kind, message.number()) {
                    (ERROR, 0) | (DONE, 0..) => return Ok(listing),
                    (ERROR | DONE, code) => return Err(io::Error::from_raw_os_error(code.wrapping_neg())),
                    _ if each(&message) == Next::Enough => return Ok(listing),
                    _ => {}
                }
            }
        }
    }
}

fn too_late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the kernel did not answer in time")
}

impl From<OwnedFd> for Socket {
    fn from(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }
}

impl AsFd for Socket {
    /// Readable when something waits to be read.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::message::{Writer, attribute, attributes, header, number_at};
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(2);
    /// RTM_GETLINK and NLM_F_REQUEST | NLM_F_DUMP; `struct ifinfomsg` of zeroes.
    const GET_LINK: u16 = 18;
    const DUMP: u16 = 0x301;

    #[test]
    fn a_listing_is_read_to_its_end_and_a_refusal_is_an_error() {
        let socket = Socket::open(Family::Route, PATIENCE).unwrap();
        socket.send(&header(GET_LINK, DUMP, &[0; 16])).unwrap();
        let mut names = Vec::new();
        let read = socket.answers(1 << 20, |message| {
            let name = attribute(message.body.get(16..).unwrap_or_default(), 3);
            names.push(String::from_utf8_lossy(name).trim_end_matches('\0').to_owned());
            Next::More
        });
        assert!(read.is_ok() && names.contains(&"lo".to_owned()), "{names:?}");
        assert!(socket.is_empty(), "read to its end");
        // A link of number -1 there is none; the kernel says which errno.
        let mut request = [0; 16];
        request[4..8].copy_from_slice(&i32::MAX.to_ne_bytes());
        socket.send(&header(GET_LINK, 1, &request)).unwrap();
        assert_eq!(socket.answers(1 << 20, |_| Next::More).unwrap_err().raw_os_error(), Some(libc::ENODEV));
    }

    #[test]
    fn an_answer_that_is_too_long_or_does_not_come_is_an_error() {
        let socket = Socket::open(Family::Route, Duration::from_millis(50)).unwrap();
        assert_eq!(socket.receive().unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(socket.receive_now().unwrap().is_none());
        socket.send(&header(GET_LINK, DUMP, &[0; 16])).unwrap();
        assert!(socket.answers(8, |_| Next::More).unwrap_err().to_string().contains("larger"));
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut writer = Writer::default();
        writer.message(7, 1, 9, |w| {
            w.put(&[5; 4]);
            w.nest(3, |w| {
                w.number(1, 7);
                w.name(2, "abc");
            });
        });
        let bytes = writer.into_bytes();
        let message = messages(&bytes).next().unwrap();
        assert_eq!((message.kind, message.flags, number_at(message.body, 0)), (7, 1, Some(0x0505_0505)));
        let nested = attribute(&message.body[4..], 3);
        assert_eq!((attribute(nested, 1), attribute(nested, 2)), (&[0, 0, 0, 7][..], &b"abc\0"[..]));
        assert_eq!(attributes(nested).count(), 2);
    }
}
