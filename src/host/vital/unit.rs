//! Whether a unit of systemd is active: `systemctl is-active`, fixed words, bounded in time.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::vital;
use crate::model::{Vital, VitalKind, VitalState};

/// Asks systemd for one unit, whose name the policy check has seen.
pub fn is_active(unit: &str, within: Duration) -> Vital {
    let (state, detail) = match ask(unit, within) {
        Ok(word) if word == "active" || word == "reloading" => (VitalState::Well, word),
        Ok(word) => (VitalState::Ill, word),
        Err(why) => (VitalState::Unknown, why),
    };
    vital(VitalKind::Unit, unit, state, detail)
}

fn ask(unit: &str, within: Duration) -> Result<String, String> {
    if !Path::new("/run/systemd/system").is_dir() {
        return Err("systemd does not run here".to_owned());
    }
    let mut command = Command::new("systemctl");
    command.args(["is-active", "--", unit]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
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
        // One word; a pipe holds it, so that nobody waited for us to read.
        let _ = stdout.take(64).read_to_string(&mut said);
    }
    let word: String = said.trim().chars().filter(|c| c.is_ascii_lowercase() || *c == '-').collect();
    if word.is_empty() { Err("systemd gave no answer".to_owned()) } else { Ok(word) }
}
