//! Sleeps until an address, a route or a link of this host changes (rtnetlink(7)), somebody rings, or time is over.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

use bartizan_sys::netlink::{Family, Socket};

/// RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_IFADDR, RTMGRP_IPV6_ROUTE (linux/rtnetlink.h).
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;

/// Nothing is waited for at the socket itself.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A sleeper that the kernel and other threads can wake.
#[derive(Debug)]
pub struct Waker {
    /// Nothing when the kernel refuses: then time alone wakes.
    changes: Option<Socket>,
    notify: EventFd,
}

impl Waker {
    /// Listens from now on to changes of this thread's network namespace.
    ///
    /// # Errors
    /// When the kernel gives no descriptor at all.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            changes: Socket::listening(Family::Route, GROUPS, AT_ONCE).ok(),
            notify: EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?,
        })
    }

    /// Wakes the sleeper, or spares it the next sleep.
    pub fn ring(&self) {
        // A bell that was rung too often to be rung again wakes all the same.
        let _ = self.notify.write(1);
    }

    /// Sleeps at most so long.
    pub fn sleep(&self, most: Duration) {
        let mut wait: Vec<PollFd<'_>> = vec![PollFd::new(self.notify.as_fd(), PollFlags::POLLIN)];
        wait.extend(self.changes.as_ref().map(|changes| PollFd::new(changes.as_fd(), PollFlags::POLLIN)));
        // Interrupted: looking once more than needed does no harm.
        let _ = poll(&mut wait, PollTimeout::try_from(most).unwrap_or(PollTimeout::MAX));
        let _ = self.notify.read();
        let Some(changes) = &self.changes else { return };
        // What exactly changed is read anew from the kernel; here only that something did. A flood of changes is cut: the
        // next sleep ends at once.
        for _ in 0..1024 {
            if !matches!(changes.receive_now(), Ok(Some(_))) {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_isolation::own_netns::in_own_network;
    use std::process::Command;
    use std::time::Instant;

    #[test]
    fn a_new_address_a_ring_and_time_end_the_sleep() {
        in_own_network(|| {
            let waker = Waker::new().unwrap();
            let begun = Instant::now();
            assert!(Command::new("ip").args(["addr", "add", "198.51.100.9/32", "dev", "lo"]).status().unwrap().success());
            waker.sleep(Duration::from_secs(60));
            waker.ring();
            waker.sleep(Duration::from_secs(60));
            assert!(begun.elapsed() < Duration::from_secs(30));
            let begun = Instant::now();
            waker.sleep(Duration::from_millis(30));
            assert!(begun.elapsed() >= Duration::from_millis(30), "and nothing rings twice");
        });
    }
}
