//! Recorded events judged again, offline: the real panel and the real correlator; no agent, no action, nothing written.

mod explained;
mod formats;
mod joining;
mod lines;
mod log_lines;
mod memory;
mod reading;
mod scan;

use serde::Serialize;

use crate::ingest::Exceptions;
use bartizan_config::Policy;
use bartizan_detect::detectors::DetectorSet;
use bartizan_detect::indicators::Indicators;
use bartizan_model::{Event, EventKind, Exception, Incident, Signal, Timestamp};
use bartizan_rules::RuleSet;
pub use explained::{Counted, Explained, SaidOf};
pub use formats::LineFormat;
use joining::Joining;
pub use lines::{LONGEST_LINE, Line, Lines};
pub use log_lines::{LogReplay, LogSummary};
use reading::Reading;

/// Unreadable lines told one by one; the rest are counted.
const MAX_TOLD: usize = 20;
/// Longest reason told, in characters.
const LONGEST_WHY: usize = 160;
/// Events outside 1970 to 2200 (seconds since 1970) are not believed: no agent recorded them, and time reckoned from
/// them would run over.
const BELIEVED: std::ops::Range<i64> = 0..7_258_118_400;

/// Where in the recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// Which recording, from 0, in the order given.
    #[serde(skip_serializing_if = "is_first")]
    pub recording: usize,
    /// Which line, from 1.
    pub line: u64,
}

fn is_first(recording: &usize) -> bool {
    *recording == 0
}

/// What the recording gave rise to.
#[derive(Debug, Clone, PartialEq)]
pub enum Replayed {
    /// A detector spoke.
    Signal(Place, Signal),
    /// An incident as it was at its end: when it closed, or when the recording was over. The place is where it opened.
    Incident(Place, Incident),
}

/// A line that is no event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    /// Where it stands.
    #[serde(flatten)]
    pub place: Place,
    /// Why it cannot be used. Safe to show.
    pub why: String,
}

/// What was read and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Summary {
    /// Lines, blank ones too.
    pub lines: u64,
    /// Lines that are events.
    pub events: u64,
    /// Lines that are not.
    pub unreadable: u64,
    /// The first of them.
    pub unreadable_lines: Vec<Unreadable>,
    /// Signals.
    pub signals: u64,
    /// Those of them that an exception covers: they count for nothing.
    pub excepted: u64,
    /// Detections equal to one told less than a minute before.
    pub folded: u64,
    /// Incidents that were told.
    pub incidents: u64,
    /// Incidents given up because too many were under observation.
    pub forgotten: u64,
}

/// One replay. It holds no more than the agent would: its memory is bounded whatever the recording holds.
#[derive(Debug)]
pub struct Replay {
    reading: Reading,
    panel: DetectorSet,
    joining: Joining,
    exceptions: Exceptions,
    place: Place,
    summary: Summary,
}

impl Replay {
    /// A replay under this policy. Which listeners were there before the recording is not known, so each is new.
    pub fn new(policy: &Policy) -> Self {
        Self {
            reading: Reading::default(),
            panel: DetectorSet::new(policy, &[]),
            joining: Joining::new(policy),
            exceptions: Exceptions::default(),
            place: Place { recording: 0, line: 0 },
            summary: Summary::default(),
        }
    }

    /// Judges by these rules too.
    pub fn set_rules(&mut self, rules: RuleSet, most_per_day: u32) {
        self.panel.set_rules(rules, most_per_day);
    }

    /// Leaves what these exceptions cover out of incidents, as if all that are in force `now` had held all the time; how many those are.
    pub fn set_exceptions(&mut self, rows: Vec<Exception>, policy: &Policy, now: Timestamp) -> usize {
        let held = rows.into_iter().filter(|one| one.holds_at(now));
        let held: Vec<Exception> = held.map(|one| Exception { added: Timestamp::MIN_UTC, until: Timestamp::MAX_UTC, ..one }).collect();
        let count = held.len();
        self.exceptions = Exceptions::new(held, policy);
        count
    }

    /// Matches these indicator lists too.
    pub fn set_indicators(&mut self, lists: Indicators) {
        self.panel.set_indicators(lists);
    }

    /// The next line is the first one of another recording.
    pub fn next_recording(&mut self) {
        self.place = Place { recording: self.place.recording + 1, line: 0 };
    }

    /// Judges all lines of an iterator, then ends.
    pub fn run<'a>(mut self, lines: impl IntoIterator<Item = &'a [u8]>, mut tell: impl FnMut(Replayed)) -> Summary {
        lines.into_iter().for_each(|line| self.line(Line::Text(line), &mut tell));
        self.end(tell)
    }

    /// Judges one line. Blank lines, and the brackets and commas of a list, are passed over.
    pub fn line(&mut self, line: Line<'_>, tell: &mut impl FnMut(Replayed)) {
        self.place.line += 1;
        self.summary.lines += 1;
        let text = match line {
            Line::TooLong => return self.cannot_read(&format!("longer than {LONGEST_LINE} bytes")),
            Line::Text(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => text.trim_ascii(),
                Err(error) => return self.cannot_read(&format!("is not UTF-8 text: {error}")),
            },
        };
        let text = text.strip_suffix(',').unwrap_or(text);
        if matches!(text, "" | "[" | "]" | "[]") {
            return;
        }
        match self.reading.event(text) {
            Ok(event) => match times(&event).find(|at| !BELIEVED.contains(&at.timestamp())) {
                Some(at) => self.cannot_read(&format!("its time {at} is not between 1970 and 2200")),
                None => self.judge(&event, tell),
            },
            Err(error) => self.cannot_read(&error.to_string()),
        }
    }

    /// The recording is over: tells the incidents that are still open, oldest first.
    pub fn end(mut self, tell: impl FnMut(Replayed)) -> Summary {
        self.summary.folded = self.panel.folded();
        (self.summary.incidents, self.summary.forgotten) = self.joining.end(tell);
        self.summary
    }

    fn judge(&mut self, event: &Event, tell: &mut impl FnMut(Replayed)) {
        self.summary.events += 1;
        self.joining.let_time_pass(event.at, tell);
        if let EventKind::Loss { loss } = &event.kind {
            self.joining.correlator.loss(loss, event.at);
        }
        let process = event.behind().map(|process| &**process);
        let mut signals = self.panel.observe(event);
        signals.iter_mut().for_each(|signal| self.exceptions.mark(signal, process, event.at));
        for signal in signals {
            if signal.excepted.is_some() {
                self.panel.give_back(&signal, event);
            }
            // What an exception covers counts for nothing, and neither does a list's word about it.
            let mut beside = if signal.excepted.is_some() { None } else { self.panel.beside(&signal) };
            beside.iter_mut().for_each(|signal| self.exceptions.mark(signal, None, event.at));
            for signal in [signal].into_iter().chain(beside) {
                self.summary.signals += 1;
                self.summary.excepted += u64::from(signal.excepted.is_some());
                self.joining.join(self.place, signal, tell);
            }
        }
    }

    fn cannot_read(&mut self, why: &str) {
        self.summary.unreadable += 1;
        if self.summary.unreadable_lines.len() < MAX_TOLD {
            // The reason may quote the line.
            let why = bartizan_model::sentence(why).chars().take(LONGEST_WHY).collect();
            self.summary.unreadable_lines.push(Unreadable { place: self.place, why });
        }
    }
}

/// Every moment of an event from which something is reckoned.
fn times(event: &Event) -> impl Iterator<Item = Timestamp> {
    let (from, to) = if let EventKind::Loss { loss } = &event.kind { (loss.from, loss.to) } else { (None, None) };
    std::iter::once(event.at).chain(from).chain(to)
}

#[cfg(test)]
mod tests;
