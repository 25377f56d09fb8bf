//! One ring buffer of the kernel: waiting for it, and taking raw records out in order.

use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use aya::maps::{MapData, RingBuf};

/// Records taken at once, so that a storm cannot keep the reader from seeing that it should stop.
const MAX_TAKE: usize = 16_384;

/// The reading end.
pub struct Ring(RingBuf<MapData>);

impl Ring {
    pub(super) fn new(ring: RingBuf<MapData>) -> Self {
        Self(ring)
    }

    /// Waits until something is there, at most `timeout`. Whether there is.
    ///
    /// # Errors
    /// When the ring is broken.
    pub fn wait(&self, timeout: Duration) -> io::Result<bool> {
        let mut fd = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let milliseconds = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: one pollfd that lives for the call.
        match unsafe { libc::poll(&raw mut fd, 1, milliseconds) } {
            -1 => match io::Error::last_os_error() {
                e if e.kind() == io::ErrorKind::Interrupted => Ok(false),
                e => Err(e),
            },
            _ if fd.revents & (libc::POLLERR | libc::POLLNVAL) != 0 => Err(io::Error::other("the ring was closed")),
            ready => Ok(ready > 0),
        }
    }

    /// Hands over what is there, in the order in which it happened; how many. A storm is taken in portions.
    pub fn take(&mut self, mut each: impl FnMut(&[u8])) -> usize {
        for taken in 0..MAX_TAKE {
            let Some(record) = self.0.next() else { return taken };
            each(&record);
        }
        MAX_TAKE
    }
}
