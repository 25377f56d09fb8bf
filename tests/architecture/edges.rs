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
    ("baseline", &["model"]),
    ("alerts", &["model"]),
    ("store", &["baseline", "model", "protocol", "sys"]),
    ("client", &["model", "protocol"]),
    ("outbound", &["alerts", "config", "model", "sys"]),
    ("integrity", &["model"]),
    ("logs", &["model"]),
    ("fail2ban", &["model"]),
    ("rules", &["model"]),
    ("detect", &["baseline", "config", "logs", "model", "rules"]),
    ("scan", &["model"]),
    ("court", &["config", "model"]),
    ("worker", &["fail2ban", "logs", "model", "sys"]),
    ("enforce", &["model", "sys"]),
    ("guard", &["config", "enforce", "model", "store", "sys"]),
    ("sensors", &["config", "fail2ban", "logs", "model", "sys", "worker"]),
    ("responder", &["config", "court", "enforce", "guard", "model", "outbound", "store", "sys"]),
    ("redteam", &["model", "protocol", "sys"]),
    ("console", &["client", "config", "model", "protocol"]),
    (
        "agent",
        &[
            "alerts", "baseline", "config", "court", "detect", "enforce", "fail2ban", "guard", "integrity", "logs", "model", "outbound",
            "protocol", "responder", "rules", "scan", "sensors", "store", "sys", "worker",
        ],
    ),
    (
        "bartizan",
        &[
            "agent", "client", "config", "console", "detect", "fail2ban", "guard", "integrity", "model", "outbound", "protocol", "redteam",
            "responder", "rules", "scan", "store", "sys", "telemetry", "worker",
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
    ("bartizan", &["court", "enforce", "isolation", "sensors"]),
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

/// The six parts of the agent, and those of the others of which each may use the front: what `mod.rs` gives out.
const PARTS: &[(&str, &[&str])] = &[
    ("accounting", &["ingest"]),
    ("alerts", &[]),
    ("console", &["accounting", "alerts"]),
    ("ingest", &["accounting", "console", "response"]),
    ("response", &["accounting", "alerts", "console", "ingest"]),
    ("upkeep", &["accounting", "console", "ingest", "response"]),
];

/// What knows all parts: no part may know it.
const WHOLE: &[&str] =
    &["Engine", "answer", "assemble", "doctor", "exceptions", "file_diff", "findings", "health", "parts", "start", "stop"];

/// Every path from one part of the agent into the insides of another, to one that it has no business with, or to the whole.
fn check_parts(source: &Source, facts: &Facts, out: &mut Vec<String>) {
    let module = source.module();
    let own = module.first().and_then(|first| PARTS.iter().find(|(part, _)| part == first));
    for (path, _) in &facts.paths {
        let [first, other, rest @ ..] = path.as_slice() else { continue };
        // The tests of a part put a whole agent together to see the part at work.
        let is_test = source.path.ends_with("/tests.rs");
        if source.of() != "agent" || first != "crate" || module.first() == Some(other) || is_test {
            continue;
        }
        let whole = path.join("::");
        let is_part = PARTS.iter().any(|(part, _)| part == other);
        if is_part && rest.len() > 1 && rest[0].starts_with(char::is_lowercase) {
            out.push(format!("{}: `{whole}`: the insides of {other}/ are its own: ask its front", source.path));
        }
        if let Some((part, may)) = own {
            if is_part && !may.contains(&other.as_str()) {
                out.push(format!("{}: `{whole}`: {part}/ may not use {other}/, only {}", source.path, may.join(" and ")));
            }
            if WHOLE.contains(&other.as_str()) {
                out.push(format!("{}: `{whole}`: {part}/ may not know the whole agent", source.path));
            }
        }
    }
}

/// Every path from one half of a crate to another.
pub fn check(source: &Source, facts: &Facts, out: &mut Vec<String>) {
    check_parts(source, facts, out);
    let module = source.module();
    for (path, _) in &facts.paths {
        let [first, half, ..] = path.as_slice() else { continue };
        let apart = APART.iter().any(|(of, part)| source.of() == *of && half == part);
        if first == "crate" && apart && module.first() != Some(half) {
            out.push(format!("{}: `{}`: only {half}/ itself may name {half}/", source.path, path.join("::")));
        }
    }
}
