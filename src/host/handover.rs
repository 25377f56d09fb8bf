//! Keeping the watch when the terminal goes: the process that the shell started only holds the terminal's
//! place; its child is the agent and can leave for a session of its own at any moment without moving state.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};

use nix::fcntl::OFlag;
use nix::sys::signal::{self, SaFlags, SigAction, SigHandler, SigSet, Signal};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, dup2_stderr, dup2_stdin, dup2_stdout, fork, pipe, pipe2, setsid};

/// The guard's pid, for the signal handler of the holder.
static CHILD: AtomicI32 = AtomicI32::new(0);

/// What the child writes when it leaves the terminal behind.
const DETACHED: u8 = b'D';

/// Which side of the fork this is.
#[derive(Debug)]
pub enum Side {
    /// The shell's own child: call [`Holder::hold`] and exit with what it returns.
    Holder(Holder),
    /// The agent and its console.
    Guard(Leash),
}

/// Holds the terminal's place in the shell.
#[derive(Debug)]
pub struct Holder {
    child: Pid,
    news: OwnedFd,
}

/// The guard's tie to the terminal; [`Leash::slip`] cuts it.
#[derive(Debug)]
pub struct Leash {
    news: OwnedFd,
}

/// Forks into holder and guard. Must be called before any thread exists.
///
/// # Errors
/// When the kernel refuses a pipe or a process.
pub fn split() -> io::Result<Side> {
    let (reader, writer) = pipe()?;
    // SAFETY: called first thing in main, while this process has exactly one thread.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(Side::Holder(Holder { child, news: reader })),
        ForkResult::Child => {
            drop(reader);
            nix::fcntl::fcntl(writer.as_fd(), nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
            Ok(Side::Guard(Leash { news: writer }))
        }
    }
}

impl Holder {
    /// Waits until the guard detaches (then 0) or ends (then its exit status). Signals that a terminal sends
    /// are left to the guard, which decides what they mean.
    pub fn hold(self) -> i32 {
        CHILD.store(self.child.as_raw(), Ordering::Relaxed);
        let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
        let pass_on = SigAction::new(SigHandler::Handler(pass_on), SaFlags::SA_RESTART, SigSet::empty());
        // A terminal that goes away tells only the leader of its session, which may be us: the guard must hear it too.
        for (signal, action) in [
            (Signal::SIGHUP, &pass_on),
            (Signal::SIGTERM, &pass_on),
            (Signal::SIGINT, &ignore),
            (Signal::SIGQUIT, &ignore),
            (Signal::SIGTTOU, &ignore),
        ] {
            // SAFETY: the handler does nothing but kill(2), which is safe in a handler (signal-safety(7)).
            let _ = unsafe { signal::sigaction(signal, action) };
        }
        let mut byte = [0u8; 1];
        let told = std::fs::File::from(self.news).read(&mut byte);
        if matches!(told, Ok(1)) && byte == [DETACHED] {
            return 0;
        }
        match waitpid(self.child, None) {
            Ok(WaitStatus::Exited(_, code)) => code,
            Ok(WaitStatus::Signaled(_, signal, _)) => 128 + signal as i32,
            _ => 1,
        }
    }
}

extern "C" fn pass_on(number: libc::c_int) {
    let child = CHILD.load(Ordering::Relaxed);
    if child > 0 {
        // SAFETY: no pointers; a child that has ended is unreaped while we wait for it, so the pid is still its own.
        unsafe { libc::kill(child, number) };
    }
}

impl Leash {
    /// Leaves the terminal: own session, no input, output to /dev/null, and the holder is told to give the prompt
    /// back. Nothing else changes; threads, sockets and sensors go on.
    ///
    /// # Errors
    /// When /dev/null cannot be opened; the terminal is then still in use.
    pub fn slip(self) -> io::Result<()> {
        let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
        // Not /dev/null: a reader of the lost terminal that takes "nothing more" and errors for "try again" (crossterm
        // does) would turn in circles. From this pipe nothing ever comes.
        let (silence, writer) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)?;
        std::mem::forget(writer);
        // EPERM means that we lead a session already: nothing left to leave.
        let _ = setsid();
        dup2_stdin(&silence)?;
        dup2_stdout(&null)?;
        dup2_stderr(&null)?;
        std::fs::File::from(self.news).write_all(&[DETACHED])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    /// Runs in a process of its own, because a fork in a test runner would copy its threads' locks.
    #[test]
    fn the_holder_returns_when_the_guard_slips_and_the_guard_lives_on() {
        let marker = tempfile::NamedTempFile::new().unwrap();
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "host::handover::tests::inner", "--ignored", "--test-threads=1"])
            .env("BARTIZAN_TEST_MARKER", marker.path())
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while std::fs::read(marker.path()).unwrap() != b"guard lives" {
            assert!(std::time::Instant::now() < deadline, "the guard did not outlive the holder");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    #[test]
    #[ignore = "the inside of the test above"]
    fn inner() {
        let Some(marker) = std::env::var_os("BARTIZAN_TEST_MARKER") else { return };
        match split().unwrap() {
            Side::Holder(holder) => std::process::exit(holder.hold()),
            Side::Guard(leash) => {
                leash.slip().unwrap();
                std::thread::sleep(std::time::Duration::from_millis(100));
                std::fs::write(marker, "guard lives").unwrap();
                std::process::exit(7);
            }
        }
    }
}
