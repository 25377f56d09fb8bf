//! Packets between two processes of ours, each whole or not at all (SOCK_SEQPACKET, unix(7)), one descriptor along at most.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, RecvMsg, SockFlag, SockType, recvmsg, sendmsg, socketpair,
};

use super::readiness;

/// The longest packet, in bytes; it fits into a socket's buffer as the kernel sets it (`net.core.wmem_default`, 208 KiB).
pub const LONGEST: usize = 96 << 10;

/// Both ends; neither outlives an exec.
///
/// # Errors
/// As socketpair(2).
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?)
}

/// Sends one packet, with a descriptor along when there is one.
///
/// # Errors
/// As sendmsg(2); `WouldBlock` when `wait` is false and the far end does not read.
pub fn send(socket: BorrowedFd<'_>, packet: &[u8], along: Option<BorrowedFd<'_>>, wait: bool) -> io::Result<()> {
    let fds: Vec<RawFd> = along.iter().map(AsRawFd::as_raw_fd).collect();
    let control = [ControlMessage::ScmRights(&fds)];
    let control = if fds.is_empty() { &[][..] } else { &control[..] };
    let flags = if wait { MsgFlags::MSG_NOSIGNAL } else { MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT };
    sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(packet)], control, flags, None)?;
    Ok(())
}

/// Waits at most `patience` for a packet and puts it into `buffer`: its length, 0 when the far end is gone. Descriptors that come along are
/// not taken: the kernel closes them.
///
/// # Errors
/// `TimedOut` when nothing came; `InvalidData` for a packet that does not fit; else as recvmsg(2).
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8], patience: Duration) -> io::Result<usize> {
    let until = std::time::Instant::now() + patience;
    // A signal ends one wait early.
    while !readiness::readable(&[socket], until.saturating_duration_since(std::time::Instant::now()))? {
        if std::time::Instant::now() >= until {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
    let mut parts = [IoSliceMut::new(buffer)];
    whole(&recvmsg::<()>(socket.as_raw_fd(), &mut parts, None, MsgFlags::MSG_DONTWAIT)?)
}

/// Waits for a packet however long, and takes the descriptor that came along.
///
/// # Errors
/// As [`receive`].
pub fn receive_along(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut parts = [IoSliceMut::new(buffer)];
    let mut room = nix::cmsg_space!(RawFd);
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut room), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let mut along = None;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = control {
            for fd in fds {
                // SAFETY: the kernel has just made this descriptor for us, and nobody else knows its number. A second one is closed.
                along.get_or_insert(unsafe { OwnedFd::from_raw_fd(fd) });
            }
        }
    }
    Ok((whole(&message)?, along))
}

fn whole<S>(message: &RecvMsg<'_, '_, S>) -> io::Result<usize> {
    if message.flags.contains(MsgFlags::MSG_TRUNC) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a packet is longer than any may be"));
    }
    Ok(message.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::AsFd;

    #[test]
    fn a_packet_comes_whole_with_its_descriptor_and_a_long_one_is_refused() {
        let (near, far) = pair().unwrap();
        let mut buffer = vec![0; LONGEST];
        let timeout = receive(near.as_fd(), &mut buffer, Duration::from_millis(5)).unwrap_err();
        assert_eq!(timeout.kind(), io::ErrorKind::TimedOut);
        let file = std::fs::File::open("/etc/hostname").or_else(|_| std::fs::File::open("/etc/passwd")).unwrap();
        send(near.as_fd(), b"take this", Some(file.as_fd()), true).unwrap();
        let (length, along) = receive_along(far.as_fd(), &mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"take this");
        let mut text = String::new();
        std::fs::File::from(along.unwrap()).read_to_string(&mut text).unwrap();
        assert!(!text.is_empty());
        // Who must not be given any takes none.
        send(far.as_fd(), &vec![7; LONGEST], Some(file.as_fd()), false).unwrap();
        assert_eq!(receive(near.as_fd(), &mut buffer, Duration::from_secs(1)).unwrap(), LONGEST);
        send(far.as_fd(), b"long", None, false).unwrap();
        assert_eq!(receive(near.as_fd(), &mut buffer[..2], Duration::from_secs(1)).unwrap_err().kind(), io::ErrorKind::InvalidData);
        drop(far);
        assert_eq!(receive(near.as_fd(), &mut buffer, Duration::from_secs(1)).unwrap(), 0);
    }
}
