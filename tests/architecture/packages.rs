//! Outside packages: what may be used in one crate only, so that each surface is one folder to audit.

use super::reader::{Facts, Source};
use super::workspace::Crate;

/// Packages and the crates that may use them. Tests may use any: they drive the host from outside.
const HOMES: &[(&str, &[&str])] = &[
    ("ratatui", &["console"]),
    ("crossterm", &["console"]),
    ("ratatui-textarea", &["console"]),
    ("unicode-width", &["console"]),
    ("rusqlite", &["store"]),
    ("rusqlite_migration", &["store"]),
    ("lz4_flex", &["store"]),
    ("procfs", &["sys"]),
    ("rustix", &["sys"]),
    // In the crates without `unsafe` libc is only a list of numbers.
    ("nix", &["sys", "enforce", "guard", "isolation"]),
    ("libc", &["sys", "enforce", "guard", "isolation"]),
    ("tempfile", &["isolation"]),
    ("notify", &["sys"]),
    ("aya", &["sys"]),
    ("sd-notify", &["sys"]),
    ("simple-dns", &["sys"]),
    ("sha2", &["sys"]),
    ("seccompiler", &["sys"]),
    ("postcard", &["integrity", "worker"]),
    ("similar", &["integrity"]),
    ("boreal", &["integrity"]),
    ("fancy-regex", &["fail2ban"]),
    ("rsigma-eval", &["rules"]),
    ("rsigma-parser", &["rules"]),
    ("yaml_serde", &["rules"]),
    ("flate2", &["scan"]),
    ("reqwest", &["outbound"]),
    ("rustls", &["outbound"]),
    ("ring", &["outbound"]),
    ("lettre", &["outbound"]),
    ("tracing-subscriber", &["telemetry"]),
    ("clap", &["bartizan"]),
    ("clap_complete", &["bartizan"]),
    ("clap_mangen", &["bartizan"]),
    ("anyhow", &["bartizan"]),
];

/// Of the standard library and the runtime: children are started in one crate alone.
const CHILDREN: &[&str] =
    &["std::process::Command", "std::process::Stdio", "std::process::*", "std::os::unix::process::CommandExt", "tokio::process"];

/// Crates without I/O and without a clock, so that they can be replayed and raced against a simulator.
const PURE: &[&str] = &["model", "logs", "integrity", "rules", "baseline", "scan", "alerts", "detect", "court"];

/// All that a pure crate may use from outside.
const PURE_USE: &[&str] = &[
    "aho-corasick", "blake3", "boreal", "chrono", "flate2", "humantime", "ipnet", "memchr", "postcard", "regex", "rsigma-eval",
    "rsigma-parser", "serde", "serde_json", "similar", "thiserror", "toml", "yaml_serde",
];

/// What a pure crate may not name.
const IMPURE: &[&str] = &[
    "std::fs", "std::io", "std::env", "std::process", "std::thread", "std::time::Instant", "std::time::SystemTime", "std::net::TcpStream",
    "std::net::TcpListener", "std::net::UdpSocket", "std::net::ToSocketAddrs", "std::os", "chrono::Local", "chrono::Utc::now",
];

fn begins_with(path: &[String], prefix: &str) -> bool {
    let prefix: Vec<&str> = prefix.split("::").collect();
    path.len() >= prefix.len() && path.iter().zip(&prefix).all(|(part, wanted)| part == wanted)
}

/// Every package in the wrong Cargo.toml.
pub fn check_crates(crates: &[Crate], out: &mut Vec<String>) {
    for one in crates {
        for used in one.uses.iter().filter(|used| !used.ours && !used.in_tests) {
            let package = used.package.as_str();
            let home = HOMES.iter().find(|(name, _)| *name == package);
            if let Some((_, homes)) = home.filter(|(_, homes)| !homes.contains(&one.name.as_str())) {
                out.push(format!("{}: {package} is used only in {}", one.name, homes.join(" and ")));
            }
            if PURE.contains(&one.name.as_str()) && !PURE_USE.contains(&package) {
                out.push(format!("{}: is pure: no {package}, only {}", one.name, PURE_USE.join(", ")));
            }
        }
    }
}

/// Every child process, and every way out of a pure crate, that this file names.
pub fn check(source: &Source, facts: &Facts, out: &mut Vec<String>) {
    for (path, _) in facts.paths.iter().filter(|(_, in_test)| !in_test) {
        let whole = path.join("::");
        for name in CHILDREN.iter().filter(|name| begins_with(path, name) && source.of() != "sys") {
            out.push(format!("{}: `{whole}`: {name} is used only in sys", source.path));
        }
        for impure in IMPURE.iter().filter(|impure| begins_with(path, impure) && PURE.contains(&source.of())) {
            out.push(format!("{}: `{whole}`: {} is pure: no {impure}; time and facts arrive as arguments", source.path, source.of()));
        }
    }
}
