//! Which groups the process at the other end of a Unix socket is in (SO_PEERGROUPS, unix(7), Linux 4.13).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Most groups that a process can be in (NGROUPS_MAX, limits.h).
const MOST: usize = 65_536;

/// Supplementary group ids of the peer at connect time.
///
/// # Errors
/// When the kernel does not tell.
pub fn peer_groups(socket: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    let mut groups = vec![0 as libc::gid_t; 64];
    loop {
        let mut bytes = libc::socklen_t::try_from(std::mem::size_of_val(groups.as_slice())).map_err(io::Error::other)?;
        // SAFETY: the buffer is ours and `bytes` is its length; the kernel writes no more and says how much.
        let result = unsafe {
            libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_PEERGROUPS, groups.as_mut_ptr().cast(), &raw mut bytes)
        };
        let found = bytes as usize / size_of::<libc::gid_t>();
        match result {
            0 => {
                groups.truncate(found);
                return Ok(groups);
            }
            // Too small: the kernel told the size that it takes.
            _ if io::Error::last_os_error().raw_os_error() == Some(libc::ERANGE) && found <= MOST && found > groups.len() => {
                groups.resize(found, 0);
            }
            _ => return Err(io::Error::last_os_error()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    #[test]
    fn our_own_groups_are_told() {
        let (near, _far) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut told = super::peer_groups(near.as_fd()).unwrap();
        let mut own: Vec<u32> = nix::unistd::getgroups().unwrap().into_iter().map(nix::unistd::Gid::as_raw).collect();
        told.sort_unstable();
        own.sort_unstable();
        assert_eq!(told, own);
    }
}
