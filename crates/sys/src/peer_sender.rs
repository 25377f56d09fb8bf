//! Which process wrote what arrives on a Unix socket (SO_PASSCRED, SCM_CREDENTIALS, unix(7)): not the one that
//! connected once, but the one that wrote these very bytes.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::sys::socket::{setsockopt, sockopt};

/// From now on the kernel says with every message who sent it.
///
/// # Errors
/// When the kernel refuses; then [`receive`] tells no sender.
pub fn ask_for_senders(socket: BorrowedFd<'_>) -> io::Result<()> {
    Ok(setsockopt(&socket, sockopt::PassCred, &true)?)
}

/// Room for one SCM_CREDENTIALS and nothing more, aligned as control messages are (cmsg(3)).
#[repr(C, align(8))]
struct Control([u8; 64]);

/// Reads what is there into `buffer`: how many bytes (0 at the end), and the pid of the process that wrote them, when
/// the kernel tells. Bytes of two writers never come in one call. Descriptors that somebody sends along are closed.
///
/// # Errors
/// As recvmsg(2); `WouldBlock` when nothing is there.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<(usize, Option<u32>)> {
    let mut control = Control([0; 64]);
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: all zero is a valid msghdr; the fields that matter are set below.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    // SAFETY: CMSG_SPACE is arithmetic. Just the room for the credentials: the kernel drops what does not fit.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(size_of::<libc::ucred>() as libc::c_uint) } as _;
    // SAFETY: the header points to the buffer and the control room above, both alive and as long as it says.
    let read = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC) };
    let Ok(read) = usize::try_from(read) else { return Err(io::Error::last_os_error()) };
    Ok((read, sender(&message)))
}

/// The pid in the control messages; descriptors among them are closed.
fn sender(message: &libc::msghdr) -> Option<u32> {
    let mut found = None;
    // SAFETY: the kernel filled the header; the macros stay within msg_controllen and say null at its end. Data is read
    // unaligned and only when the record is long enough for it.
    unsafe {
        let mut record = libc::CMSG_FIRSTHDR(message);
        while !record.is_null() {
            let (level, kind, length) = ((*record).cmsg_level, (*record).cmsg_type, (*record).cmsg_len as usize);
            let data = libc::CMSG_DATA(record);
            let bytes = length.saturating_sub(data.offset_from(record.cast()) as usize);
            if level == libc::SOL_SOCKET && kind == libc::SCM_CREDENTIALS && bytes >= size_of::<libc::ucred>() {
                let credentials: libc::ucred = std::ptr::read_unaligned(data.cast());
                found = u32::try_from(credentials.pid).ok().filter(|pid| *pid != 0);
            }
            if level == libc::SOL_SOCKET && kind == libc::SCM_RIGHTS {
                for at in 0..bytes / size_of::<libc::c_int>() {
                    let fd: libc::c_int = std::ptr::read_unaligned(data.cast::<libc::c_int>().add(at));
                    drop(OwnedFd::from_raw_fd(fd));
                }
            }
            record = libc::CMSG_NXTHDR(message, record);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::process::{Command, Stdio};

    #[test]
    fn the_writer_is_told_and_not_the_one_who_connected() {
        let (near, mut far) = UnixStream::pair().unwrap();
        ask_for_senders(near.as_fd()).unwrap();
        let mut buffer = [0; 64];
        assert_eq!(receive(near.as_fd(), &mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        far.write_all(b"own").unwrap();
        let inherited: OwnedFd = far.try_clone().unwrap().into();
        let mut child = Command::new("/bin/sh").args(["-c", "printf child"]).stdout(Stdio::from(inherited)).spawn().unwrap();
        child.wait().unwrap();
        assert_eq!(receive(near.as_fd(), &mut buffer).unwrap(), (3, Some(std::process::id())), "two writers never come in one call");
        assert_eq!(receive(near.as_fd(), &mut buffer).unwrap(), (5, Some(child.id())));
        drop(far);
        assert_eq!(receive(near.as_fd(), &mut buffer).unwrap().0, 0);
    }
}
