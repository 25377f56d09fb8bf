//! For tests: a process of its own that runs a piece of the test, and may be stopped or killed.

/// A forked child; killed and reaped when dropped.
#[derive(Debug)]
pub struct Forked {
    pid: i32,
    reaped: bool,
}

/// What became of one that was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Became {
    /// It ended with this code.
    Exited(i32),
    /// This signal ended it.
    Killed(i32),
    /// This signal stopped it.
    Stopped(i32),
}

impl Forked {
    /// Runs `body` on the child's only thread; the child ends with what it gives.
    pub fn running(body: impl FnOnce() -> i32) -> Self {
        // SAFETY: the child never returns into the test harness.
        let pid = unsafe {
            match libc::fork() {
                0 => libc::_exit(body()),
                pid => pid,
            }
        };
        assert!(pid > 0, "{}", std::io::Error::last_os_error());
        Self { pid, reaped: false }
    }

    /// Waits until it ends or is stopped.
    pub fn wait(&mut self) -> Became {
        let mut status = 0;
        // SAFETY: waits for the child of this very test; the status lives for the call.
        assert_eq!(unsafe { libc::waitpid(self.pid, &raw mut status, libc::WUNTRACED) }, self.pid);
        self.reaped = !libc::WIFSTOPPED(status);
        match status {
            status if libc::WIFSTOPPED(status) => Became::Stopped(libc::WSTOPSIG(status)),
            status if libc::WIFSIGNALED(status) => Became::Killed(libc::WTERMSIG(status)),
            status => Became::Exited(libc::WEXITSTATUS(status)),
        }
    }
}

impl Drop for Forked {
    fn drop(&mut self) {
        if !self.reaped {
            // SAFETY: ends and reaps a child that nobody reaped: its pid cannot be another's.
            unsafe {
                libc::kill(self.pid, libc::SIGKILL);
                libc::waitpid(self.pid, std::ptr::null_mut(), 0);
            }
        }
    }
}

/// Sends this process a signal, as somebody else might.
pub fn strike_me(signal: i32) {
    // SAFETY: concerns this process only.
    unsafe { libc::raise(signal) };
}
