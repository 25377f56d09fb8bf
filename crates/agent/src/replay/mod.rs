//! Recorded events judged again, offline: the real panel and the real correlator; no agent, no action, nothing written.

mod lines;
mod memory;
mod reading;
mod scan;

use std::collections::HashMap;

use serde::Serialize;

use bartizan_config::Policy;
use bartizan_detect::correlator::Correlator;
use bartizan_detect::detectors::DetectorSet;
use bartizan_model::{Event, EventKind, Incident, IncidentId, Signal, Timestamp};
pub use lines::{LONGEST_LINE, Line, Lines};
use reading::Reading;

/// How often confidence fades, in the time of the events: as in the running agent.
const DECAY: chrono::TimeDelta = chrono::TimeDelta::seconds(10);
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
    correlator: Correlator,
    faded: Timestamp,
    opened: HashMap<IncidentId, Place>,
    place: Place,
    summary: Summary,
}

impl Replay {
    /// A replay under this policy. Which listeners were there before the recording is not known, so each is new.
    pub fn new(policy: &Policy) -> Self {
        Self {
            reading: Reading::default(),
            panel: DetectorSet::new(policy, &[]),
            correlator: Correlator::new(policy, IncidentId(1)),
            faded: Timestamp::UNIX_EPOCH,
            opened: HashMap::new(),
            place: Place { recording: 0, line: 0 },
            summary: Summary::default(),
        }
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
    pub fn end(mut self, mut tell: impl FnMut(Replayed)) -> Summary {
        let left: Vec<Incident> = self.correlator.incidents().cloned().collect();
        left.into_iter().for_each(|incident| self.tell_incident(incident, &mut tell));
        self.summary.folded = self.panel.folded();
        self.summary.forgotten = self.correlator.evicted();
        self.summary
    }

    fn judge(&mut self, event: &Event, tell: &mut impl FnMut(Replayed)) {
        self.summary.events += 1;
        self.let_time_pass(event.at, tell);
        if let EventKind::Loss { loss } = &event.kind {
            self.correlator.loss(loss, event.at);
        }
        for signal in self.panel.observe(event) {
            self.summary.signals += 1;
            tell(Replayed::Signal(self.place, signal.clone()));
            let update = self.correlator.join(signal);
            if update.opened {
                self.opened.insert(update.incident.id, self.place);
                self.forget_places();
            }
        }
    }

    fn let_time_pass(&mut self, at: Timestamp, tell: &mut impl FnMut(Replayed)) {
        if at.signed_duration_since(self.faded) < DECAY {
            return;
        }
        self.faded = at;
        for incident in self.correlator.tick(at) {
            if self.correlator.get(incident.id).is_none() {
                self.tell_incident(incident, tell);
            }
        }
    }

    fn tell_incident(&mut self, incident: Incident, tell: &mut impl FnMut(Replayed)) {
        self.summary.incidents += 1;
        let place = self.opened.remove(&incident.id).unwrap_or(self.place);
        tell(Replayed::Incident(place, incident));
    }

    /// Incidents that were given up or became part of another one need no place any more.
    fn forget_places(&mut self) {
        if self.opened.len() > 2 * bartizan_detect::correlator::MAX_INCIDENTS {
            self.opened.retain(|id, _| self.correlator.get(*id).is_some());
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
