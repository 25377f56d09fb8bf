//! Giving a program something to read, as a user without rights: nothing of ours in its environment, little patience.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, Uid, User};

use super::child::{PROGRAMS, die_with_us};
use super::fork_guard;

/// So much of what it says is kept.
const LONGEST: u64 = 1_024;

/// How a program that was fed ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fed {
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// The first of what it said on its standard error.
    pub err: String,
}

/// Runs `line` (a program and its arguments, no shell) as `user` with `input` on its standard input, and waits for its end.
///
/// # Errors
/// There is no such user, it is root, the program cannot be started, or it has not ended in time: then it and its children are killed.
pub fn feed<A: AsRef<OsStr>>(line: &[A], user: &str, input: &[u8], patience: Duration) -> io::Result<Fed> {
    let [program, arguments @ ..] = line else { return Err(io::ErrorKind::InvalidInput.into()) };
    // A file in memory, not a pipe: a program that does not read holds nobody up.
    let mut stdin = File::from(memfd_create(c"bartizan-input", MFdFlags::MFD_CLOEXEC)?);
    stdin.write_all(input)?;
    stdin.seek(SeekFrom::Start(0))?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("PATH", PROGRAMS).env("LC_ALL", "C").current_dir("/").process_group(0);
    command.stdin(stdin).stdout(Stdio::null()).stderr(Stdio::piped());
    let user = account(user)?;
    if user.uid != Uid::effective() {
        // Supplementary groups are dropped with it (std::os::unix::process::CommandExt::uid).
        command.gid(user.gid.as_raw()).uid(user.uid.as_raw());
    }
    // SAFETY: between fork and exec only async-signal-safe calls are made: prctl, open, write, close.
    unsafe { command.pre_exec(die_with_us) };
    let mut child = fork_guard::start(|| command.spawn())?;
    let status = wait(&mut child, patience)?;
    let mut err = Vec::new();
    if let Some(pipe) = child.stderr.take() {
        read(pipe, &mut err)?;
    }
    Ok(Fed { code: status.code(), err: String::from_utf8_lossy(&err).trim().to_owned() })
}

fn account(name: &str) -> io::Result<User> {
    let found = User::from_name(name)?;
    let by_number = || name.parse().ok().and_then(|uid| User::from_uid(Uid::from_raw(uid)).ok().flatten());
    let user = found.or_else(by_number).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("there is no user {name}")))?;
    if user.uid.is_root() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("{name} is root: name another user")));
    }
    Ok(user)
}

fn read(mut pipe: impl Read + std::os::fd::AsFd, into: &mut Vec<u8>) -> io::Result<()> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    // Somebody whom it left behind may hold the pipe: what is in it is read without waiting for its end.
    fcntl(pipe.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    match pipe.by_ref().take(LONGEST).read_to_end(into) {
        Err(why) if why.kind() == io::ErrorKind::WouldBlock => Ok(()),
        other => other.map(drop),
    }
}

fn wait(child: &mut Child, patience: Duration) -> io::Result<std::process::ExitStatus> {
    let until = Instant::now() + patience;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(5)),
            late => {
                // The leader is our own unreaped child: its group's number cannot be another's.
                if let Ok(group) = i32::try_from(child.id()) {
                    let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
                }
                let _ = child.wait();
                late?;
                return Err(io::Error::new(io::ErrorKind::TimedOut, format!("not done within {}", humantime::format_duration(patience))));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(line: &str, input: &[u8]) -> io::Result<Fed> {
        feed(&["/bin/sh", "-c", line], "nobody", input, Duration::from_secs(2))
    }

    #[test]
    fn a_program_reads_what_it_is_given_as_somebody_without_rights() {
        let nobody = User::from_name("nobody").unwrap().unwrap().uid;
        let said = sh("cat >&2; id -u >&2; id -G >&2; env | grep -c BARTIZAN >&2; exit 3", b"{}\n").unwrap();
        assert_eq!(said.code, Some(3));
        assert!(said.err.starts_with(&format!("{{}}\n{nobody}\n")) && said.err.ends_with("\n0"), "{said:?}");
        assert_eq!(said.err.lines().nth(2).unwrap().split(' ').count(), 1, "no groups of ours: {said:?}");
    }

    #[test]
    fn one_that_does_not_read_or_does_not_end_holds_nobody_up() {
        assert_eq!(sh("exit 0", &vec![b'x'; 1 << 20]).unwrap().code, Some(0));
        let begun = Instant::now();
        assert_eq!(sh("sleep 60 & sleep 60", b"").unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn root_and_nobody_known_are_refused() {
        for (user, kind) in
            [("root", io::ErrorKind::PermissionDenied), ("0", io::ErrorKind::PermissionDenied), ("n-o-n-e", io::ErrorKind::NotFound)]
        {
            assert_eq!(feed(&["/bin/true"], user, b"", Duration::from_secs(1)).unwrap_err().kind(), kind, "{user}");
        }
    }
}
