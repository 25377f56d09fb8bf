//! What views asked for while somebody looked at them: the last answer, how old it is, and why there is none.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use bartizan_model::{Attacker, BaselineReview, Exception, ExceptionId, Habit, HabitId, LogSource, Timestamp};

/// Most rows of one answer that are kept for the screen.
pub(crate) const KEPT: usize = 2_000;

/// A row that no push brings: its view asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Item {
    /// A log, by a digest of its name.
    Log(u64),
    Attacker(IpAddr),
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

/// All of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sheets {
    pub logs: Sheet<Vec<LogSource>>,
    pub attackers: Sheet<Vec<Attacker>>,
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

    pub(crate) fn exception(&self, id: ExceptionId) -> Option<&Exception> {
        self.exceptions.data.as_ref()?.iter().find(|row| row.id == id)
    }
}
