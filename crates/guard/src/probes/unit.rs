//! Whether a unit of systemd is active, and its main process: `systemctl show`, fixed words, bounded in time.

use std::io;
use std::path::Path;
use std::time::Duration;

use bartizan_model::{Probe, ProbeKind, ProbeState};
use bartizan_sys::child;
use bartizan_sys::pidfd::key_of;

/// Asks systemd for one unit, whose name the policy check has seen.
pub fn is_active(unit: &str, within: Duration) -> Probe {
    let (state, detail, main) = match ask(unit, within) {
        Ok((word, main)) if word == "active" || word == "reloading" => (ProbeState::Well, word, main),
        Ok((word, main)) => (ProbeState::Ill, word, main),
        Err(why) => (ProbeState::Unknown, why, None),
    };
    // Its main process alone: an intruder may run in the same cgroup.
    Probe::new(ProbeKind::Unit, unit, state, detail).made_of(main.and_then(key_of))
}

/// How it stands, and its main process.
fn ask(unit: &str, within: Duration) -> Result<(String, Option<u32>), String> {
    if !Path::new("/run/systemd/system").is_dir() {
        return Err("systemd does not run here".to_owned());
    }
    let said = child::ask("systemctl".as_ref(), &["show", "--property=ActiveState,MainPID", "--", unit], within);
    let said = said.map_err(|why| match why.kind() {
        io::ErrorKind::TimedOut => format!("systemd does not answer within {}", humantime::format_duration(within)),
        _ => format!("systemctl cannot be run ({why})"),
    })?;
    let said = String::from_utf8_lossy(&said.out);
    let value = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let word: String = value("ActiveState").unwrap_or_default().chars().filter(|c| c.is_ascii_lowercase() || *c == '-').collect();
    let main = value("MainPID").and_then(|pid| pid.parse().ok()).filter(|pid| *pid > 0);
    if word.is_empty() { Err("systemd gave no answer".to_owned()) } else { Ok((word, main)) }
}
