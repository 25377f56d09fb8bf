//! Recorded examples beside a rule: what it must match and what it must not, one JSON object a line.

use std::collections::BTreeMap;
use std::sync::Arc;

use bartizan_model::{
    Ancestor, BootId, Event, EventId, EventKind, FileChange, FileChangeKind, HostText, Lineage, PersistenceKind, Process, ProcessKey, Root,
    ServiceRole, Source, Timestamp, Variable,
};
use serde::Deserialize;

use super::{Correlations, Memory, RuleSet};

/// Most examples in one file.
const MAX_EXAMPLES: usize = 1000;
/// Most events of one example.
const MAX_EVENTS: usize = 1000;

/// One example.
#[derive(Debug)]
pub struct Example {
    /// Line in its file, from 1.
    pub line: usize,
    /// Whether the rule must match.
    pub matches: bool,
    /// Who does this, in words.
    pub note: String,
    /// What happened; of several, the last.
    pub event: Event,
    /// What happened before it.
    pub before: Vec<Event>,
}

/// An example that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ExampleError {
    /// Which line.
    pub line: usize,
    /// What is wrong.
    pub problem: String,
}

/// As it is written: a whole event, or what matters of one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// Said of the whole example, never of one of its events.
    #[serde(rename = "match")]
    matches: Option<bool>,
    #[serde(default)]
    note: String,
    /// Several events instead of one.
    #[serde(default)]
    sequence: Vec<Written>,
    /// When it happened: seconds after the first.
    #[serde(default)]
    at: u32,
    #[serde(default)]
    event: Option<Event>,
    #[serde(default)]
    exe: HostText,
    /// Arguments, the program's own name first.
    #[serde(default)]
    argv: Vec<HostText>,
    #[serde(default)]
    cwd: HostText,
    #[serde(default)]
    uid: u32,
    #[serde(default)]
    user: Option<HostText>,
    /// What stands above, nearest first.
    #[serde(default)]
    parents: Vec<HostText>,
    #[serde(default)]
    roles: Vec<ServiceRole>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    unit: Option<String>,
    #[serde(default)]
    package: Option<HostText>,
    #[serde(default)]
    container: Option<String>,
    /// It runs from memory, or its file is gone.
    #[serde(default)]
    memfd: bool,
    #[serde(default)]
    deleted: bool,
    #[serde(default)]
    socket_input: bool,
    /// A file that it changed, instead of the program's start.
    #[serde(default)]
    file: Option<WrittenFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenFile {
    path: HostText,
    change: FileChangeKind,
    #[serde(default)]
    place: Option<PersistenceKind>,
}

impl Example {
    /// All examples of a file.
    ///
    /// # Errors
    /// [`ExampleError`] for the first line that is no example.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, ExampleError> {
        let mut out = Vec::new();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let fail = |problem: String| ExampleError { line: index + 1, problem };
            if out.len() >= MAX_EXAMPLES {
                return Err(fail(format!("more than {MAX_EXAMPLES} examples")));
            }
            let written: Written = serde_json::from_str(line).map_err(|error| fail(error.to_string()))?;
            out.push(Self::of(written, index + 1).map_err(fail)?);
        }
        Ok(out)
    }

    fn of(mut written: Written, line: usize) -> Result<Self, String> {
        let matches = written.matches.ok_or("it lacks match: true or false")?;
        let (note, sequence) = (std::mem::take(&mut written.note), std::mem::take(&mut written.sequence));
        if sequence.is_empty() {
            return Ok(Self { line, matches, note, event: event(written, 1), before: Vec::new() });
        }
        if sequence.len() > MAX_EVENTS || sequence.iter().any(|one| one.matches.is_some() || !one.sequence.is_empty()) {
            return Err(format!("a sequence has at most {MAX_EVENTS} events, none with a match or a sequence of its own"));
        }
        let mut before: Vec<Event> = (1..).zip(sequence).map(|(number, one)| event(one, number)).collect();
        let event = before.pop().ok_or("an empty sequence")?;
        Ok(Self { line, matches, note, event, before })
    }

    /// Whether these rules report anything of it: a rule whose part in a correlation is all that it does reports nothing by itself.
    pub fn is_reported_by(&self, set: &RuleSet) -> bool {
        let (mut memory, mut state) = (Memory::default(), Correlations::default());
        self.before.iter().chain([&self.event]).fold(false, |reported, event| {
            let matched = set.evaluate(event, &memory);
            let met = set.correlate(event, &memory, &matched, &mut state);
            let reports = !met.is_empty() || matched.iter().any(|rule| !rule.silent);
            memory.learn(event);
            reported || reports
        })
    }
}

fn key(pid: u32) -> ProcessKey {
    ProcessKey { boot: BootId(1), pid, start: u64::from(pid) }
}

fn event(written: Written, number: u64) -> Event {
    if let Some(event) = written.event {
        return event;
    }
    let at = Timestamp::UNIX_EPOCH + std::time::Duration::from_secs(written.at.into());
    let mut process = Process::unknown(key(1000), at);
    let pids = (2..1000).rev();
    let ancestors: Vec<Ancestor> = written.parents.into_iter().zip(pids).map(|(exe, pid)| Ancestor { key: key(pid), exe }).collect();
    let root = |role: ServiceRole| {
        let above = ancestors.last();
        Root { role, key: above.map_or(key(2), |above| above.key), exe: above.map(|above| above.exe.clone()).unwrap_or_default() }
    };
    let roots: Vec<Root> = written.roles.into_iter().map(root).collect();
    process.parent = ancestors.first().map(|parent| parent.key);
    process.lineage = Lineage { roots: Arc::from(roots), ancestors: Arc::from(ancestors), elided: 0 };
    process.exe_file.memfd = written.memfd;
    process.exe_file.deleted = written.deleted;
    process.environment =
        written.env.iter().map(|(name, value)| Variable { name: name.as_str().into(), value: value.as_str().into() }).collect();
    (process.exe, process.argv, process.cwd) = (written.exe, written.argv, written.cwd);
    (process.uid, process.euid, process.user) = (written.uid, written.uid, written.user);
    (process.unit, process.package, process.container) = (written.unit, written.package, written.container);
    process.stdio_sockets = u8::from(written.socket_input);
    let kind = match written.file {
        None => EventKind::Exec,
        Some(file) => {
            let known = file.place.is_some();
            let file = FileChange { persistence: file.place, ..FileChange::new(file.path, file.change) };
            match file.change {
                FileChangeKind::Opened => EventKind::FileOpen { file },
                _ if known => EventKind::PersistenceChange { file },
                _ => EventKind::FileChange { file },
            }
        }
    };
    Event { id: EventId(number), at, kind, process: Some(Arc::new(process)), source: Source::Ebpf, complete: true }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test fails by panic
    use super::*;

    #[test]
    fn a_sequence_is_read_in_its_time_and_bounded() {
        let one = r#"{"match": true, "sequence": [{"exe": "/a"}, {"exe": "/b", "at": 5}]}"#;
        let example = Example::parse_all(one).unwrap().remove(0);
        let at = |event: &Event| (event.id.0, event.at.timestamp());
        assert_eq!((example.before.iter().map(at).collect::<Vec<_>>(), at(&example.event)), (vec![(1, 0)], (2, 5)));
        let many = format!(r#"{{"match": true, "sequence": [{}]}}"#, vec!["{}"; 1001].join(","));
        let nested = r#"{"match": true, "sequence": [{"sequence": [{}]}]}"#;
        for bad in [many.as_str(), nested, r#"{"match": true, "sequence": [{"match": false}]}"#, r#"{"exe": "/a"}"#] {
            assert!(Example::parse_all(bad).is_err(), "{bad:.60}");
        }
    }
}
