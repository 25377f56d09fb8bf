//! One list: what it says of itself, what its lines name, and which lines cannot be used.

use bartizan_model::{Timestamp, sentence};
use chrono::TimeDelta;
use serde::Serialize;

use super::header::Header;
use super::line::Columns;
use super::value::{Refusal, Value, value};

/// Indicators taken of one list; the rest is counted.
pub const MAX_IN_LIST: usize = 100_000;
/// Longest line, in bytes.
const MAX_LINE: usize = 4096;
/// Bad lines named with their reason; the rest is counted.
const MAX_NAMED: usize = 20;
/// Longest life of a list after its date: what nobody renewed for a year says nothing any more.
const LONGEST: TimeDelta = TimeDelta::days(366);
/// How far in the future a list may be dated: another clock, another time zone.
const AHEAD: TimeDelta = TimeDelta::days(1);
/// Longest part of a bad line that is shown, in characters.
const SHOWN: usize = 60;

/// A line that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BadLine {
    /// Its number, from 1.
    pub line: usize,
    /// What stands there, safe to show, and what is wrong with it.
    pub problem: String,
}

/// What a list is, without its indicators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct List {
    /// Where it lies.
    pub file: String,
    /// Where it comes from, as it says; safe to show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// How old its content is: as it says, else when the file was last changed.
    pub dated: Timestamp,
    /// It is matched until then.
    pub expires: Timestamp,
    /// Addresses and networks.
    pub networks: usize,
    /// Domain names.
    pub domains: usize,
    /// SHA-256 of programs.
    pub digests: usize,
    /// Lines with private, loopback or reserved addresses: never matched.
    pub local: usize,
    /// Lines that cannot be used.
    pub bad: usize,
    /// The first of them.
    pub bad_lines: Vec<BadLine>,
    /// Indicators beyond the bounds: not matched.
    pub left_out: usize,
    /// Why nothing of it is used, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl List {
    /// A list of which nothing is used.
    pub fn refused(file: String, problem: &str, now: Timestamp) -> Self {
        Self { problem: Some(sentence(problem)), ..Self::empty(file, now) }
    }

    fn empty(file: String, dated: Timestamp) -> Self {
        Self {
            file,
            source: None,
            dated,
            expires: dated,
            networks: 0,
            domains: 0,
            digests: 0,
            local: 0,
            bad: 0,
            bad_lines: Vec::new(),
            left_out: 0,
            problem: None,
        }
    }

    /// How many indicators are matched, while it is in force.
    pub fn count(&self) -> usize {
        self.networks + self.domains + self.digests
    }

    /// Whether it is matched at this moment.
    pub fn is_in_force(&self, at: Timestamp) -> bool {
        self.problem.is_none() && at < self.expires
    }

    /// The name of its file alone.
    pub fn name(&self) -> &str {
        self.file.rsplit('/').next().unwrap_or_default()
    }

    /// Reads a list whose file was last changed at `modified`; without a word of its own it expires `max_age` after its date.
    pub(super) fn parse(file: String, content: &[u8], (modified, now): (Timestamp, Timestamp), max_age: TimeDelta) -> (Self, Vec<Value>) {
        let mut list = Self::empty(file, modified.min(now));
        let (mut header, mut values) = (Header::default(), Vec::new());
        let mut columns = if list.file.ends_with(".csv") { Columns::table() } else { Columns::text() };
        for (place, bytes) in content.split(|byte| *byte == b'\n').enumerate() {
            let Some(text) = std::str::from_utf8(bytes).ok().filter(|_| bytes.len() <= MAX_LINE) else {
                list.bad(place, "", "longer than 4096 bytes, or not UTF-8");
                continue;
            };
            let text = text.trim_start_matches('\u{feff}').trim();
            if let Some(comment) = comment(text) {
                if !columns.are_named_by(comment) {
                    header.read(comment);
                }
                continue;
            }
            if !columns.are_named_by(text) {
                for found in columns.values(text) {
                    list.take(place, found, &mut values);
                }
            }
        }
        list.settle(&header, max_age, now);
        (list, values)
    }

    fn take(&mut self, place: usize, found: &str, values: &mut Vec<Value>) {
        match value(found) {
            Err(Refusal::Local) => self.local += 1,
            Err(Refusal::Bad(problem)) => self.bad(place, found, problem),
            Ok(_) if values.len() >= MAX_IN_LIST => self.left_out += 1,
            Ok(value) => values.push(value),
        }
    }

    fn bad(&mut self, place: usize, found: &str, problem: &str) {
        self.bad += 1;
        if self.bad_lines.len() < MAX_NAMED {
            let shown: String = found.chars().take(SHOWN).collect();
            let shown = if shown.is_empty() { String::new() } else { format!("\"{}\": ", sentence(&shown)) };
            self.bad_lines.push(BadLine { line: place + 1, problem: format!("{shown}{problem}") });
        }
    }

    /// What follows from its header. One that lies about its age is believed its file's.
    fn settle(&mut self, header: &Header, max_age: TimeDelta, now: Timestamp) {
        self.source.clone_from(&header.source);
        self.dated = header.dated.filter(|dated| *dated < now + AHEAD).unwrap_or(self.dated);
        let after = |age: TimeDelta| self.dated.checked_add_signed(age.min(LONGEST)).unwrap_or(self.dated);
        self.expires = match header.expires {
            Some(until) => until.at(self.dated).min(after(LONGEST)),
            None => after(max_age),
        };
    }
}

fn comment(text: &str) -> Option<&str> {
    let mark = ["#", ";", "//"].into_iter().find(|mark| text.starts_with(mark))?;
    Some(text.trim_start_matches(mark).trim_end_matches(mark).trim())
}
