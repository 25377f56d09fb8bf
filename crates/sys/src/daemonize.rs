//! Keeping the watch when the terminal goes: the process that the shell started only holds the terminal's
//! place; its child is the agent and can leave for a session of its own at any moment without moving state.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{self, SaFlags, SigAction, SigHandler, SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, dup2_stderr, dup2_stdin, dup2_stdout, fork, pipe, pipe2, setsid};

use super::terminal_place::{self, Before};

/// The guard's pid, for the signal handler of the holder.
static CHILD: AtomicI32 = AtomicI32::new(0);

/// What the child tells: that it leaves the terminal behind, that its console is on it or off it, that the shell shall have it.
const DETACHED: u8 = b'D';
const TAKEN: u8 = b'T';
const LEFT: u8 = b'L';
const SUSPENDED: u8 = b'S';

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
    news: File,
    /// How the terminal was, to be put back when the guard cannot.
    before: Option<Before>,
    /// The guard's console is on the terminal.
    taken: bool,
}

/// The guard's tie to the terminal; [`Leash::slip`] cuts it.
#[derive(Debug)]
pub struct Leash {
    line: Line,
}

/// What the guard tells its holder with. A holder that is gone hears nothing, which is no error.
#[derive(Debug, Clone)]
pub struct Line(Arc<File>);

impl Line {
    fn tell(&self, what: u8) {
        let _ = (&*self.0).write_all(&[what]);
    }

    /// The console is on the terminal.
    pub fn taken(&self) {
        self.tell(TAKEN);
    }

    /// The console gave the terminal back as it was.
    pub fn left(&self) {
        self.tell(LEFT);
    }

    /// The shell shall have the terminal; the guard goes on without.
    pub fn suspended(&self) {
        self.tell(SUSPENDED);
    }
}

/// Forks into holder and guard. Must be called before any thread exists.
///
/// # Errors
/// When the kernel refuses a pipe or a process.
pub fn split() -> io::Result<Side> {
    let before = Before::note();
    let (reader, writer) = pipe()?;
    // SAFETY: called first thing in main, while this process has exactly one thread.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(Side::Holder(Holder { child, news: File::from(reader), before, taken: false })),
        ForkResult::Child => {
            drop(reader);
            terminal_place::survive_job_control();
            nix::fcntl::fcntl(writer.as_fd(), nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
            Ok(Side::Guard(Leash { line: Line(Arc::new(File::from(writer))) }))
        }
    }
}

impl Holder {
    /// Waits until the guard detaches (then 0) or ends (then its exit status). Signals that a terminal sends
    /// are left to the guard, which decides what they mean. When it is stopped or killed, the terminal is put back here.
    pub fn hold(mut self) -> i32 {
        CHILD.store(self.child.as_raw(), Ordering::Relaxed);
        let children = listen();
        loop {
            match self.told(children.as_ref()) {
                Some(DETACHED) => return 0,
                Some(TAKEN) => self.taken = true,
                Some(LEFT) => self.taken = false,
                Some(SUSPENDED) => terminal_place::stop_until_continued(),
                Some(_) => {}
                None => {
                    if let Some(code) = self.look_after() {
                        return code;
                    }
                }
            }
        }
    }

    /// The next word of the guard; `None` when something became of it instead.
    fn told(&mut self, children: Option<&SignalFd>) -> Option<u8> {
        let mut wanted = vec![PollFd::new(self.news.as_fd(), PollFlags::POLLIN)];
        wanted.extend(children.map(|children| PollFd::new(children.as_fd(), PollFlags::POLLIN)));
        let _ = poll(&mut wanted, PollTimeout::NONE);
        let has_word = wanted.first().and_then(PollFd::revents).is_some_and(|events| !events.is_empty());
        // What it said comes before what became of it.
        let mut byte = [0u8; 1];
        if has_word && matches!(self.news.read(&mut byte), Ok(1)) {
            return byte.first().copied();
        }
        children.map(SignalFd::read_signal);
        None
    }

    /// What became of the guard; its exit status once it has ended.
    fn look_after(&mut self) -> Option<i32> {
        let closed = matches!(poll(&mut [PollFd::new(self.news.as_fd(), PollFlags::empty())], PollTimeout::ZERO), Ok(1));
        let flags = if closed { WaitPidFlag::WUNTRACED } else { WaitPidFlag::WUNTRACED | WaitPidFlag::WNOHANG };
        match waitpid(self.child, Some(flags)) {
            Ok(WaitStatus::Exited(_, code)) => Some(code),
            Ok(WaitStatus::Signaled(_, signal, _)) => {
                self.put_back();
                Some(128 + signal as i32)
            }
            // Nobody answers a key any more: the shell shall have its terminal, and `fg` lets both go on.
            Ok(WaitStatus::Stopped(..)) => {
                self.put_back();
                terminal_place::stop_until_continued();
                let _ = signal::kill(self.child, Signal::SIGCONT);
                None
            }
            Ok(_) => None,
            Err(_) => Some(1),
        }
    }

    fn put_back(&mut self) {
        if std::mem::take(&mut self.taken)
            && let Some(before) = &self.before
        {
            before.put_back();
        }
    }
}

/// Passes on what only the leader of a session hears, leaves the rest to the guard, and hears what becomes of it.
fn listen() -> Option<SignalFd> {
    let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    let pass_on = SigAction::new(SigHandler::Handler(pass_on), SaFlags::SA_RESTART, SigSet::empty());
    // A terminal that goes away tells only the leader of its session, which may be us: the guard must hear it too.
    for (signal, action) in [(Signal::SIGHUP, &pass_on), (Signal::SIGTERM, &pass_on), (Signal::SIGINT, &ignore), (Signal::SIGQUIT, &ignore)]
    {
        // SAFETY: the handler does nothing but kill(2), which is safe in a handler (signal-safety(7)).
        let _ = unsafe { signal::sigaction(signal, action) };
    }
    terminal_place::survive_job_control();
    let mut children = SigSet::empty();
    children.add(Signal::SIGCHLD);
    children.thread_block().ok()?;
    SignalFd::with_flags(&children, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).ok()
}

extern "C" fn pass_on(number: libc::c_int) {
    let child = CHILD.load(Ordering::Relaxed);
    if child > 0 {
        // SAFETY: no pointers; a child that has ended is unreaped while we wait for it, so the pid is still its own.
        unsafe { libc::kill(child, number) };
    }
}

impl Leash {
    /// What the console tells the holder with.
    pub fn line(&self) -> Line {
        self.line.clone()
    }

    /// Leaves the terminal: own session, no input, output to /dev/null, and the holder is told to give the prompt
    /// back. Nothing else changes; threads, sockets and sensors go on.
    ///
    /// # Errors
    /// When /dev/null cannot be opened; the terminal is then still in use.
    pub fn slip(self) -> io::Result<()> {
        let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
        // Not /dev/null: a reader of the lost terminal that takes "nothing more" and errors for "try again" (crossterm
        // does) would turn in circles. From this pipe nothing ever comes.
        let (silence, writer): (OwnedFd, OwnedFd) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)?;
        std::mem::forget(writer);
        // EPERM means that we lead a session already: nothing left to leave.
        let _ = setsid();
        dup2_stdin(&silence)?;
        dup2_stdout(&null)?;
        dup2_stderr(&null)?;
        self.line.tell(DETACHED);
        Ok(())
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
            .args(["--exact", "daemonize::tests::inner", "--ignored", "--test-threads=1"])
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
