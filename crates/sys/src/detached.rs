//! Programs and processes that outlive us: of a session of their own, and none of ours that ends them along.

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{self, SaFlags, SigAction, SigHandler, SigSet, Signal};

use super::fork_guard;

/// How long a program may take to say its first line, in milliseconds.
const FIRST_LINE: u16 = 3000;
/// The first line is no longer, in bytes.
const LONGEST: u64 = 64;

/// A program to be started as a child of init: with an empty environment, in `/`, with no descriptor of ours.
#[derive(Debug)]
pub struct Detached(Command);

impl Detached {
    /// This program, with these arguments; `name` is what its command line begins with.
    pub fn new(program: &str, name: &str, arguments: &[&OsStr]) -> Self {
        let mut command = Command::new(program);
        command.arg0(name).args(arguments).env_clear().current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // SAFETY: between fork and exec only async-signal-safe calls are made: fork, _exit, setsid, close_range.
        unsafe { command.pre_exec(detach) };
        Self(command)
    }

    /// With this in its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &OsStr) -> Self {
        self.0.env(name, value);
        self
    }

    /// With this as its standard input.
    #[must_use]
    pub fn stdin(mut self, file: File) -> Self {
        self.0.stdin(file);
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// When it cannot be executed.
    pub fn start(mut self) -> io::Result<()> {
        // The first fork ends at once; its child is the program.
        fork_guard::start(|| self.0.spawn()?.wait().map(drop))
    }

    /// Starts it and waits until it says its first line.
    ///
    /// # Errors
    /// When it cannot be executed, or says nothing for three seconds.
    pub fn start_and_hear(mut self) -> io::Result<String> {
        self.0.stdout(Stdio::piped());
        let mut child = fork_guard::start(|| self.0.spawn())?;
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        child.wait()?;
        if poll(&mut [PollFd::new(stdout.as_fd(), PollFlags::POLLIN)], PollTimeout::from(FIRST_LINE))? != 1 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let mut line = String::new();
        BufReader::with_capacity(64, stdout.take(LONGEST)).read_line(&mut line)?;
        Ok(line)
    }
}

fn detach() -> io::Result<()> {
    // SAFETY: async-signal-safe calls without pointers, in a child that has one thread.
    unsafe {
        match libc::fork() {
            -1 => return Err(io::Error::last_os_error()),
            0 => {}
            _ => libc::_exit(0),
        }
        if libc::setsid() < 0 {
            return Err(io::Error::last_os_error());
        }
        // Mark, not close: the descriptor by which a failed exec is reported must live until the exec.
        libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
    }
    Ok(())
}

/// This process itself: no terminal, no directory, no signal of a login session; a name of its own in lists of processes.
pub fn detach_for_good(name: &CStr) {
    let _ = nix::unistd::setsid();
    let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    for each in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGPIPE] {
        // SAFETY: no handler is installed.
        let _ = unsafe { signal::sigaction(each, &ignore) };
    }
    let _ = nix::sys::prctl::set_name(name);
    let _ = std::env::set_current_dir("/");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_inits_child_in_a_session_of_its_own_and_what_is_no_program_is_an_error() {
        let script = OsStr::new("echo $$ $PPID; exec sleep 5");
        let said = Detached::new("/bin/sh", "sh", &[OsStr::new("-c"), script]).start_and_hear().unwrap();
        let pid: i32 = said.split_whitespace().next().unwrap().parse().unwrap();
        let session = nix::unistd::getsid(Some(nix::unistd::Pid::from_raw(pid))).unwrap();
        assert_ne!(session, nix::unistd::getsid(None).unwrap());
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        assert!(Detached::new("/nonexistent", "x", &[]).start().is_err());
    }
}
