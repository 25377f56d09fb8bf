//! Without a standing watchdog: a transient timer of systemd, or a tiny detached shell, one for each action.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::{EXPIRE_SCRIPT, Expiry, Keeper, SHELL, WatchdogError, fail, script};
use bartizan_model::ProcessKey;
use bartizan_sys::child;
use bartizan_sys::detached::Detached;
use bartizan_sys::digest::read_bounded;
use bartizan_sys::pidfd::{PidFd, key_of};

/// How long systemd may take to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// "PID START" of a shell.
const LONGEST: u64 = 256;

/// Sets one for this action alone: 1 to 20 ms.
pub(super) fn set(expiry: &Expiry) -> Result<Keeper, WatchdogError> {
    let seconds = expiry.after.as_secs() + u64::from(expiry.after.subsec_nanos() > 0);
    if Path::new("/run/systemd/system").is_dir() {
        // The deadline's millisecond in the name: one that is prolonged gets a second timer before it loses the first.
        let unit = format!("bartizan-expiry-{}-{}", expiry.name, bartizan_sys::clock::boot_ns() / 1_000_000);
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
    let noted = read_bounded(&shell_file(note), LONGEST).unwrap_or_default();
    let noted = String::from_utf8_lossy(&noted);
    let mut numbers = noted.split_ascii_whitespace().map(str::parse::<u64>);
    if let (Some(Ok(pid)), Some(Ok(start))) = (numbers.next(), numbers.next()) {
        end_shell(ProcessKey { boot: bartizan_sys::clock::boot_id(), pid: u32::try_from(pid).unwrap_or(0), start });
    }
    let _ = fs::remove_file(shell_file(note));
}

/// Whether a transient timer still waits; one that systemd is too busy to tell of does.
pub(super) fn timer_waits(unit: &str) -> bool {
    systemctl(&["is-active", "--quiet", &format!("{unit}.timer")]) != Some(false)
}

/// Asks systemd; whether it did, `None` when it gave no answer in time. What was asked may still come then.
pub(super) fn systemctl(arguments: &[&str]) -> Option<bool> {
    child::begin("systemctl".as_ref(), arguments).map_or(Some(false), |child| child::finish(child, PATIENCE))
}

/// The shell leads a session and group of its own, so that its `sleep` ends with it.
pub(super) fn end_shell(key: ProcessKey) {
    let (Ok(hold), Ok(group)) = (PidFd::open(key), i32::try_from(key.pid)) else { return };
    if group > 1 {
        // The group's leader is alive and is the very shell, as `hold` shows.
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
    hold.wait_gone(Duration::from_secs(1));
}

/// `run` holds nothing that systemd would expand, so that the unit is the same after a `daemon-reload`.
fn timer(unit: &str, seconds: u64, run: &[String]) -> bool {
    let (after, unit) = (format!("--on-active={seconds}s"), format!("--unit={unit}"));
    let what = "--description=Ends an action of Bartizan at its time";
    let mut arguments = vec!["--quiet", "--collect", "--timer-property=AccuracySec=1s", what, &after, &unit];
    arguments.extend(run.iter().map(String::as_str));
    child::begin("systemd-run".as_ref(), &arguments).is_ok_and(|child| child::finish(child, PATIENCE) == Some(true))
}

/// A shell in a session of its own, child of init, with no descriptor of ours: it says its pid and goes to sleep.
fn shell(seconds: u64, note: &Path) -> Result<ProcessKey, WatchdogError> {
    let seconds = seconds.to_string();
    let words = ["-c", EXPIRE_SCRIPT, "bartizan-expire", &seconds].map(OsStr::new);
    hear_pid(Detached::new(SHELL, SHELL, &[&words[..], &[note.as_os_str()]].concat()), "start the watchdog")
}

/// Starts a shell and waits until it says its pid.
pub(super) fn hear_pid(shell: Detached, what: &'static str) -> Result<ProcessKey, WatchdogError> {
    let said = shell.start_and_hear().map_err(fail(what))?;
    let key = said.trim().parse().ok().and_then(key_of);
    key.ok_or_else(|| fail(what)(io::Error::from(io::ErrorKind::NotFound)))
}
