//! What systemd wants to know: ready, still alive, stopping (sd_notify(3)). Silent when nobody asks.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use sd_notify::NotifyState;

/// The agent is up; `status` is shown by `systemctl status`.
pub fn ready(status: &str) {
    // Without NOTIFY_SOCKET this does nothing; a failing notification must not stop the guard.
    let _ = sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The agent reads its configuration again.
pub fn reloading() {
    let _ = sd_notify::notify(&[NotifyState::Reloading]);
}

/// The agent ends on request.
pub fn stopping() {
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
}

/// The agent's pipeline still moves. Call only when it does.
pub fn alive() {
    let _ = sd_notify::notify(&[NotifyState::Watchdog]);
}

/// Whether the host is being shut down or rebooted, as systemd says (systemctl(1), `is-system-running`).
pub fn host_stops() -> bool {
    let mut command = Command::new("systemctl");
    command.arg("is-system-running").stdin(Stdio::null()).stderr(Stdio::null());
    Path::new("/run/systemd/system").is_dir() && command.output().is_ok_and(|output| output.stdout.starts_with(b"stopping"))
}

/// How often [`alive`] is wanted: half of the unit's WatchdogSec; absent when no watchdog is set.
pub fn watchdog_period() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}

/// Whether systemd started this process as a service (INVOCATION_ID, systemd.exec(5)) and wants to be told.
pub fn is_ours() -> bool {
    std::env::var_os("INVOCATION_ID").is_some() && std::env::var_os("NOTIFY_SOCKET").is_some()
}
