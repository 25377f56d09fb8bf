//! `rules why`: which rules match an event, and on account of what; which correlations it completes with those before it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use serde::Serialize;

use super::super::outcome::{FAILED, Failure, Outcome};
use super::super::print::{self, notice};
use super::{Loaded, list};
use bartizan_model::{Event, sentence};
use bartizan_rules::{Correlations, Memory, Met, Trace, seen};

/// Longest line that is read, in bytes.
const MAX_LINE: u64 = 4 << 20;

/// An event and what rules made of it, as JSON.
#[derive(Serialize)]
struct Explained<'a> {
    event: String,
    records: Vec<serde_json::Value>,
    rules: Vec<Why<'a>>,
    correlations: Vec<Completed<'a>>,
}

/// A correlation that the event completes.
#[derive(Serialize)]
struct Completed<'a> {
    id: &'a str,
    title: &'a str,
    found: &'a str,
    events: Vec<String>,
}

#[derive(Serialize)]
struct Why<'a> {
    id: &'a str,
    title: &'a str,
    matched: bool,
    conditions: &'a serde_json::Value,
}

/// Explains each event of a file.
pub(super) fn why(loaded: &Loaded, path: &Path, rule: Option<&str>, json: bool) -> Result<Outcome, Failure> {
    if let Some(name) = rule.filter(|name| loaded.set.rule(name).is_none()) {
        return Err(list::unknown(name));
    }
    let fail = |error: io::Error| Failure::new(FAILED, format!("cannot read {}: {error}", path.display()), "name a file of events, or -");
    let mut input: Box<dyn BufRead> = match path == Path::new("-") {
        true => Box::new(BufReader::new(io::stdin())),
        false => Box::new(BufReader::new(File::open(path).map_err(fail)?)),
    };
    let (mut memory, mut gathered, mut number, mut events) = (Memory::default(), Correlations::default(), 0, 0);
    loop {
        let mut line = String::new();
        number += 1;
        if input.by_ref().take(MAX_LINE).read_line(&mut line).map_err(fail)? == 0 {
            break;
        }
        let text = line.trim().trim_end_matches(',');
        if text.is_empty() || text == "[" || text == "]" {
            continue;
        }
        let event: Event = match serde_json::from_str(text) {
            Ok(event) => event,
            Err(error) => {
                notice(&format!("line {number} is no event: {error}"));
                continue;
            }
        };
        events += 1;
        let matched = loaded.set.evaluate(&event, &memory);
        let mut met = loaded.set.correlate(&event, &memory, &matched, &mut gathered);
        if let Some(alone) = rule.and_then(|name| loaded.set.rule(name)) {
            met.retain(|one| one.rule.key == alone.key);
        }
        explain(&event, &loaded.set.trace(&event, &memory, rule), &met, json)?;
        memory.learn(&event);
    }
    if events == 0 {
        return Err(Failure::new(FAILED, "no event in what was read", "record with `bartizan events --json`"));
    }
    Ok(Outcome::Done)
}

fn explain(event: &Event, traces: &[Trace<'_>], met: &[Met<'_>], json: bool) -> Result<(), Failure> {
    if json {
        let rules = traces.iter().map(|trace| Why {
            id: &trace.rule.key,
            title: &trace.rule.title,
            matched: trace.matched,
            conditions: &trace.why,
        });
        let correlations = met.iter().map(|one| Completed {
            id: &one.rule.key,
            title: &one.rule.title,
            found: &one.found,
            events: one.events.iter().map(ToString::to_string).collect(),
        });
        let correlations = correlations.collect();
        return print::document(&Explained { event: event.id.to_string(), records: seen(event), rules: rules.collect(), correlations });
    }
    let command = event.process.as_ref().map(|process| process.command()).unwrap_or_default();
    let what = format!("{} {}: {}", event.id, event.kind.name(), command.chars().take(160).collect::<String>());
    let mut lines = vec![what];
    for trace in traces {
        let verdict = if trace.matched { "matches" } else { "does not match" };
        lines.push(format!("  {} {verdict}: {}", trace.rule.key, trace.rule.title));
        if trace.matched || traces.len() == 1 {
            let mut parts = Vec::new();
            selections(&trace.why, &mut parts);
            lines.extend(parts.into_iter().map(|part| format!("    {part}")));
        }
    }
    for one in met {
        let rests_on: Vec<String> = one.events.iter().map(ToString::to_string).collect();
        lines.push(format!("  {} is completed: {} ({}: {})", one.rule.key, one.rule.title, one.found, rests_on.join(" ")));
    }
    if traces.is_empty() && met.is_empty() {
        lines.push("  it meets no rule".to_owned());
    }
    lines.iter().try_for_each(|line| print::line(&sentence(line)))
}

/// The named parts of the condition, each with whether it holds.
fn selections(why: &serde_json::Value, out: &mut Vec<String>) {
    match why {
        serde_json::Value::Array(each) => each.iter().for_each(|one| selections(one, out)),
        serde_json::Value::Object(fields) => match (fields.get("name").and_then(|name| name.as_str()), fields.get("matched")) {
            (Some(name), Some(matched)) => {
                out.push(format!("{name}: {}", if matched.as_bool() == Some(true) { "holds" } else { "does not hold" }));
            }
            _ => fields.values().for_each(|value| selections(value, out)),
        },
        _ => {}
    }
}
