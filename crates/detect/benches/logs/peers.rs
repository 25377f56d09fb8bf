//! fail2ban-regex and fail2ban-rs on the same lines, where they are installed.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A row of the table for each peer.
pub(crate) fn rows(text: &str) -> Vec<String> {
    let folder = std::env::temp_dir().join(format!("bartizan-logs-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("auth.log");
    std::fs::write(&file, text).unwrap();
    let lines = text.lines().count();
    let file = file.to_str().unwrap().to_owned();
    let mut rows = Vec::new();
    match found("FAIL2BAN_REGEX", "fail2ban-regex") {
        Some(program) => {
            let filter = std::env::var("FAIL2BAN_FILTER").unwrap_or_else(|_| "sshd".to_owned());
            rows.push(row("fail2ban-regex", lines, Command::new(program).args(["-m", "off", &file, &filter])));
        }
        None => rows.push("| fail2ban-regex | not installed | | |".to_owned()),
    }
    match found("FAIL2BAN_RS", "fail2ban-rs") {
        Some(program) => {
            // Its own patterns for sshd, as it writes them.
            let jail = Command::new(&program).args(["gen-config", "sshd"]).output().map(|output| output.stdout).unwrap_or_default();
            let config = folder.join("config.toml");
            std::fs::write(&config, [b"[global]\n", &jail[..]].concat()).unwrap();
            rows.push(row("fail2ban-rs", lines, Command::new(program).args(["dry-run", "--config", config.to_str().unwrap(), &file])));
        }
        None => rows.push("| fail2ban-rs | not installed | | |".to_owned()),
    }
    std::fs::remove_dir_all(&folder).unwrap();
    rows
}

fn found(variable: &str, name: &str) -> Option<PathBuf> {
    let named = std::env::var_os(variable).map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    named.into_iter().chain(std::env::split_paths(&path).map(|folder| folder.join(name))).find(|file| file.exists())
}

/// Seconds of CPU that ended children took, in hundredths (proc_pid_stat(5), cutime and cstime).
fn of_children() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = text.rsplit_once(')').unwrap().1.split_whitespace().collect();
    (fields[13].parse::<f64>().unwrap() + fields[14].parse::<f64>().unwrap()) / 100.0
}

fn row(name: &str, lines: usize, command: &mut Command) -> String {
    let began = of_children();
    let output = command.stdin(Stdio::null()).stderr(Stdio::piped()).stdout(Stdio::piped()).output();
    let Ok(output) = output else { return format!("| {name} | does not start | | |") };
    let spent = of_children() - began;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = text.lines().find(|line| line.contains(" matched") || line.contains("Matches:")).unwrap_or_default();
    if !output.status.success() {
        return format!("| {name} | failed: {} | | |", String::from_utf8_lossy(&output.stderr).lines().next_back().unwrap_or_default());
    }
    format!("| {name} | {:.0} | {} | |", lines as f64 / spent.max(0.01), told.trim())
}
