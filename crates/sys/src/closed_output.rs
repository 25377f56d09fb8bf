//! Whether anybody still reads what is written to standard output: `head` and `grep -m1` end before we do.

use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Waits until nobody reads standard output any more: the other end of a pipe or socket was closed, a terminal is gone.
/// For ever where that cannot happen, as with a file.
pub fn wait() {
    let output = std::io::stdout();
    loop {
        // No event is asked for: errors and hang-ups come unasked (poll(2)).
        let mut asked = [PollFd::new(output.as_fd(), PollFlags::empty())];
        let woken = poll(&mut asked, PollTimeout::NONE);
        let said = asked.first().and_then(PollFd::revents).unwrap_or(PollFlags::empty());
        if woken.is_ok() && said.intersects(PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL) {
            return;
        }
        if woken.is_err_and(|why| why != nix::errno::Errno::EINTR) {
            return;
        }
    }
}
