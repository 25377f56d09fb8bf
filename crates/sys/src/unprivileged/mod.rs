//! A child without rights: our own binary again, knowing nothing of our memory, environment and descriptors, and able to do nothing but
//! read what is handed to it and answer.
//!
//! The near side starts it and ends it ([`Child`]); the far side, before it reads a byte from outside, gives up what it has ([`give_up`]).

mod filter;
mod own_id;
mod rights;
#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::socket::{SockType, getsockopt, sockopt};

use super::{fork_guard, packets};

pub use rights::{MEMORY, give_up};

/// How long one that let go of its socket may take to be gone.
const FAREWELL: Duration = Duration::from_millis(500);

/// How a child ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// In words.
    pub how: String,
    /// What it read can have done that. False for a signal that others send: an operator, a service manager, the kernel when memory is short.
    pub earned: bool,
}

/// Such a child. It is killed and reaped when this is dropped, and dies with the thread that started it.
#[derive(Debug)]
pub struct Child(std::process::Child);

impl Child {
    /// Starts this program (`/proc/self/exe`: our own) with these arguments; gives our end of the socket that is its standard input.
    ///
    /// # Errors
    /// When it cannot be executed, or there is no descriptor left for the socket.
    pub fn start<A: AsRef<OsStr>>(program: &Path, arguments: &[A]) -> io::Result<(Self, OwnedFd)> {
        let (near, far) = packets::pair()?;
        let mut command = Command::new(program);
        command.arg0("bartizan").args(arguments).env_clear().current_dir("/");
        command.stdin(Stdio::from(far)).stdout(Stdio::null()).stderr(Stdio::null());
        // SAFETY: between fork and exec only async-signal-safe calls are made: setsid, prctl, close_range.
        unsafe { command.pre_exec(apart) };
        Ok((Self(fork_guard::start(|| command.spawn())?), near))
    }

    /// Its process id, while it is not reaped.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<Ended> {
        self.0.try_wait().ok().flatten().map(of_status)
    }

    /// Ends it at once.
    pub fn end(mut self) {
        let _ = self.0.kill();
    }

    /// It let go of its socket, so it is about to end by itself; if it is not, that is its own doing, and it is ended.
    pub fn gone(mut self) -> Ended {
        let until = Instant::now() + FAREWELL;
        while Instant::now() < until {
            if let Some(ended) = self.ended() {
                return ended;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ended { how: "it closed its socket and went on".to_owned(), earned: true }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Our own unreaped child: its pid cannot be another's.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn of_status(status: ExitStatus) -> Ended {
    use nix::sys::signal::Signal;
    let Some(number) = status.signal() else {
        return Ended { how: format!("it ended with {}", status.code().unwrap_or_default()), earned: true };
    };
    let signal = Signal::try_from(number);
    let earned = matches!(
        signal,
        Ok(Signal::SIGSYS | Signal::SIGABRT | Signal::SIGSEGV | Signal::SIGBUS | Signal::SIGILL | Signal::SIGFPE | Signal::SIGTRAP)
    );
    let how = match signal {
        Ok(Signal::SIGSYS) => "it asked the kernel for something that it may not have (SIGSYS)".to_owned(),
        Ok(signal) => format!("it was ended by {signal}"),
        Err(_) => format!("it was ended by signal {number}"),
    };
    Ended { how, earned }
}

fn apart() -> io::Result<()> {
    // SAFETY: async-signal-safe calls without pointers, in a child that has one thread.
    unsafe {
        // A Ctrl-C in our terminal is not for it.
        if libc::setsid() < 0 || libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) < 0 {
            return Err(io::Error::last_os_error());
        }
        // Mark, not close: the descriptor by which a failed exec is reported must live until the exec.
        libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
    }
    Ok(())
}

/// The far side's end of the socket: its standard input. To be called once.
///
/// # Errors
/// When standard input is something else: then nobody of ours has started this process.
pub fn own_end() -> io::Result<OwnedFd> {
    let kind = getsockopt(&std::io::stdin(), sockopt::SockType).ok();
    if kind != Some(SockType::SeqPacket) {
        return Err(io::Error::other("the agent starts this, nobody else can"));
    }
    // SAFETY: the descriptor is open, as its type was read, and the caller takes it once.
    Ok(unsafe { OwnedFd::from_raw_fd(0) })
}
