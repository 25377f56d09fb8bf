//! Lines of logs judged offline: the parsers, the detectors and the correlator of the running agent, in the time that the lines say.

use serde::Serialize;

use super::explained::Explained;
use super::formats::{LineFormat, Readers};
use super::joining::Joining;
use super::{LONGEST_WHY, Line, MAX_TOLD, Place, Replayed, Unreadable};
use bartizan_config::Policy;
use bartizan_detect::detectors::logins::{Finding, LoginDetectors, Standing};
use bartizan_detect::detectors::web::WebDetectors;
use bartizan_model::{EventId, HostText, Timestamp};
use bartizan_worker::{Heard, LONGEST, LogFormat, LogRecord};

/// Hashes need no secret where nobody answers: the same lines give the same table.
const SEED: u64 = 0x5eed;

/// What was read and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct LogSummary {
    /// Lines, empty ones too.
    pub lines: u64,
    /// Lines that a parser understood.
    pub parsed: u64,
    /// Of these, lines about a login, a privilege, a request or an error.
    pub records: u64,
    /// Lines that none did.
    pub unparsed: u64,
    /// The first of them.
    pub unparsed_lines: Vec<Unreadable>,
    /// Failed logins.
    pub failed_logins: u64,
    /// Requests with an attack in them.
    pub attack_requests: u64,
    /// Signals.
    pub signals: u64,
    /// Incidents that were told.
    pub incidents: u64,
    /// Incidents given up because too many were under observation.
    pub forgotten: u64,
}

/// One replay. Its memory is bounded whatever the lines are.
#[derive(Debug)]
pub struct LogReplay {
    readers: Readers,
    logins: LoginDetectors,
    web: WebDetectors,
    joining: Joining,
    /// The time that it is, by the lines.
    now: Option<Timestamp>,
    place: Place,
    events: u64,
    summary: LogSummary,
}

impl LogReplay {
    /// Lines of this format, under this policy. Who logged in or used sudo before is not known.
    pub fn new(policy: &Policy, format: LineFormat) -> Self {
        Self {
            readers: Readers::new(format),
            logins: LoginDetectors::new(policy, SEED, []),
            web: WebDetectors::new(policy, SEED),
            joining: Joining::new(policy),
            now: None,
            place: Place { recording: 0, line: 0 },
            events: 0,
            summary: LogSummary::default(),
        }
    }

    /// The next line is the first one of another file.
    pub fn next_recording(&mut self) {
        self.place = Place { recording: self.place.recording + 1, line: 0 };
    }

    /// Judges one line.
    pub fn line(&mut self, line: Line<'_>, tell: &mut impl FnMut(Replayed)) {
        let Some((_, _, finding)) = self.judge(line, tell) else { return };
        let Some((finding, now)) = finding.zip(self.now) else { return };
        self.summary.signals += 1;
        self.events += 1;
        let signal = finding.signal(EventId(self.events), now);
        self.joining.join(self.place, signal, tell);
    }

    /// Judges one line and says how: what was read, what was counted, what would be done.
    pub fn explain(&mut self, line: &[u8]) -> Explained {
        let judged = self.judge(Line::Text(line), &mut |_| {});
        let Some((format, record, finding)) = judged else { return Explained::nothing(line) };
        let standing = record.as_ref().map(|record| self.standing(record)).unwrap_or_default();
        Explained::of(&format, record.as_ref(), finding.as_ref(), &standing)
    }

    /// The lines are over: tells the incidents that are still open, oldest first.
    pub fn end(mut self, tell: impl FnMut(Replayed)) -> LogSummary {
        (self.summary.incidents, self.summary.forgotten) = self.joining.end(tell);
        self.summary
    }

    /// As which format it was read, what it says, and what the detectors think of it. `None`: it is empty or nobody understands it.
    fn judge(&mut self, line: Line<'_>, tell: &mut impl FnMut(Replayed)) -> Option<(LogFormat, Option<LogRecord>, Option<Finding>)> {
        self.place.line += 1;
        self.summary.lines += 1;
        let bytes = match line {
            Line::Text(bytes) => bytes.strip_suffix(b"\n").unwrap_or(bytes),
            Line::TooLong => &[],
        };
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        if matches!(line, Line::TooLong) || bytes.len() > LONGEST {
            self.unparsed(&format!("longer than {LONGEST} bytes"));
            return None;
        }
        if bytes.is_empty() {
            return None;
        }
        let (format, heard) = self.readers.read(bytes);
        let record = match heard {
            Heard::Unknown => {
                self.unparsed(&format!("no line of {}: {}", format.noun(), HostText::from(bytes).escaped()));
                return None;
            }
            Heard::Known => None,
            Heard::Record(record) | Heard::Both(record, _) => Some(record),
        };
        self.summary.parsed += 1;
        let finding = record.as_ref().and_then(|record| {
            self.summary.records += 1;
            let now = self.moment(record);
            self.joining.let_time_pass(now, tell);
            self.observe(record, now)
        });
        Some((format, record, finding))
    }

    fn observe(&mut self, record: &LogRecord, now: Timestamp) -> Option<Finding> {
        match record {
            LogRecord::Auth(record) => {
                let before = self.logins.counts().attempts;
                let finding = self.logins.observe(&record.raw(), now);
                self.summary.failed_logins += self.logins.counts().attempts - before;
                finding
            }
            LogRecord::Request(request) => {
                self.summary.attack_requests += u64::from(!request.attacks.is_empty());
                self.web.observe(&request.access(), &request.attacks, now)
            }
            LogRecord::Trouble(trouble) => self.web.observe_error(&trouble.error(), now),
            LogRecord::Jails(_) => None,
        }
    }

    /// The time that it is: the latest that a line told, but none from after tomorrow.
    fn moment(&mut self, record: &LogRecord) -> Timestamp {
        let stamped = match record {
            LogRecord::Auth(record) => record.at,
            LogRecord::Request(request) => request.at,
            LogRecord::Trouble(trouble) => trouble.at,
            LogRecord::Jails(matches) => matches.first().and_then(|one| one.at),
        };
        let today = chrono::Utc::now();
        let told = stamped.filter(|at| at.timestamp() >= 0 && *at <= today + chrono::TimeDelta::days(1));
        let now = told.max(self.now).unwrap_or(today);
        self.now = Some(now);
        now
    }

    fn standing(&mut self, record: &LogRecord) -> Vec<Standing> {
        let Some(now) = self.now else { return Vec::new() };
        match record {
            LogRecord::Auth(record) => record.address.map(|address| self.logins.standing(address, now)),
            LogRecord::Request(request) => self.web.client(&request.access()).map(|address| self.web.standing(address, now)),
            LogRecord::Trouble(trouble) => trouble.client.map(|address| self.web.standing(address, now)),
            LogRecord::Jails(_) => None,
        }
        .unwrap_or_default()
    }

    fn unparsed(&mut self, why: &str) {
        self.summary.unparsed += 1;
        if self.summary.unparsed_lines.len() < MAX_TOLD {
            let why = bartizan_model::sentence(why).chars().take(LONGEST_WHY).collect();
            self.summary.unparsed_lines.push(Unreadable { place: self.place, why });
        }
    }
}
