//! Without a standing watchdog: a transient timer of systemd, or a tiny detached shell, one for each action.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{EXPIRE_SCRIPT, Expiry, Keeper, SHELL, WatchdogError, fail, script};
use crate::pidfd::{PidFd, key_of};
use bartizan_model::ProcessKey;

/// How long systemd may take to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Sets one for this action alone: 1 to 20 ms.
pub(super) fn set(expiry: &Expiry) -> Result<Keeper, WatchdogError> {
    let seconds = expiry.after.as_secs() + u64::from(expiry.after.subsec_nanos() > 0);
    if Path::new("/run/systemd/system").is_dir() {
        // The deadline's millisecond in the name: one that is prolonged gets a second timer before it loses the first.
        let unit = format!("bartizan-expiry-{}-{}", expiry.name, crate::clock::boot_ns() / 1_000_000);
        if script::command_for(&expiry.note, "0").is_ok_and(|run| timer(&unit, seconds, &run)) {
            return Ok(Keeper::Timer(unit));
        }
    }
    let key = shell(seconds, &expiry.note)?;
    let file = shell_file(&expiry.note);
    fs::write(&file, format!("{} {}\n", key.pid, key.start)).map_err(fail("note the watchdog down"))?;
    Ok(Keeper::Shell(key))
}

/// Where the pid of a shell is noted for the emergency script.
fn shell_file(note: &Path) -> PathBuf {
    let mut name = note.as_os_str().to_owned();
    name.push(".watchdog");
    PathBuf::from(name)
}

/// Calls it off. Harmless when it is gone.
pub(super) fn call_off(keeper: &Keeper) {
    match keeper {
        Keeper::Standing => {}
        Keeper::Timer(unit) => {
            systemctl(&["stop", &format!("{unit}.timer")]);
        }
        Keeper::Shell(key) => end_shell(*key),
    }
}

/// Calls off the shell that the file beside a note names: for notes whose journal row knows no watchdog.
pub(super) fn call_off_noted(note: &Path) {
    let noted = fs::read_to_string(shell_file(note)).unwrap_or_default();
    let mut numbers = noted.split_ascii_whitespace().map(str::parse::<u64>);
    if let (Some(Ok(pid)), Some(Ok(start))) = (numbers.next(), numbers.next()) {
        end_shell(ProcessKey { boot: crate::pidfd::this_boot(), pid: u32::try_from(pid).unwrap_or(0), start });
    }
    let _ = fs::remove_file(shell_file(note));
}

/// Whether a transient timer still waits; one that systemd is too busy to tell of does.
pub(super) fn timer_waits(unit: &str) -> bool {
    systemctl(&["is-active", "--quiet", &format!("{unit}.timer")]) != Some(false)
}

/// Asks systemd; whether it did, `None` when it gave no answer in time. What was asked may still come then.
pub(super) fn systemctl(arguments: &[&str]) -> Option<bool> {
    let mut command = Command::new("systemctl");
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().map_or(Some(false), |child| finish(child, PATIENCE))
}

/// The shell leads a session and group of its own, so that its `sleep` ends with it.
pub(super) fn end_shell(key: ProcessKey) {
    let (Ok(hold), Ok(group)) = (PidFd::open(key), libc::pid_t::try_from(key.pid)) else { return };
    if group > 1 {
        // SAFETY: kill(2) takes two numbers; the group's leader is alive and is the very shell, as `hold` shows.
        unsafe { libc::kill(-group, libc::SIGKILL) };
    }
    hold.wait_gone(Duration::from_secs(1));
}

/// `run` holds nothing that systemd would expand, so that the unit is the same after a `daemon-reload`.
fn timer(unit: &str, seconds: u64, run: &[String]) -> bool {
    Command::new("systemd-run")
        .args(["--quiet", "--collect", "--timer-property=AccuracySec=1s", "--description=Ends an action of Bartizan at its time"])
        .arg(format!("--on-active={seconds}s"))
        .arg(format!("--unit={unit}"))
        .args(run)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .is_ok_and(|child| finish(child, PATIENCE) == Some(true))
}

/// Whether it ended well; `None` when not within our patience: then it is ended by us.
pub(super) fn finish(mut child: Child, patience: Duration) -> Option<bool> {
    let deadline = Instant::now() + patience;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status.success()),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(10)),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return None;
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
    hear_pid(command, "start the watchdog")
}

/// Starts a shell that [`detach`] makes init's, and waits until it says its pid.
pub(super) fn hear_pid(mut command: Command, what: &'static str) -> Result<ProcessKey, WatchdogError> {
    let mut child = command.spawn().map_err(fail(what))?;
    let stdout = child.stdout.take();
    // The first fork has ended already; its child is the shell.
    child.wait().map_err(fail(what))?;
    let said = stdout.ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe)).and_then(first_line).map_err(fail(what))?;
    let key = said.trim().parse().ok().and_then(key_of);
    key.ok_or_else(|| fail(what)(io::Error::from(io::ErrorKind::NotFound)))
}

pub(super) fn detach() -> io::Result<()> {
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
