//! One ring buffer of the kernel: waiting for it, and taking raw records out in order.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use aya::maps::{MapData, RingBuf};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

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
        let mut asked = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        let ready = poll(&mut asked, PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX));
        let [seen] = asked.map(|ring| ring.revents().unwrap_or(PollFlags::empty()));
        match ready {
            Err(Errno::EINTR) => Ok(false),
            Err(why) => Err(why.into()),
            Ok(_) if seen.intersects(PollFlags::POLLERR | PollFlags::POLLNVAL) => Err(io::Error::other("the ring was closed")),
            Ok(ready) => Ok(ready > 0),
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
