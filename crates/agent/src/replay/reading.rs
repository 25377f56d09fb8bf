//! Reads recorded events; what it has read before it does not read again.
//!
//! An event is about 1.2 KB of JSON, nearly all of it a process and its ancestors, and nearly all of that stood in a
//! line before. So a line exactly as we print it takes a short way: parts that are byte for byte as in an earlier line
//! are taken from memory. Anything else takes the plain way, which alone decides what an event is.

use std::sync::Arc;

use serde::Deserialize;

use super::memory::{Memory, Name};
use super::scan::Cursor;
use bartizan_model::{Event, EventId, EventKind, Lineage, Process, ProcessKey, Source, Timestamp};

/// Texts of processes remembered, in bytes. What a processor's own memory holds is worth more than all of them.
const PROCESSES: usize = 2 * 1024 * 1024;
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
    /// The same, by parent and program: siblings are mostly told in the same words, so a guess saves looking closely.
    siblings: Memory<Process>,
    /// Lineages, by their first step.
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
            siblings: Memory::new(OTHERS),
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

    /// The event of a line that is exactly as we print it; `None` says nothing about the line.
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
            // The parser overlooks blanks before the zone ("08:00:0 Z"), which it does not where a fraction stands between.
            let plain = second.bytes().all(|byte| byte.is_ascii_digit() || b"-T:".contains(&byte));
            if second.len() != 19 || !plain || at.timestamp_subsec_nanos() != 0 {
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
        if let Some(kind) = self.kinds.like(name, text) {
            return Some(kind);
        }
        let kind: EventKind = serde_json::from_str(&format!("{{{text}}}")).ok()?;
        self.kinds.keep(name, text, kind.clone());
        Some(kind)
    }

    fn ending(&mut self, text: &str) -> Option<(Source, bool)> {
        let name = Name::default().then(text).get();
        if let Some(ending) = self.endings.like(name, text) {
            return Some(ending);
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
        let mut ahead = *cursor;
        if let Some(process) = self.sibling(&mut ahead) {
            *cursor = ahead;
            return Some(process);
        }
        let from = cursor.at();
        let (own, shared) = split(cursor)?;
        let steps = own.lineage?.strip_prefix('[')?;
        let nearest = lineage_name(steps)?;
        let (kind, text) = (shared.name(cursor), shared.text(cursor));
        let process = match (self.kinds_of_process.like(kind, &text), self.lineages.like(nearest, steps)) {
            (Some(common), Some(lineage)) => self.of_kind(&own, common, lineage)?,
            _ => serde_json::from_str(cursor.between(from, cursor.at())).ok()?,
        };
        self.lineages.keep(nearest, steps, process.lineage.clone());
        let common = Process { argv: Vec::new(), lineage: Lineage::default(), ..process.clone() };
        self.siblings.keep(sibling_name(own.parent?, &text)?, &text, common.clone());
        self.kinds_of_process.keep(kind, &text, common);
        Some(process)
    }

    /// A process told in the words of a sibling, with all fields in their usual order.
    fn sibling(&mut self, cursor: &mut Cursor<'_>) -> Option<Process> {
        let mut own = Own { key: Some(after(cursor, "{\"key\":")?), ..Own::default() };
        own.pid = Some(after(cursor, ",\"pid\":")?);
        own.ppid = Some(after(cursor, ",\"ppid\":")?);
        own.parent = Some(after(cursor, ",\"parent\":")?);
        cursor.eat(",")?;
        let (text, common) = self.siblings.get(sibling_name(own.parent?, cursor.rest())?)?;
        let (early, late) = text.strip_suffix('\n')?.split_once('\n')?;
        cursor.eat(early)?;
        own.argv = Some(after(cursor, ",\"argv\":")?);
        cursor.eat(",")?;
        cursor.eat(late)?;
        own.since = Some(after(cursor, ",\"since\":")?);
        cursor.eat(",\"lineage\":[")?;
        let (steps, lineage) = self.lineages.get(lineage_name(cursor.rest())?)?;
        cursor.eat(steps)?;
        cursor.eat("}")?;
        let (common, lineage) = (common.clone(), lineage.clone());
        self.of_kind(&own, common, lineage)
    }

    /// A process of which all is known but what is its own.
    fn of_kind(&mut self, own: &Own<'_>, common: Process, lineage: Lineage) -> Option<Process> {
        Some(Process {
            key: key(own.key?)?,
            pid: number(own.pid?)?,
            ppid: number(own.ppid?)?,
            parent: if own.parent? == "null" { None } else { Some(key(own.parent?)?) },
            argv: serde_json::from_str(own.argv?).ok()?,
            since: self.moment(in_quotes(own.since?)?)?,
            lineage,
            ..common
        })
    }
}

/// The value after these words.
fn after<'a>(cursor: &mut Cursor<'a>, words: &str) -> Option<&'a str> {
    cursor.eat(words)?;
    cursor.value()
}

/// What a string says, where it says it without escapes.
fn in_quotes(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.strip_suffix('"').filter(|text| !text.contains('\\'))
}

/// A number as JSON has it.
fn number(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

fn key(text: &str) -> Option<ProcessKey> {
    in_quotes(text)?.parse().ok()
}

/// A name for children of one parent that run one program; `text` begins with the field that tells the program.
fn sibling_name(parent: &str, text: &str) -> Option<u64> {
    let mut cursor = Cursor::new(text);
    Some(Name::default().then(parent).then(after(&mut cursor, "\"exe\":")?).get())
}

/// A name for the lineages that begin with one step; `steps` is their text from there on.
fn lineage_name(steps: &str) -> Option<u64> {
    Some(Name::default().then(Cursor::new(steps).value()?).get())
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
}
