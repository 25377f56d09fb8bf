//! What waits for one sink: folded by key, few at once, the rest in one summary.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use bartizan_model::{Severity, Timestamp};

use super::message::Message;
use super::parcel::{Item, MAX_NAMED, Parcel};
use super::queue::Failure;

/// Different messages that may wait for one sink; what comes beyond that is counted and told with the next summary.
pub const MAX_WAITING: usize = 256;
/// So many parcels at once, then one in each pause: the last one is kept for a summary.
const BURST: u32 = 4;
/// How long a parcel costs.
const PAUSE: TimeDelta = TimeDelta::minutes(1);
/// Pauses after failures: doubled each time, between these.
const FIRST_RETRY: TimeDelta = TimeDelta::seconds(2);
const LAST_RETRY: TimeDelta = TimeDelta::minutes(10);
/// The longest pause that the other side can ask for.
const LONGEST_ASKED: TimeDelta = TimeDelta::hours(1);

/// What became of the messages for one sink. Offered is always sent, waiting, acknowledged and passed over, all together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Handed in.
    pub offered: u64,
    /// Told, alone or in a count.
    pub sent: u64,
    /// Still to be told.
    pub waiting: u64,
    /// Not told, because a person had seen it before.
    pub acknowledged: u64,
    /// Not for this sink, by its rules.
    pub passed_over: u64,
    /// Parcels that the sink took.
    pub parcels: u64,
    /// Tries that failed.
    pub failures: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lane {
    waiting: BTreeMap<String, Item>,
    /// Messages beyond [`MAX_WAITING`].
    crowded: u64,
    /// What was handed to the sink, until it is known what became of it.
    parcel: Option<Parcel>,
    #[serde(skip)]
    is_out: bool,
    tries: u32,
    retry_at: Timestamp,
    left: u32,
    filled: Timestamp,
    counts: Counts,
}

impl Lane {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            waiting: BTreeMap::new(),
            crowded: 0,
            parcel: None,
            is_out: false,
            tries: 0,
            retry_at: now,
            left: BURST,
            filled: now,
            counts: Counts::default(),
        }
    }

    pub(crate) fn offer(&mut self, message: &Message, due: Option<Timestamp>, now: Timestamp) {
        self.counts.offered += 1;
        let Some(due) = due else {
            self.counts.passed_over += 1;
            return;
        };
        if let Some(item) = self.waiting.get_mut(&message.key) {
            item.count += 1;
            item.last = now;
            item.due = item.due.min(due);
            item.message.clone_from(message);
        } else if self.waiting.len() < MAX_WAITING {
            self.waiting.insert(message.key.clone(), Item { message: message.clone(), count: 1, first: now, last: now, due });
        } else {
            self.crowded += 1;
        }
    }

    pub(crate) fn take(&mut self, now: Timestamp) -> Option<Parcel> {
        // Where the clock was set back, nothing waits for the time that was.
        if self.retry_at - now > LONGEST_ASKED {
            self.retry_at = now;
        }
        if self.is_out || now < self.retry_at {
            return None;
        }
        if self.parcel.is_none() {
            self.parcel = self.pack(now);
        }
        self.is_out = self.parcel.is_some();
        self.parcel.clone()
    }

    /// Puts together what is sent next: single messages while there is room, then a summary of all that is due.
    fn pack(&mut self, now: Timestamp) -> Option<Parcel> {
        self.fill(now);
        let due: Vec<String> = self.waiting.iter().filter(|(_, item)| item.due <= now).map(|(key, _)| key.clone()).collect();
        let is_crowd_alone = self.waiting.is_empty() && self.crowded > 0;
        if (due.is_empty() && !is_crowd_alone) || now < self.free_at() {
            return None;
        }
        let is_summary = self.left == 1 || self.crowded > 0 || due.len() > self.left as usize;
        self.left = self.left.saturating_sub(1);
        if is_summary {
            return Some(self.summary(&due));
        }
        let gravest = due.into_iter().max_by_key(|key| self.waiting.get(key).map(|item| item.message.severity))?;
        let item = self.waiting.remove(&gravest)?;
        Some(Parcel { count: item.count, items: vec![item], others: 0 })
    }

    /// When a parcel may be sent. The last one of a burst waits for what follows, so that its summary says more, but not with
    /// something critical in it.
    fn free_at(&self) -> Timestamp {
        match self.left {
            0 => self.filled + PAUSE,
            1 if !self.waiting.values().any(|item| item.message.severity == Severity::Critical) => self.filled + PAUSE / 2,
            _ => Timestamp::MIN_UTC,
        }
    }

    fn summary(&mut self, due: &[String]) -> Parcel {
        let mut items: Vec<Item> = due.iter().filter_map(|key| self.waiting.remove(key)).collect();
        let count = items.iter().map(|item| item.count).sum::<u64>() + std::mem::take(&mut self.crowded);
        items.sort_by_key(|item| std::cmp::Reverse((item.message.severity, item.count)));
        let others = items.len().saturating_sub(MAX_NAMED) as u64;
        items.truncate(MAX_NAMED);
        Parcel { items, others, count }
    }

    fn fill(&mut self, now: Timestamp) {
        let pauses = (now - self.filled).num_seconds() / PAUSE.num_seconds();
        if pauses > 0 {
            self.left = self.left.saturating_add(u32::try_from(pauses).unwrap_or(u32::MAX)).min(BURST);
        }
        // A full burst begins with its first parcel; a clock that was set back begins anew.
        if pauses > 0 || self.left == BURST || now < self.filled {
            self.filled = now;
        }
    }

    pub(crate) fn sent(&mut self) {
        if let Some(parcel) = self.parcel.take() {
            self.counts.sent += parcel.count;
            self.counts.parcels += 1;
        }
        (self.is_out, self.tries) = (false, 0);
    }

    /// How often in a row it has failed by now.
    pub(crate) fn failed(&mut self, failure: &Failure, now: Timestamp) -> u32 {
        self.is_out = false;
        self.tries = self.tries.saturating_add(1);
        self.counts.failures += 1;
        let pause = FIRST_RETRY * 2_i32.pow(self.tries.min(10) - 1);
        let asked = failure.retry_after.unwrap_or_default().min(LONGEST_ASKED);
        self.retry_at = now + pause.min(LAST_RETRY).max(asked);
        self.tries
    }

    pub(crate) fn acknowledge(&mut self, key: &str) {
        if let Some(item) = self.waiting.remove(key) {
            self.counts.acknowledged += item.count;
        }
    }

    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        if self.is_out {
            return None;
        }
        if self.parcel.is_some() {
            return Some(self.retry_at);
        }
        let crowd = (self.crowded > 0).then_some(Timestamp::MIN_UTC);
        let due = self.waiting.values().map(|item| item.due).min().or(crowd)?;
        Some(due.max(self.free_at()).max(self.retry_at))
    }

    pub(crate) fn counts(&self) -> Counts {
        let waiting = self.waiting.values().map(|item| item.count).sum::<u64>();
        Counts { waiting: waiting + self.crowded + self.parcel.as_ref().map_or(0, |parcel| parcel.count), ..self.counts }
    }
}
