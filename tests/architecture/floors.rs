//! Floors: a room imports only from floors strictly below its own.

use super::reader::{Facts, Source};

/// Every room and its floor. Rooms on one floor never see each other.
const FLOORS: &[(u8, &[&str])] = &[
    (0, &["model"]),
    (1, &["config", "protocol", "telemetry"]),
    (2, &["host", "store", "rules", "outbound", "client"]),
    (3, &["collector", "baseline", "detector", "correlator", "court", "scanner", "scheduler", "alerting", "advisor"]),
    (4, &["responder", "redteam"]),
    (5, &["engine"]),
    (6, &["server", "tui"]),
    (7, &["cli"]),
    (8, &["main"]),
];

/// Rooms that are stricter than their floor, and all that they may import.
const STRICT: &[(&str, &[&str])] = &[
    ("detector", &["rules", "config", "model"]),
    ("correlator", &["rules", "config", "model"]),
    ("court", &["rules", "config", "model"]),
    ("tui", &["client", "protocol", "config", "model"]),
    ("advisor", &["outbound", "config", "protocol", "telemetry", "model"]),
];

/// The floor of a room.
pub fn floor(room: &str) -> Option<u8> {
    FLOORS.iter().find(|(_, rooms)| rooms.contains(&room)).map(|(floor, _)| *floor)
}

/// Every arrow of this file.
pub fn check(source: &Source, facts: &Facts, out: &mut Vec<String>) {
    let Some(room) = source.room() else { return };
    let Some(own) = floor(&room) else {
        out.push(format!("{}: `{room}` has no floor in tests/architecture/floors.rs: which room is it?", source.path));
        return;
    };
    for (path, _) in &facts.paths {
        let [first, other, ..] = path.as_slice() else { continue };
        if first != "crate" || *other == room {
            continue;
        }
        let arrow = format!("{}: `{}`", source.path, path.join("::"));
        match floor(other) {
            None if other == "*" => out.push(format!("{arrow} names no room: import from one")),
            None => {}
            Some(_) if STRICT.iter().any(|(strict, may)| *strict == room && !may.contains(&other.as_str())) => {
                let may = STRICT.iter().find(|(strict, _)| *strict == room).map(|(_, may)| may.join(", ")).unwrap_or_default();
                out.push(format!("{arrow}: {room}/ may import only {may}"));
            }
            Some(floor) if floor > own => out.push(format!("{arrow} runs up: {room}/ is floor {own}, {other}/ is floor {floor}")),
            Some(floor) if floor == own => out.push(format!("{arrow} runs sideways: {room}/ and {other}/ share floor {own}")),
            Some(_) => {}
        }
    }
}
