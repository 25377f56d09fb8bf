//! Who ends a freeze when we cannot: a timer of systemd, or a tiny detached shell of our own.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::pidfd::{PidFd, key_of};
use crate::model::ProcessKey;

/// Name of the file in the runtime directory by which the script tells a living agent that everything is undone.
pub const EMERGENCY_SIGN: &str = "emergency-stop";

/// The script that thaws at its time.
pub const EXPIRE_SCRIPT: &str = include_str!("../../config/bartizan-expire.sh");
/// The script that undoes everything without us; installed next to the program.
pub const EMERGENCY_SCRIPT: &str = include_str!("../../config/bartizan-emergency.sh");
const SHELL: &str = "/bin/sh";
/// How long systemd may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why no watchdog could be set.
#[derive(Debug, thiserror::Error)]
#[error("could not {what}: {why}")]
pub struct WatchdogError {
    what: &'static str,
    why: io::Error,
}

fn fail(what: &'static str) -> impl FnOnce(io::Error) -> WatchdogError {
    move |why| WatchdogError { what, why }
}

/// One that is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Watchdog {
    /// A transient systemd timer.
    Timer(String),
    /// A shell of our own, leader of its own session.
    Shell(ProcessKey),
}

/// Makes sure that the freeze of this note ends `after` this time, whatever becomes of us.
///
/// # Errors
/// When neither systemd nor a shell can be had: then nothing may be frozen.
pub fn set(name: &str, after: Duration, note: &Path) -> Result<Watchdog, WatchdogError> {
    let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
    if Path::new("/run/systemd/system").is_dir() {
        let unit = format!("bartizan-expiry-{name}");
        if timer(&unit, seconds, note) {
            return Ok(Watchdog::Timer(unit));
        }
    }
    let key = shell(seconds, note)?;
    let file = shell_file(note);
    fs::write(&file, format!("{} {}\n", key.pid, key.start)).map_err(fail("note the watchdog down"))?;
    Ok(Watchdog::Shell(key))
}

/// Where the pid of a shell is noted for the emergency script.
fn shell_file(note: &Path) -> PathBuf {
    let mut name = note.as_os_str().to_owned();
    name.push(".watchdog");
    PathBuf::from(name)
}

/// Calls it off. Harmless when it is gone.
pub fn call_off(watchdog: &Watchdog, note: &Path) {
    match watchdog {
        Watchdog::Timer(unit) => {
            let stop = Command::new("systemctl")
                .args(["stop", &format!("{unit}.timer")])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            let _ = stop.map(finish);
        }
        Watchdog::Shell(key) => end_shell(*key),
    }
    let _ = fs::remove_file(shell_file(note));
}

/// Calls off the shell that the file beside a note names: for notes whose journal row knows no watchdog.
pub fn call_off_noted(note: &Path) {
    let noted = fs::read_to_string(shell_file(note)).unwrap_or_default();
    let mut numbers = noted.split_ascii_whitespace().map(str::parse::<u64>);
    if let (Some(Ok(pid)), Some(Ok(start))) = (numbers.next(), numbers.next()) {
        end_shell(ProcessKey { boot: super::pidfd::this_boot(), pid: u32::try_from(pid).unwrap_or(0), start });
    }
    let _ = fs::remove_file(shell_file(note));
}

/// Whether it still watches.
pub fn is_set(watchdog: &Watchdog) -> bool {
    match watchdog {
        Watchdog::Timer(unit) => {
            let ask = Command::new("systemctl")
                .args(["is-active", "--quiet", &format!("{unit}.timer")])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            ask.is_ok_and(finish)
        }
        Watchdog::Shell(key) => key_of(key.pid) == Some(*key),
    }
}

/// The shell leads a session and group of its own, so that its `sleep` ends with it.
fn end_shell(key: ProcessKey) {
    let (Ok(hold), Ok(group)) = (PidFd::open(key), libc::pid_t::try_from(key.pid)) else { return };
    if group > 1 {
        // SAFETY: kill(2) takes two numbers; the group's leader is alive and is the very shell, as `hold` shows.
        unsafe { libc::kill(-group, libc::SIGKILL) };
    }
    hold.wait_gone(Duration::from_secs(1));
}

fn timer(unit: &str, seconds: u64, note: &Path) -> bool {
    Command::new("systemd-run")
        .args(["--quiet", "--collect", "--timer-property=AccuracySec=1s"])
        .arg(format!("--on-active={seconds}s"))
        .arg(format!("--unit={unit}"))
        .args([SHELL, "-c", EXPIRE_SCRIPT, "bartizan-expire", "0"])
        .arg(note)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .is_ok_and(finish)
}

/// Whether it ended well within our patience; ended by us otherwise.
fn finish(mut child: Child) -> bool {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(10)),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return false;
            }
        }
    }
}

/// A shell in a session of its own, child of init, with no descriptor of ours: it says its pid and goes to sleep.
fn shell(seconds: u64, note: &Path) -> Result<ProcessKey, WatchdogError> {
    let mut command = Command::new(SHELL);
    command.args(["-c", EXPIRE_SCRIPT, "bartizan-expire"]).arg(seconds.to_string()).arg(note);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).current_dir("/").env_clear();
    // SAFETY: between fork and exec only async-signal-safe calls are made: fork, _exit, setsid, close_range.
    unsafe { command.pre_exec(detach) };
    let mut child = command.spawn().map_err(fail("start the watchdog"))?;
    let stdout = child.stdout.take();
    // The first fork has ended already; its child is the shell.
    child.wait().map_err(fail("start the watchdog"))?;
    let said =
        stdout.ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe)).and_then(first_line).map_err(fail("hear from the watchdog"))?;
    let key = said.trim().parse().ok().and_then(key_of);
    key.ok_or_else(|| fail("find the watchdog")(io::Error::from(io::ErrorKind::NotFound)))
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

fn first_line(stdout: std::process::ChildStdout) -> io::Result<String> {
    let mut poll = libc::pollfd { fd: stdout.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one pollfd, alive for the call.
    if unsafe { libc::poll(&raw mut poll, 1, 3000) } != 1 {
        return Err(io::Error::from(io::ErrorKind::TimedOut));
    }
    let mut line = String::new();
    BufReader::with_capacity(64, io::Read::take(stdout, 64)).read_line(&mut line)?;
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::freeze::{Freezer, Method, Purpose};
    use crate::host::pidfd::Stat;

    /// The process that froze is stopped or killed; the freeze ends all the same.
    fn expires_without_us(signal: i32) {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: needs root to make cgroups");
            return;
        }
        let _alone = crate::host::own_netns::alone_on_this_host();
        let dir = tempfile::tempdir().unwrap();
        let freezer = Freezer::open(dir.path()).unwrap();
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let root = key_of(child.id()).unwrap();
        let before = fs::read("/proc/self/cgroup").unwrap();
        let name = format!("watchdog-{}-{signal}", std::process::id());
        let note = freezer.note(&name);
        // SAFETY: the child makes only what the agent does, then waits for its end.
        match unsafe { libc::fork() } {
            0 => {
                let frozen = freezer.freeze(&name, Purpose::Hold, &|| vec![root], &|_| Ok(()));
                let set = set(&name, Duration::from_secs(1), &note);
                // SAFETY: ends or stops this process only.
                unsafe {
                    if frozen.is_err() || set.is_err() {
                        libc::_exit(9);
                    }
                    libc::raise(signal);
                    libc::_exit(8)
                }
            }
            agent => {
                let (mut status, began) = (0, Instant::now());
                // SAFETY: waits for the child just made.
                unsafe { libc::waitpid(agent, &raw mut status, libc::WUNTRACED) };
                assert!(libc::WIFSIGNALED(status) || libc::WIFSTOPPED(status), "{status}");
                assert!(freezer.look(&freezer.recall(&name).unwrap()).frozen);
                while freezer.noted().contains(&name) && began.elapsed() < Duration::from_secs(8) {
                    std::thread::sleep(Duration::from_millis(50));
                }
                // SAFETY: ends and reaps the child just made.
                unsafe {
                    libc::kill(agent, libc::SIGKILL);
                    libc::waitpid(agent, &raw mut status, 0);
                }
            }
        }
        assert!(!note.exists(), "the note is gone");
        assert!(freezer.method() == Method::Stop || !freezer.group_dir(&name).unwrap().exists(), "the group is gone");
        assert_eq!(fs::read(format!("/proc/{}/cgroup", root.pid)).unwrap(), before, "it is back in its cgroup");
        assert_eq!(Stat::read(root.pid).unwrap().state, b'S');
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_freeze_ends_although_the_agent_was_killed() {
        expires_without_us(libc::SIGKILL);
    }

    #[test]
    fn a_freeze_ends_although_the_agent_hangs() {
        expires_without_us(libc::SIGSTOP);
    }

    #[test]
    fn a_watchdog_called_off_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let note = dir.path().join("note");
        let Watchdog::Shell(key) = set("called-off", Duration::from_secs(600), &note).unwrap() else { return };
        assert!(is_set(&Watchdog::Shell(key)));
        let stat = Stat::read(key.pid).unwrap();
        assert_eq!((stat.session, stat.group), (key.pid, key.pid), "a session of its own");
        call_off(&Watchdog::Shell(key), &note);
        assert!(!is_set(&Watchdog::Shell(key)));
        let left = crate::host::pidfd::everything().unwrap();
        assert!(!left.iter().any(|stat| stat.session == key.pid && !stat.is_dead()), "its sleep ended too");
        assert!(!shell_file(&note).exists());
    }
}
