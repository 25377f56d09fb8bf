//! What views asked for while somebody looked at them: the last answer, how old it is, and why there is none.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use bartizan_config::View;
use bartizan_model::{
    Attacker, BaselineReview, Event, EventId, Exception, ExceptionId, Finding, Habit, HabitId, HostText, LogSource, Timestamp,
};
use bartizan_protocol::{FileDiff, FindingsPage};

/// Most rows of one answer that are kept for the screen.
pub(crate) const KEPT: usize = 2_000;

/// A view that asks for its rows. All others are told by the agent of what changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SheetView {
    Files,
    Findings,
    Logs,
    Baseline,
    Exceptions,
}

impl SheetView {
    /// As which this view asks; nothing for one that is told.
    pub(crate) fn of(view: View) -> Option<Self> {
        match view {
            View::Files => Some(Self::Files),
            View::Findings => Some(Self::Findings),
            View::Logs => Some(Self::Logs),
            View::Baseline => Some(Self::Baseline),
            View::Exceptions => Some(Self::Exceptions),
            View::Overview
            | View::Processes
            | View::Network
            | View::Timeline
            | View::Alerts
            | View::Approvals
            | View::Actions
            | View::Health
            | View::Audit => None,
        }
    }
}

/// A row that no push brings: its view asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Item {
    /// A log, by a digest of its name.
    Log(u64),
    Attacker(IpAddr),
    /// A change of a file.
    File(EventId),
    /// A finding, by the digits of its name.
    Finding(u64),
    Habit(HabitId),
    Exception(ExceptionId),
}

/// The name of a log as a row is called.
pub(crate) fn log_item(row: &LogSource) -> Item {
    let mut digest = DefaultHasher::new();
    row.name.as_bytes().hash(&mut digest);
    Item::Log(digest.finish())
}

/// One answer.
#[derive(Debug, Clone)]
pub(crate) struct Sheet<T> {
    pub data: Option<T>,
    /// When the agent answered.
    pub at: Option<Timestamp>,
    /// Why the last question had no answer.
    pub refused: Option<String>,
}

impl<T> Default for Sheet<T> {
    fn default() -> Self {
        Self { data: None, at: None, refused: None }
    }
}

impl<T> Sheet<T> {
    pub(crate) fn take(&mut self, data: T, now: Timestamp) {
        *self = Self { data: Some(data), at: Some(now), refused: None };
    }
}

/// What the agent said about a file that the cursor rests on.
#[derive(Debug, Clone)]
pub(crate) struct Diff {
    pub path: HostText,
    /// How it differs, or why that is not known.
    pub said: Result<FileDiff, String>,
    pub at: Timestamp,
}

/// The digits of a finding's name; `None` for what is none.
pub(crate) fn finding_number(id: &str) -> Option<u64> {
    let digits = id.strip_prefix(['F', 'f']).filter(|digits| digits.len() == 12)?;
    u64::from_str_radix(digits, 16).ok()
}

/// Its name.
pub(crate) fn finding_id(number: u64) -> String {
    format!("F{number:012x}")
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sheets {
    pub logs: Sheet<Vec<LogSource>>,
    pub attackers: Sheet<Vec<Attacker>>,
    /// Changes of files, newest first.
    pub files: Sheet<Vec<Event>>,
    /// How many changes the agent had reported when they were asked for last.
    pub files_known: Option<u64>,
    /// How the file under the cursor differs from the baseline now.
    pub diff: Option<Diff>,
    pub findings: Sheet<FindingsPage>,
    pub review: Sheet<BaselineReview>,
    pub exceptions: Sheet<Vec<Exception>>,
}

impl Sheets {
    pub(crate) fn log(&self, item: Item) -> Option<&LogSource> {
        self.logs.data.as_ref()?.iter().find(|row| log_item(row) == item)
    }

    pub(crate) fn attacker(&self, address: IpAddr) -> Option<&Attacker> {
        self.attackers.data.as_ref()?.iter().find(|row| row.address == address)
    }

    /// A habit, waiting or learned.
    pub(crate) fn habit(&self, id: HabitId) -> Option<&Habit> {
        let review = self.review.data.as_ref()?;
        review.waiting.iter().chain(&review.learned).find(|row| row.id == id)
    }

    pub(crate) fn file(&self, id: EventId) -> Option<&Event> {
        self.files.data.as_ref()?.iter().find(|row| row.id == id)
    }

    pub(crate) fn finding(&self, number: u64) -> Option<&Finding> {
        self.findings.data.as_ref()?.findings.iter().find(|row| finding_number(&row.id) == Some(number))
    }

    pub(crate) fn exception(&self, id: ExceptionId) -> Option<&Exception> {
        self.exceptions.data.as_ref()?.iter().find(|row| row.id == id)
    }
}
