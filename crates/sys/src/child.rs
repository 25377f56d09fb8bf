//! Asking a program of the system: an environment of our own, little patience, a bounded answer.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::fork_guard;

/// The longest answer; it fits into the pipe, so nobody has to read while the program runs.
const LONGEST: u64 = 60 << 10;

/// How long one that was killed may take to be gone: it may hang in the kernel, at a disk that does not answer.
const FAREWELL: Duration = Duration::from_millis(500);

/// As the reader of logs has it: when memory is short, who only prints goes before the guard.
const OOM_SCORE: &[u8] = b"500";

/// Where programs of the system are looked for: only places that root alone writes. The last three are NixOS's and Guix System's.
pub const PROGRAMS: &str =
    "/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin:/run/current-system/profile/sbin:/run/current-system/profile/bin";

/// What a program said.
#[derive(Debug)]
pub struct Said {
    /// Whether it ended with 0.
    pub success: bool,
    /// On its standard output.
    pub out: Vec<u8>,
    /// On its standard error.
    pub err: Vec<u8>,
}

/// Runs it with these arguments and waits for its end.
///
/// # Errors
/// When it cannot be started, or has not ended in time: then it is killed.
pub fn ask<A: AsRef<OsStr>>(program: &OsStr, arguments: &[A], patience: Duration) -> io::Result<Said> {
    let mut command = clean(program, arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = fork_guard::start(|| command.spawn())?;
    let success = wait(&mut child, patience)?;
    let mut said = Said { success, out: Vec::new(), err: Vec::new() };
    if let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) {
        // Somebody whom it left behind may hold the pipe: what is in it is read without waiting for its end.
        read(out, &mut said.out)?;
        read(err, &mut said.err)?;
    }
    Ok(said)
}

/// A program with an environment of our own.
fn clean<A: AsRef<OsStr>>(program: &OsStr, arguments: &[A]) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", PROGRAMS).env("LC_ALL", "C").current_dir("/");
    command.args(arguments);
    command
}

/// Starts it without anything to read or to say.
///
/// # Errors
/// When it cannot be started.
pub fn begin<A: AsRef<OsStr>>(program: &OsStr, arguments: &[A]) -> io::Result<Child> {
    let mut command = clean(program, arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    fork_guard::start(|| command.spawn())
}

/// A program that talks until it is told to stop: killed and reaped when this is dropped, and dies with the thread that started it.
#[derive(Debug)]
pub struct Stream(Child);

impl Stream {
    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<String> {
        self.0.try_wait().ok().flatten().map(|status| status.to_string())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // Our own unreaped child: its pid cannot be another's.
        let _ = self.0.kill();
        let until = Instant::now() + FAREWELL;
        while matches!(self.0.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Starts it; gives the pipe that its standard output is, from which nobody has read.
///
/// # Errors
/// When it cannot be started.
pub fn stream<A: AsRef<OsStr>>(program: &OsStr, arguments: &[A]) -> io::Result<(Stream, OwnedFd)> {
    let mut command = clean(program, arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    // SAFETY: between fork and exec only async-signal-safe calls are made: prctl, open, write, close.
    unsafe { command.pre_exec(die_with_us) };
    let mut child = fork_guard::start(|| command.spawn())?;
    let pipe = child.stdout.take();
    let stream = Stream(child);
    Ok((stream, pipe.ok_or(io::ErrorKind::BrokenPipe)?.into()))
}

/// Starts a program of the person who sits here, in their own environment, whose standard input and output are this stream; gives the
/// pipe that its standard error is. For ssh(1), which needs their keys and asks on their terminal.
///
/// # Errors
/// When it cannot be started.
pub fn carry<A: AsRef<OsStr>>(program: &OsStr, arguments: &[A], stream: OwnedFd) -> io::Result<(Stream, OwnedFd)> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(stream.try_clone()?).stdout(stream).stderr(Stdio::piped());
    let mut child = fork_guard::start(|| command.spawn())?;
    let pipe = child.stderr.take();
    let carrier = Stream(child);
    Ok((carrier, pipe.ok_or(io::ErrorKind::BrokenPipe)?.into()))
}

/// A killed agent leaves nobody behind who reads on. To be called between fork and exec.
pub(super) fn die_with_us() -> io::Result<()> {
    // SAFETY: async-signal-safe calls, in a child that has one thread; the pointers are to constants, the descriptor is ours.
    unsafe {
        if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) < 0 {
            return Err(io::Error::last_os_error());
        }
        let score = libc::open(c"/proc/self/oom_score_adj".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if score >= 0 {
            libc::write(score, OOM_SCORE.as_ptr().cast(), OOM_SCORE.len());
            libc::close(score);
        }
    }
    Ok(())
}

/// Waits for its end: whether it ended with 0; `None` when it did not within that time: then it is killed.
pub fn finish(mut child: Child, patience: Duration) -> Option<bool> {
    wait(&mut child, patience).ok()
}

fn read(mut pipe: impl Read + std::os::fd::AsFd, into: &mut Vec<u8>) -> io::Result<()> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    fcntl(pipe.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    match pipe.by_ref().take(LONGEST).read_to_end(into) {
        Err(why) if why.kind() == io::ErrorKind::WouldBlock => Ok(()),
        other => other.map(drop),
    }
}

fn wait(child: &mut Child, patience: Duration) -> io::Result<bool> {
    let until = Instant::now() + patience;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status.success()),
            Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(2)),
            late => {
                // Our own unreaped child: its pid cannot be another's.
                let _ = child.kill();
                let _ = child.wait();
                late?;
                return Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {}", humantime::format_duration(patience))));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_bounded_in_time_and_its_end_is_not_waited_for() {
        let sh = |line: &str| ask(OsStr::new("sh"), &["-c", line], Duration::from_millis(500));
        let said = sh("echo out; echo err >&2; exit 3").unwrap();
        assert_eq!((said.success, said.out.as_slice(), said.err.as_slice()), (false, &b"out\n"[..], &b"err\n"[..]));
        assert_eq!(sh("sleep 9").unwrap_err().kind(), io::ErrorKind::TimedOut);
        let begun = Instant::now();
        assert_eq!(sh("sleep 3 & echo left behind").unwrap().out, b"left behind\n");
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    }

    #[test]
    fn a_stream_dies_with_the_thread_that_started_it_and_goes_first_when_memory_is_short() {
        let (_stream, pipe) = stream(OsStr::new("cat"), &["/proc/self/oom_score_adj"]).unwrap();
        let mut said = String::new();
        std::fs::File::from(pipe).read_to_string(&mut said).unwrap();
        assert_eq!(said.trim(), "500");
        let begun = Instant::now();
        let start = || {
            let (stream, pipe) = stream(OsStr::new("sleep"), &["30"]).unwrap();
            // As if the agent had been killed: nobody drops it.
            (std::mem::ManuallyDrop::new(stream), pipe)
        };
        let (mut stream, pipe) = std::thread::spawn(start).join().unwrap();
        assert_eq!(std::fs::File::from(pipe).read_to_string(&mut said).unwrap(), 0, "its end closes the pipe");
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        assert!(stream.0.wait().is_ok_and(|status| !status.success()));
    }
}
