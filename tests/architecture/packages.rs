//! Package rooms: what may be used in one room only, so that each surface is one folder to audit.

use super::reader::{Facts, Source};

/// Path prefix and the rooms that may use it. Test code may use any: it drives the host from outside.
const HOMES: &[(&str, &[&str])] = &[
    ("ratatui", &["tui"]),
    ("crossterm", &["tui"]),
    ("tui_textarea", &["tui"]),
    ("unicode_width", &["tui"]),
    ("rusqlite", &["store"]),
    ("rusqlite_migration", &["store"]),
    ("procfs", &["host"]),
    ("nix", &["host"]),
    ("libc", &["host"]),
    ("notify", &["host"]),
    ("aya", &["host"]),
    ("sd_notify", &["host"]),
    ("simple_dns", &["host"]),
    ("sha2", &["host"]),
    ("std::process::Command", &["host"]),
    ("std::process::Stdio", &["host"]),
    ("std::process::*", &["host"]),
    ("std::os::unix::process::CommandExt", &["host"]),
    ("tokio::process", &["host"]),
    ("reqwest", &["outbound"]),
    ("rustls", &["outbound"]),
    ("clap", &["cli", "main"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("anyhow", &["cli", "main"]),
];

/// Rooms without I/O and without a clock, so that they can be replayed and raced against a simulator.
const PURE: &[&str] = &["model", "detector", "correlator", "court"];

/// What a pure room may not name.
const IMPURE: &[&str] = &[
    "tokio", "std::fs", "std::io", "std::env", "std::process", "std::thread", "std::time::Instant", "std::time::SystemTime",
    "std::net::TcpStream", "std::net::TcpListener", "std::net::UdpSocket", "std::net::ToSocketAddrs", "std::os", "chrono::Local",
    "chrono::Utc::now", "tracing",
];

fn begins_with(path: &[String], prefix: &str) -> bool {
    let prefix: Vec<&str> = prefix.split("::").collect();
    path.len() >= prefix.len() && path.iter().zip(&prefix).all(|(part, wanted)| part == wanted)
}

/// Every package that this file names.
pub fn check(source: &Source, facts: &Facts, out: &mut Vec<String>) {
    let Some(room) = source.room() else { return };
    for (path, _) in facts.paths.iter().filter(|(_, in_test)| !in_test) {
        for (package, homes) in HOMES {
            // A lone word is a local name, not a package, unless `use` brought it.
            let named = begins_with(path, package) && (path.len() > 1 || source.text.contains(&format!("use {package}")));
            if named && !homes.contains(&room.as_str()) {
                out.push(format!("{}: `{}`: {package} is used only in {}/", source.path, path.join("::"), homes.join("/ and ")));
            }
        }
        for impure in IMPURE.iter().filter(|impure| begins_with(path, impure)) {
            if PURE.contains(&room.as_str()) && path.len() > 1 {
                out.push(format!(
                    "{}: `{}`: {room}/ is pure: no {impure}; time and facts arrive as arguments",
                    source.path,
                    path.join("::")
                ));
            }
        }
    }
}
