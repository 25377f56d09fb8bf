//! Arrows: which crate may use which, and which halves of one crate do not know each other.

use super::reader::{Facts, Source};
use super::workspace::Crate;

/// Every crate and the crates that it uses. `isolation` is for tests alone and lies in `tests/`.
const ARROWS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("config", &["model"]),
    ("protocol", &["model"]),
    ("telemetry", &["model"]),
    ("sys", &["model"]),
    ("store", &["model", "protocol"]),
    ("client", &["model", "protocol"]),
    ("outbound", &["config", "model"]),
    ("logs", &["model"]),
    ("detect", &["config", "logs", "model"]),
    ("court", &["config", "model"]),
    ("enforce", &["model", "sys"]),
    ("guard", &["config", "enforce", "model", "sys"]),
    ("sensors", &["config", "model", "sys"]),
    ("responder", &["config", "court", "enforce", "guard", "model", "outbound", "store", "sys"]),
    ("redteam", &["model", "protocol", "sys"]),
    ("console", &["client", "config", "model", "protocol"]),
    ("agent", &["config", "court", "detect", "enforce", "guard", "model", "outbound", "protocol", "responder", "sensors", "store", "sys"]),
    (
        "bartizan",
        &[
            "agent", "client", "config", "console", "detect", "guard", "model", "protocol", "redteam", "responder", "store", "sys",
            "telemetry",
        ],
    ),
    ("isolation", &[]),
];

/// What the tests of a crate use beside that.
const IN_TESTS: &[(&str, &[&str])] = &[
    ("sys", &["isolation"]),
    ("enforce", &["isolation"]),
    ("guard", &["isolation"]),
    ("sensors", &["isolation"]),
    ("responder", &["court", "isolation"]),
    ("agent", &["client", "isolation"]),
    ("bartizan", &["court", "enforce", "sensors"]),
];

/// Modules that nobody else in their crate may name: what calls both joins them.
const APART: &[(&str, &str)] = &[("detect", "correlator"), ("detect", "detectors"), ("agent", "server")];

fn listed(table: &[(&str, &[&'static str])], name: &str) -> Option<Vec<&'static str>> {
    table.iter().find(|(own, _)| *own == name).map(|(_, others)| others.to_vec())
}

/// Every arrow between crates that is not in the tables, and every one in them that is gone.
pub fn check_crates(crates: &[Crate], out: &mut Vec<String>) {
    for one in crates {
        let Some(may) = listed(ARROWS, &one.name) else {
            out.push(format!("{}: has no line in tests/architecture/edges.rs: which crate is it?", one.name));
            continue;
        };
        let may_in_tests = listed(IN_TESTS, &one.name).unwrap_or_default();
        for used in one.uses.iter().filter(|used| used.ours) {
            let other = used.package.as_str();
            if used.in_tests && !may_in_tests.contains(&other) {
                out.push(format!("{}: its tests may not use {other}", one.name));
            } else if !used.in_tests && !may.contains(&other) {
                out.push(format!("{}: may not use {other}, only {}", one.name, may.join(", ")));
            }
        }
        for (others, in_tests) in [(may, false), (may_in_tests, true)] {
            let is_used = |other: &&&str| one.uses.iter().any(|used| used.package == **other && used.in_tests == in_tests);
            let gone = others.iter().filter(|other| !is_used(other));
            out.extend(gone.map(|other| format!("{}: no longer uses {other}: take it out of tests/architecture/edges.rs", one.name)));
        }
    }
}

/// Every path from one half of a crate to another.
pub fn check(source: &Source, facts: &Facts, out: &mut Vec<String>) {
    let module = source.module();
    for (path, _) in &facts.paths {
        let [first, half, ..] = path.as_slice() else { continue };
        let apart = APART.iter().any(|(of, part)| source.of() == *of && half == part);
        if first == "crate" && apart && module.first() != Some(half) {
            out.push(format!("{}: `{}`: only {half}/ itself may name {half}/", source.path, path.join("::")));
        }
    }
}
