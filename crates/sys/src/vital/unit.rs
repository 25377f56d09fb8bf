//! Whether a unit of systemd is active, and its main process: `systemctl show`, fixed words, bounded in time.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::pidfd::key_of;
use bartizan_model::{Vital, VitalKind, VitalState};

/// Asks systemd for one unit, whose name the policy check has seen.
pub fn is_active(unit: &str, within: Duration) -> Vital {
    let (state, detail, main) = match ask(unit, within) {
        Ok((word, main)) if word == "active" || word == "reloading" => (VitalState::Well, word, main),
        Ok((word, main)) => (VitalState::Ill, word, main),
        Err(why) => (VitalState::Unknown, why, None),
    };
    // Its main process alone: an intruder may run in the same cgroup.
    Vital::new(VitalKind::Unit, unit, state, detail).made_of(main.and_then(key_of))
}

/// How it stands, and its main process.
fn ask(unit: &str, within: Duration) -> Result<(String, Option<u32>), String> {
    if !Path::new("/run/systemd/system").is_dir() {
        return Err("systemd does not run here".to_owned());
    }
    let mut command = Command::new("systemctl");
    command.args(["show", "--property=ActiveState,MainPID", "--", unit]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|why| format!("systemctl cannot be run ({why})"))?;
    let deadline = Instant::now() + within;
    while child.try_wait().map_err(|why| why.to_string())?.is_none() {
        if Instant::now() >= deadline {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("systemd does not answer within {}", humantime::format_duration(within)));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut said = String::new();
    if let Some(stdout) = child.stdout.take() {
        // Two short lines; a pipe holds them, so that nobody waited for us to read.
        let _ = stdout.take(256).read_to_string(&mut said);
    }
    let value = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let word: String = value("ActiveState").unwrap_or_default().chars().filter(|c| c.is_ascii_lowercase() || *c == '-').collect();
    let main = value("MainPID").and_then(|pid| pid.parse().ok()).filter(|pid| *pid > 0);
    if word.is_empty() { Err("systemd gave no answer".to_owned()) } else { Ok((word, main)) }
}
