//! A million recorded events judged again, offline.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use crate::agent::{Agent, BINARY};
use crate::figures::{Table, median};
use crate::load::Programs;

/// So many that one answer of the agent holds all events of one kind.
const EXECS: usize = 12_000;
const EVENTS: usize = 1_000_000;
const ROUNDS: usize = 3;

pub fn measure(programs: &Programs, table: &mut Table) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("events.ndjson");
    let events = record(programs, &file);
    let bytes = file.metadata().unwrap().len();
    let (mut wall, mut cpu) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        eprintln!("... replay: round {} of {ROUNDS}", round + 1);
        let (before, begin) = (children_cpu(), Instant::now());
        let output = Command::new(BINARY).args(["replay", "--json"]).arg(&file).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        wall.push(begin.elapsed().as_secs_f64());
        cpu.push(children_cpu() - before);
        let read = BufReader::new(output.stdout.as_slice()).lines().last().unwrap().unwrap();
        let summary: serde_json::Value = serde_json::from_str(&read).unwrap();
        assert_eq!(summary["summary"]["events"], events, "{summary}");
    }
    table.row("recorded events, and bytes of each", format!("{events}, {}", bytes / events as u64), "1000000");
    table.row("events a second of wall time", format!("{:.0}", events as f64 / median(wall)), "");
    table.row("events a second of one core", format!("{:.0}", events as f64 / median(cpu)), ">= 500000");
}

/// Records storms by a real agent until there are enough events.
fn record(programs: &Programs, file: &Path) -> usize {
    let agent = Agent::start(&[]);
    let mut out = BufWriter::new(File::create(file).unwrap());
    let mut events = 0;
    for storm in 0.. {
        eprintln!("... replay: {events} events recorded");
        let since = chrono::Utc::now().to_rfc3339();
        programs.storm(EXECS, &format!("replay{storm}"));
        agent.settle();
        for line in recorded(&agent, &since).iter().take(EVENTS - events) {
            writeln!(out, "{line}").unwrap();
            events += 1;
        }
        assert!(storm < 60, "only {events} events after {storm} storms");
        if events == EVENTS {
            break;
        }
    }
    out.flush().unwrap();
    events
}

/// Everything that happened since, in order, one event a line.
fn recorded(agent: &Agent, since: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for kind in ["process.fork", "process.exec", "process.exit"] {
        let text = agent.told(&["events", "--json", "--kind", kind, "--limit", "100000", "--since", since]);
        let text = String::from_utf8(text).unwrap();
        lines.extend(text.lines().filter(|line| line.starts_with('{')).map(|line| line.trim_end_matches(',').to_owned()));
    }
    lines.sort_by_cached_key(|line| line.split('"').nth(3).and_then(|id| id.strip_prefix('E')?.parse::<u64>().ok()));
    lines
}

/// CPU seconds of all children that have ended.
fn children_cpu() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    (usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 / 1e6
}
