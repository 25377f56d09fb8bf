//! Reads recorded events; what it has read before it does not read again.
//!
//! An event is about 1.2 KB of JSON, nearly all of it a process and its ancestors, and nearly all of that stood in a
//! line before. So a line exactly as we print it takes a short way: parts that are byte for byte as in an earlier line
//! are taken from memory. Anything else takes the plain way, which alone decides what an event is.

use std::sync::Arc;

use serde::Deserialize;

use super::memory::{Memory, Name};
use super::scan::Cursor;
use crate::model::{Ancestor, Event, EventId, EventKind, Lineage, Process, Source, Timestamp};

/// Texts of processes remembered, in bytes.
const PROCESSES: usize = 16 * 1024 * 1024;
/// Texts of every other kind remembered, in bytes each.
const OTHERS: usize = 2 * 1024 * 1024;
/// Keys of an event that are not part of what happened.
const OTHER_KEYS: [&str; 5] = ["id", "at", "process", "source", "complete"];

/// What was read lately.
#[derive(Debug)]
pub(super) struct Reading {
    /// Whole processes, by the text of their key: a process that ends is told as it was told when it executed.
    processes: Memory<Arc<Process>>,
    /// What processes have in common, without what is each one's own.
    kinds_of_process: Memory<Process>,
    /// Lineages without their first step: siblings differ in that only.
    lineages: Memory<Lineage>,
    /// What happened.
    kinds: Memory<EventKind>,
    /// How events end: source and completeness.
    endings: Memory<(Source, bool)>,
    /// The second that was read last, up to the fraction.
    second: (String, Timestamp),
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            processes: Memory::new(PROCESSES),
            kinds_of_process: Memory::new(OTHERS),
            lineages: Memory::new(OTHERS),
            kinds: Memory::new(OTHERS),
            endings: Memory::new(OTHERS),
            second: (String::new(), Timestamp::UNIX_EPOCH),
        }
    }
}

/// What follows the process of an event.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ending {
    source: Source,
    complete: bool,
}

/// What is each process's own, as text.
#[derive(Default)]
struct Own<'a> {
    key: Option<&'a str>,
    pid: Option<&'a str>,
    ppid: Option<&'a str>,
    parent: Option<&'a str>,
    argv: Option<&'a str>,
    since: Option<&'a str>,
    lineage: Option<&'a str>,
}

/// Stretches of a process's text that many processes share: between seven values of its own there are at most eight.
#[derive(Default)]
struct Shared {
    stretches: [(usize, usize); 8],
    used: usize,
}

impl Reading {
    /// The event of a line.
    pub(super) fn event(&mut self, line: &str) -> Result<Event, serde_json::Error> {
        match self.quickly(line) {
            Some(event) => Ok(event),
            None => serde_json::from_str(line),
        }
    }

    pub(super) fn quickly(&mut self, line: &str) -> Option<Event> {
        let mut cursor = Cursor::new(line);
        cursor.eat("{\"id\":")?;
        let id = cursor.string()?.strip_prefix('E')?;
        let id = EventId(if id.starts_with('+') { None } else { id.parse().ok() }?);
        cursor.eat(",\"at\":")?;
        let at = self.moment(cursor.string()?)?;
        cursor.eat(",")?;
        let kind = self.kind(&mut cursor)?;
        cursor.eat(",\"process\":")?;
        let process = if cursor.eat("null").is_some() { None } else { Some(self.process(&mut cursor)?) };
        let (source, complete) = self.ending(cursor.rest())?;
        Some(Event { id, at, kind, process, source, complete })
    }

    /// A moment as we print it: RFC 3339 with a fraction.
    fn moment(&mut self, text: &str) -> Option<Timestamp> {
        let (second, fraction) = text.strip_suffix('Z')?.split_once('.')?;
        if second != self.second.0 {
            let at: Timestamp = format!("{second}Z").parse().ok()?;
            if second.len() != 19 || at.timestamp_subsec_nanos() != 0 {
                return None; // a leap second is read the plain way
            }
            self.second = (second.to_owned(), at);
        }
        if fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let scale = 10_i64.checked_pow(u32::try_from(9 - fraction.len()).ok()?)?;
        self.second.1.checked_add_signed(chrono::TimeDelta::nanoseconds(fraction.parse::<i64>().ok()?.checked_mul(scale)?))
    }

    /// `"kind":NAME`, and for most kinds an object with what is known of it.
    fn kind(&mut self, cursor: &mut Cursor<'_>) -> Option<EventKind> {
        let from = cursor.at();
        cursor.eat("\"kind\":")?;
        cursor.string()?;
        let mut ahead = *cursor;
        ahead.eat(",")?;
        let family = ahead.key()?;
        if family != "process" {
            if OTHER_KEYS.contains(&family) {
                return None;
            }
            ahead.value()?;
            *cursor = ahead;
        }
        let text = cursor.between(from, cursor.at());
        let name = Name::default().then(text).get();
        if let Some((known, kind)) = self.kinds.get(name)
            && known == text
        {
            return Some(kind.clone());
        }
        let kind: EventKind = serde_json::from_str(&format!("{{{text}}}")).ok()?;
        self.kinds.keep(name, text, kind.clone());
        Some(kind)
    }

    fn ending(&mut self, text: &str) -> Option<(Source, bool)> {
        let name = Name::default().then(text).get();
        if let Some((known, ending)) = self.endings.get(name)
            && known == text
        {
            return Some(*ending);
        }
        let Ending { source, complete } = serde_json::from_str(&format!("{{{}", text.strip_prefix(',')?)).ok()?;
        self.endings.keep(name, text, (source, complete));
        Some((source, complete))
    }

    fn process(&mut self, cursor: &mut Cursor<'_>) -> Option<Arc<Process>> {
        let mut ahead = *cursor;
        ahead.eat("{\"key\":")?;
        let name = Name::default().then(ahead.string()?).get();
        if let Some((known, process)) = self.processes.get(name)
            && cursor.eat(known).is_some()
        {
            return Some(Arc::clone(process));
        }
        let from = cursor.at();
        let process = Arc::new(self.new_process(cursor)?);
        self.processes.keep(name, cursor.between(from, cursor.at()), Arc::clone(&process));
        Some(process)
    }

    fn new_process(&mut self, cursor: &mut Cursor<'_>) -> Option<Process> {
        let from = cursor.at();
        let (own, shared) = split(cursor)?;
        let lineage = own.lineage?;
        let (first, later) = steps(lineage)?;
        let (kind, tail) = (shared.name(cursor), Name::default().then(later).get());
        if let (Some((known, common)), Some((known_later, above))) = (self.kinds_of_process.get(kind), self.lineages.get(tail))
            && known_later == later
            && shared.is(known, cursor)
        {
            let (common, above) = (common.clone(), above.clone());
            return self.known_kind(&own, first, common, &above);
        }
        let process: Process = serde_json::from_str(cursor.between(from, cursor.at())).ok()?;
        let (_, above) = process.lineage.ancestors.split_first()?;
        let above = Lineage { ancestors: above.into(), elided: process.lineage.elided, roots: Arc::clone(&process.lineage.roots) };
        self.lineages.keep(tail, later, above);
        let kept = Process { argv: Vec::new(), lineage: Lineage::default(), ..process.clone() };
        self.kinds_of_process.keep(kind, &shared.text(cursor), kept);
        Some(process)
    }

    /// A process of a kind that is known, below ancestors that are known.
    fn known_kind(&mut self, own: &Own<'_>, first: &str, common: Process, above: &Lineage) -> Option<Process> {
        Some(Process {
            key: serde_json::from_str(own.key?).ok()?,
            pid: serde_json::from_str(own.pid?).ok()?,
            ppid: serde_json::from_str(own.ppid?).ok()?,
            parent: serde_json::from_str(own.parent?).ok()?,
            argv: serde_json::from_str(own.argv?).ok()?,
            since: self.moment_in_quotes(own.since?)?,
            lineage: below(serde_json::from_str(first).ok()?, above),
            ..common
        })
    }

    fn moment_in_quotes(&mut self, text: &str) -> Option<Timestamp> {
        self.moment(text.strip_prefix('"')?.strip_suffix('"')?)
    }
}

/// A lineage of which the first step is `first` and the rest is known.
fn below(first: Ancestor, above: &Lineage) -> Lineage {
    let ancestors = std::iter::once(first).chain(above.ancestors.iter().cloned()).collect();
    Lineage { ancestors, elided: above.elided, roots: Arc::clone(&above.roots) }
}

/// The first step of a lineage's text, and what follows it.
fn steps(lineage: &str) -> Option<(&str, &str)> {
    let mut cursor = Cursor::new(lineage);
    cursor.eat("[")?;
    let first = cursor.value()?;
    cursor.eat(",")?;
    Some((first, cursor.rest()))
}

/// Walks over a process and tells what is its own from what it shares.
fn split<'a>(cursor: &mut Cursor<'a>) -> Option<(Own<'a>, Shared)> {
    let (mut own, mut shared) = (Own::default(), Shared::default());
    cursor.eat("{")?;
    loop {
        let from = cursor.at();
        let key = cursor.key()?;
        let value = cursor.value()?;
        let slot = match key {
            "key" => Some(&mut own.key),
            "pid" => Some(&mut own.pid),
            "ppid" => Some(&mut own.ppid),
            "parent" => Some(&mut own.parent),
            "argv" => Some(&mut own.argv),
            "since" => Some(&mut own.since),
            "lineage" => Some(&mut own.lineage),
            _ => None,
        };
        match slot {
            // Said twice: the plain way tells what to think of that.
            Some(slot) if slot.is_some() => return None,
            Some(slot) => *slot = Some(value),
            None => shared.add(from, cursor.at())?,
        }
        if cursor.eat(",").is_none() {
            cursor.eat("}")?;
            return Some((own, shared));
        }
    }
}

impl Shared {
    /// Adds a field; neighbours become one stretch.
    fn add(&mut self, from: usize, to: usize) -> Option<()> {
        if let Some(last) = self.used.checked_sub(1).and_then(|last| self.stretches.get_mut(last))
            && last.1 + 1 == from
        {
            last.1 = to;
            return Some(());
        }
        *self.stretches.get_mut(self.used)? = (from, to);
        self.used += 1;
        Some(())
    }

    fn parts<'a>(&self, cursor: &Cursor<'a>) -> impl Iterator<Item = &'a str> {
        self.stretches.iter().take(self.used).map(|(from, to)| cursor.between(*from, *to))
    }

    fn name(&self, cursor: &Cursor<'_>) -> u64 {
        self.parts(cursor).fold(Name::default(), Name::then).get()
    }

    /// All stretches, each with a line feed behind it, which stands nowhere inside JSON as we print it.
    fn text(&self, cursor: &Cursor<'_>) -> String {
        self.parts(cursor).flat_map(|part| [part, "\n"]).collect()
    }

    /// Whether this is what [`Shared::text`] gives.
    fn is(&self, known: &str, cursor: &Cursor<'_>) -> bool {
        let rest = self.parts(cursor).try_fold(known, |known, part| known.strip_prefix(part)?.strip_prefix('\n'));
        rest == Some("")
    }
}
