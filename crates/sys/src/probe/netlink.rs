//! One question to the kernel over a netlink socket, and its first answer.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// NLMSG_ERROR (linux/netlink.h).
pub(super) const ERROR: u16 = 2;
/// NLM_F_REQUEST | NLM_F_DUMP.
pub(super) const DUMP: u16 = 0x1 | 0x300;

/// A netlink socket that waits at most half a second for an answer.
pub(super) struct Door(OwnedFd);

impl Door {
    /// Opens and binds one. `protocol` is NETLINK_*, `groups` a bit set of multicast groups.
    pub(super) fn open(protocol: libc::c_int, groups: u32) -> io::Result<Self> {
        // SAFETY: no pointers.
        let fd = check(unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, protocol) })?;
        // SAFETY: just opened, and ours alone.
        let socket = unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) };
        // SAFETY: all zero is a valid address of this type.
        let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        address.nl_family = libc::AF_NETLINK as u16;
        address.nl_groups = groups;
        let length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
        // SAFETY: the address is of the length told and outlives the call.
        check(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) })?;
        let patience = libc::timeval { tv_sec: 0, tv_usec: 500_000 };
        let length = size_of::<libc::timeval>() as libc::socklen_t;
        // SAFETY: the value is of the length told and outlives the call.
        check(unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVTIMEO, (&raw const patience).cast(), length) })?;
        Ok(Self(socket))
    }

    /// Sends one message: type, flags and body after the header.
    pub(super) fn send(&self, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
        let mut message = Vec::with_capacity(16 + body.len());
        message.extend_from_slice(&((16 + body.len()) as u32).to_ne_bytes());
        message.extend_from_slice(&kind.to_ne_bytes());
        message.extend_from_slice(&flags.to_ne_bytes());
        message.extend_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0]); // sequence 1; the kernel fills in our port
        message.extend_from_slice(body);
        // SAFETY: the buffer is of the length told.
        check_size(unsafe { libc::send(self.0.as_raw_fd(), message.as_ptr().cast(), message.len(), 0) }).map(drop)
    }

    /// One datagram, cut into (type, body) messages. An error message becomes an error.
    pub(super) fn receive(&self) -> io::Result<Vec<(u16, Vec<u8>)>> {
        let mut buffer = vec![0_u8; 32 * 1024];
        // SAFETY: the buffer is of the length told.
        let length = check_size(unsafe { libc::recv(self.0.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) })?;
        let mut rest = buffer.get(..length).unwrap_or_default();
        let mut messages = Vec::new();
        while let (Some(size), Some(kind)) = (number(rest, 0), number(rest, 4)) {
            let size = (size as usize).clamp(16, rest.len().max(16));
            let body = rest.get(16..size).unwrap_or_default();
            let code = number(body, 0).map_or(0, |code| (code as i32).wrapping_neg());
            if kind as u16 == ERROR && code > 0 {
                return Err(io::Error::from_raw_os_error(code));
            }
            messages.push((kind as u16, body.to_vec()));
            rest = rest.get(size.next_multiple_of(4)..).unwrap_or_default();
        }
        Ok(messages)
    }
}

/// The 32-bit number at `at`, in the machine's order.
pub(super) fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

pub(super) fn check(code: libc::c_int) -> io::Result<libc::c_int> {
    if code < 0 { Err(io::Error::last_os_error()) } else { Ok(code) }
}

fn check_size(code: isize) -> io::Result<usize> {
    usize::try_from(code).map_err(|_| io::Error::last_os_error())
}
