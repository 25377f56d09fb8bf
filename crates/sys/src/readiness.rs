//! Waiting until a descriptor has something to say (poll(2)), in one place.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Whether one of these can be read, or is broken, within `timeout` (at most 24 days). A signal ends the wait early: then nothing is
/// there yet.
pub(super) fn readable(descriptors: &[BorrowedFd<'_>], timeout: Duration) -> io::Result<bool> {
    ready(descriptors, PollFlags::POLLIN, timeout)
}

/// The same for another kind of news.
pub(super) fn ready(descriptors: &[BorrowedFd<'_>], news: PollFlags, timeout: Duration) -> io::Result<bool> {
    let mut asked: Vec<PollFd<'_>> = descriptors.iter().map(|descriptor| PollFd::new(*descriptor, news)).collect();
    match poll(&mut asked, PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::EINTR) => Ok(false),
        Err(why) => Err(why.into()),
    }
}
