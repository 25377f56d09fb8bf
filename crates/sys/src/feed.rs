//! Giving a program something to read, as a user without rights: nothing of ours in its environment, little patience.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{Pid, Uid, User};

use super::child::{PROGRAMS, die_with_us};
use super::fork_guard;

/// So much of what it says is kept.
const LONGEST: usize = 1_024;

/// linux/close_range.h: marked to be closed at exec, not closed now.
const CLOSE_RANGE_CLOEXEC: libc::c_uint = 4;

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
    command.args(arguments).env_clear().env("PATH", PROGRAMS).env("LC_ALL", "C").current_dir("/");
    command.stdin(stdin).stdout(Stdio::null()).stderr(Stdio::piped());
    let user = account(user)?;
    let rights = (user.uid != Uid::effective()).then(|| (user.uid.as_raw(), user.gid.as_raw()));
    // SAFETY: between fork and exec only async-signal-safe calls are made.
    unsafe { command.pre_exec(move || apart(rights)) };
    let mut child = fork_guard::start(|| command.spawn())?;
    let mut err = Vec::new();
    let mut pipe = child.stderr.take();
    let status = wait(&mut child, patience, || pipe.as_mut().map_or(Ok(()), |pipe| read(pipe, &mut err)))?;
    Ok(Fed { code: status.code(), err: String::from_utf8_lossy(&err).trim().to_owned() })
}

/// A session of its own, so that it has no terminal of ours to type into; no descriptor of whoever started the agent; the rights of
/// that user and group alone. Called between fork and exec.
fn apart(rights: Option<(libc::uid_t, libc::gid_t)>) -> io::Result<()> {
    // It goes first when memory is short; what only root may say of itself is said before the rights are gone.
    die_with_us()?;
    let done = |result: libc::c_int| if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) };
    // SAFETY: async-signal-safe calls, the only pointer is null, in a child that has one thread.
    unsafe {
        done(libc::setsid())?;
        // Closed at exec: the pipe over which the error of an exec is told is one of them. Kernels before 5.11 do not know the flag.
        libc::syscall(libc::SYS_close_range, 3, u32::MAX, CLOSE_RANGE_CLOEXEC);
        if let Some((uid, gid)) = rights {
            done(libc::setgroups(0, std::ptr::null()))?;
            done(libc::setgid(gid))?;
            done(libc::setuid(uid))?;
        }
    }
    // Other rights undid it (prctl(2), PR_SET_PDEATHSIG).
    die_with_us()
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

/// Takes what is in the pipe now, whoever may hold it longer, and keeps the first of it: a program that says much is not held up.
fn read(pipe: &mut (impl Read + std::os::fd::AsFd), into: &mut Vec<u8>) -> io::Result<()> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    fcntl(pipe.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let mut some = [0; 4_096];
    // At most a pipe full, so that one that writes without end is stopped in time.
    for _ in 0..16 {
        match pipe.read(&mut some) {
            Ok(0) => return Ok(()),
            Ok(length) => {
                let room = LONGEST.saturating_sub(into.len()).min(length);
                into.extend_from_slice(some.get(..room).unwrap_or_default());
            }
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(why) => return Err(why),
        }
    }
    Ok(())
}

/// Waits for its end, listening meanwhile; then whoever it left behind in its group ends too.
fn wait(child: &mut Child, patience: Duration, mut listen: impl FnMut() -> io::Result<()>) -> io::Result<std::process::ExitStatus> {
    let until = Instant::now() + patience;
    let leader = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
    loop {
        // It stays unreaped until its group is ended: so long the group's number cannot be another's.
        let ended = waitid(Id::Pid(leader), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT);
        let is_over = !matches!(ended, Ok(WaitStatus::StillAlive));
        let is_late = Instant::now() >= until;
        listen()?;
        if is_over || is_late {
            let _ = killpg(leader, Signal::SIGKILL);
            let status = child.wait()?;
            if is_over {
                return Ok(status);
            }
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("not done within {}", humantime::format_duration(patience))));
        }
        std::thread::sleep(Duration::from_millis(5));
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
    fn it_has_no_terminal_leaves_nobody_behind_and_may_say_much() {
        let said = sh("ls /proc/self/fd >&2; cut -d' ' -f5-7 /proc/self/stat >&2; exit 0", b"").unwrap();
        let words: Vec<&str> = said.err.split_whitespace().collect();
        // 3 is the directory that ls reads; then group, session and terminal (proc_pid_stat(5)): cut is of our session, without terminal.
        assert_eq!(words[..4], ["0", "1", "2", "3"], "{said:?}");
        assert!(words[4] == words[5] && words[6] == "0", "{said:?}");
        let mark = format!("987{:06}", std::process::id() % 1_000_000);
        assert_eq!(sh(&format!("sleep {mark} & exit 0"), b"").unwrap().code, Some(0));
        let left = std::process::Command::new("pgrep").args(["-f", &format!("^sleep {mark}$")]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&left.stdout), "");
        let said = sh("yes | head -c 300000 >&2; exit 7", b"").unwrap();
        assert_eq!((said.code, said.err.len() <= LONGEST), (Some(7), true));
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
