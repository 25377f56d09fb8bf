//! What waits for one sink: folded by key, few at once, the rest in one summary; questions on a track of their own.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use bartizan_model::{Severity, SinkRow, SinkState, Timestamp};

use super::bucket::Bucket;
use super::message::Message;
use super::parcel::{Item, MAX_NAMED, Parcel};
use super::queue::{Failure, LOST_AFTER};
use super::route::Route;

/// Different messages that may wait for one sink; what comes beyond that is counted and told with the next summary.
pub(crate) const MAX_WAITING: usize = 256;
/// Questions that may wait beside them.
const MORE_QUESTIONS: usize = 32;
/// Pauses after failures: doubled each time, between these.
const FIRST_RETRY: TimeDelta = TimeDelta::seconds(2);
const LAST_RETRY: TimeDelta = TimeDelta::minutes(10);
/// The longest pause that the other side can ask for.
const LONGEST_ASKED: TimeDelta = TimeDelta::minutes(10);
/// No message waits longer for its time: an escalation, a digest and quiet hours are at most a day each.
const LONGEST_DUE: TimeDelta = TimeDelta::days(3);
/// A parcel that the other side calls wrong is tried so often.
const TRIES_OF_REFUSED: u32 = 6;
/// From so many refusals on every second attempt is without what an attacker may have chosen: who filters it would take no other message.
const TRIES_WITH_DETAILS: u32 = 3;
/// What is critical, and a question, is tried again after this pause at most.
const PRESSING_RETRY: TimeDelta = TimeDelta::minutes(1);

/// What became of the messages for one sink. Offered is always sent, waiting, acknowledged, passed over and given up, all together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// Handed in.
    pub(crate) offered: u64,
    /// Told, alone or in a count.
    pub(crate) sent: u64,
    /// Still to be told.
    pub(crate) waiting: u64,
    /// Not told, because a person had seen it before.
    pub(crate) acknowledged: u64,
    /// Not for this sink, by its rules.
    pub(crate) passed_over: u64,
    /// Refused by the sink for what they are.
    pub(crate) given_up: u64,
    /// Parcels that the sink took.
    pub(crate) parcels: u64,
    /// Tries that failed.
    pub(crate) failures: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Lane {
    waiting: BTreeMap<String, Item>,
    /// Messages beyond [`MAX_WAITING`].
    crowded: u64,
    /// What was handed to the sink, until it is known what became of it.
    parcel: Option<Parcel>,
    #[serde(skip)]
    is_out: bool,
    tries: u32,
    /// How often the parcel itself was refused.
    #[serde(default)]
    refusals: u32,
    retry_at: Timestamp,
    #[serde(default)]
    failed_at: Option<Timestamp>,
    telling: Bucket,
    asking: Bucket,
    sent_at: Option<Timestamp>,
    error: Option<String>,
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
            refusals: 0,
            retry_at: now,
            failed_at: None,
            telling: Bucket::new(now),
            asking: Bucket::new(now),
            sent_at: None,
            error: None,
            counts: Counts::default(),
        }
    }

    /// Plans what waits anew, by these rules; what this sink is not for any more goes.
    pub(crate) fn replan(&mut self, route: &Route) {
        let passed_over = &mut self.counts.passed_over;
        self.waiting.retain(|_, item| match route.due(&item.message, item.first) {
            Some(due) => {
                item.due = due;
                true
            }
            None => {
                *passed_over += item.count;
                false
            }
        });
    }

    pub(crate) fn offer(&mut self, message: &Message, due: Option<Timestamp>, now: Timestamp) {
        self.counts.offered += 1;
        let Some(due) = due else {
            self.counts.passed_over += 1;
            return;
        };
        if let Some(item) = self.waiting.get_mut(&message.key) {
            item.count += 1;
            item.differs |= item.message.sentence != message.sentence || item.message.severity != message.severity;
            item.last = now;
            item.due = item.due.min(due);
            item.message.clone_from(message);
        } else if self.has_room(message) {
            self.waiting
                .insert(message.key.clone(), Item { message: message.clone(), count: 1, differs: false, first: now, last: now, due });
        } else {
            self.crowded += 1;
        }
    }

    /// Whether it can wait here; the least severe gives way to a graver one and is only counted from then on.
    fn has_room(&mut self, message: &Message) -> bool {
        let room = MAX_WAITING + if message.asks() { MORE_QUESTIONS } else { 0 };
        if self.waiting.len() < room {
            return true;
        }
        let others = self.waiting.iter().filter(|(_, item)| !item.message.asks());
        let least = others.min_by_key(|(_, item)| item.message.severity).filter(|(_, item)| item.message.severity < message.severity);
        let Some(key) = least.map(|(key, _)| key.clone()) else { return false };
        self.crowded += self.waiting.remove(&key).map_or(0, |item| item.count);
        true
    }

    pub(crate) fn take(&mut self, now: Timestamp) -> Option<Parcel> {
        // Where the clock was set back, nothing waits for the time that was.
        if self.retry_at - now > LONGEST_ASKED {
            self.retry_at = now;
        }
        self.follow_the_clock(now);
        if self.is_out || now < self.attempt_at() {
            return None;
        }
        if self.parcel.is_none() {
            self.parcel = self.pack(now);
        }
        self.is_out = self.parcel.is_some();
        let is_plain = self.refusals >= TRIES_WITH_DETAILS && !self.refusals.is_multiple_of(2);
        self.parcel.as_ref().map(|parcel| if is_plain { parcel.without_details() } else { parcel.clone() })
    }

    /// When the next attempt may be made: what presses waits for no long pause.
    fn attempt_at(&self) -> Timestamp {
        let presses = |item: &Item| item.message.asks() || item.message.severity == Severity::Critical;
        let is_pressing = self.waiting.values().chain(self.parcel.iter().flat_map(|parcel| &parcel.items)).any(presses);
        match self.failed_at.filter(|_| is_pressing) {
            Some(failed) => self.retry_at.min(failed + PRESSING_RETRY),
            None => self.retry_at,
        }
    }

    /// Where the clock was set back, what waits moves with it.
    fn follow_the_clock(&mut self, now: Timestamp) {
        for item in self.waiting.values_mut().filter(|item| now < item.last) {
            let back = item.last - now;
            (item.last, item.first, item.due) = (now, item.first - back, item.due - back);
        }
        self.failed_at = self.failed_at.map(|failed| failed.min(now));
    }

    /// Puts together what is sent next: single messages while there is room, then a summary of all that is due. Questions first.
    fn pack(&mut self, now: Timestamp) -> Option<Parcel> {
        self.telling.fill(now);
        self.asking.fill(now);
        self.waiting.values_mut().filter(|item| item.due - now > LONGEST_DUE).for_each(|item| item.due = now);
        let due = self.waiting.iter().filter(|(_, item)| item.due <= now);
        let (asked, told): (Vec<_>, Vec<_>) = due.partition(|(_, item)| item.message.asks());
        let keys = |of: Vec<(&String, &Item)>| of.into_iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
        let (asked, told) = (keys(asked), keys(told));
        if !asked.is_empty() && now >= self.asking.free_at(true) {
            let is_summary = asked.len() > self.asking.left() as usize;
            self.asking.take();
            return self.next_of(asked, is_summary);
        }
        let is_crowd_alone = self.crowded > 0 && self.waiting.values().all(|item| item.message.asks());
        if (told.is_empty() && !is_crowd_alone) || now < self.telling.free_at(self.is_urgent()) {
            return None;
        }
        let left = self.telling.left();
        let is_summary = left == 1 || self.crowded > 0 || told.len() > left as usize;
        self.telling.take();
        self.next_of(told, is_summary)
    }

    fn next_of(&mut self, due: Vec<String>, is_summary: bool) -> Option<Parcel> {
        if is_summary {
            return Some(self.summary(&due));
        }
        let gravest = due.into_iter().max_by_key(|key| self.waiting.get(key).map(|item| item.message.severity))?;
        let item = self.waiting.remove(&gravest)?;
        Some(Parcel { count: item.count, items: vec![item], others: 0 })
    }

    fn is_urgent(&self) -> bool {
        self.waiting.values().any(|item| item.message.severity == Severity::Critical)
    }

    fn summary(&mut self, due: &[String]) -> Parcel {
        let mut items: Vec<Item> = due.iter().filter_map(|key| self.waiting.remove(key)).collect();
        // Whoever is counted only was no question.
        let crowded = if items.iter().any(|item| item.message.asks()) { 0 } else { std::mem::take(&mut self.crowded) };
        let count = items.iter().map(|item| item.count).sum::<u64>() + crowded;
        items.sort_by_key(|item| std::cmp::Reverse((item.message.severity, item.count)));
        let others = items.len().saturating_sub(MAX_NAMED) as u64;
        items.truncate(MAX_NAMED);
        Parcel { items, others, count }
    }

    /// It took the parcel; gives how often it had failed before that.
    pub(crate) fn sent(&mut self, now: Timestamp) -> u32 {
        if let Some(parcel) = self.parcel.take() {
            self.counts.sent += parcel.count;
            self.counts.parcels += 1;
        }
        (self.is_out, self.sent_at, self.error) = (false, Some(now), None);
        (self.refusals, self.failed_at) = (0, None);
        std::mem::take(&mut self.tries)
    }

    /// It works, as was found out beside the queue; gives how often it had failed before that.
    pub(crate) fn reached(&mut self, now: Timestamp) -> u32 {
        (self.retry_at, self.failed_at, self.error) = (now, None, None);
        std::mem::take(&mut self.tries)
    }

    /// How often in a row it has failed by now.
    pub(crate) fn failed(&mut self, failure: &Failure, now: Timestamp) -> u32 {
        self.is_out = false;
        self.tries = self.tries.saturating_add(1);
        self.counts.failures += 1;
        self.error = Some(failure.why.clone());
        let pause = FIRST_RETRY * 2_i32.pow(self.tries.min(10) - 1);
        let asked = failure.retry_after.unwrap_or_default().min(LONGEST_ASKED);
        (self.retry_at, self.failed_at) = (now + pause.min(LAST_RETRY).max(asked), Some(now));
        self.refusals += u32::from(failure.refused || failure.refused_for_good);
        if failure.refused_for_good && self.refusals >= TRIES_OF_REFUSED {
            // What it will never take must not hold back what comes behind it.
            self.counts.given_up += self.parcel.take().map_or(0, |parcel| parcel.count);
            self.refusals = 0;
        }
        self.tries
    }

    pub(crate) fn acknowledge(&mut self, key: &str) {
        if let Some(item) = self.waiting.remove(key) {
            self.counts.acknowledged += item.count;
        }
        // One that failed and waits for its next try is not sent any more either.
        let is_it = |parcel: &Parcel| parcel.only().is_some_and(|only| only.message.key == key);
        if !self.is_out && self.parcel.as_ref().is_some_and(is_it) {
            self.counts.acknowledged += self.parcel.take().map_or(0, |parcel| parcel.count);
            self.refusals = 0;
        }
    }

    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        if self.is_out {
            return None;
        }
        if self.parcel.is_some() {
            return Some(self.attempt_at());
        }
        let crowd = (self.crowded > 0).then_some(Timestamp::MIN_UTC);
        let first = |asks: bool| self.waiting.values().filter(|item| item.message.asks() == asks).map(|item| item.due).min();
        let told = first(false).or(crowd).map(|due| due.max(self.telling.free_at(self.is_urgent())));
        let asked = first(true).map(|due| due.max(self.asking.free_at(true)));
        let next = [told, asked].into_iter().flatten().min()?;
        Some(next.max(self.attempt_at()))
    }

    pub(crate) fn counts(&self) -> Counts {
        let waiting = self.waiting.values().map(|item| item.count).sum::<u64>();
        Counts { waiting: waiting + self.crowded + self.parcel.as_ref().map_or(0, |parcel| parcel.count), ..self.counts }
    }

    pub(crate) fn row(&self, name: &str, place: &str) -> SinkRow {
        let counts = self.counts();
        let state = match (self.tries, self.sent_at) {
            (LOST_AFTER.., _) => SinkState::Lost,
            (1.., _) => SinkState::Failing,
            (0, Some(_)) => SinkState::Works,
            (0, None) => SinkState::Unused,
        };
        SinkRow {
            name: name.to_owned(),
            place: place.to_owned(),
            state,
            waiting: counts.waiting,
            sent: counts.sent,
            folded: counts.sent.saturating_sub(counts.parcels),
            given_up: counts.given_up,
            acknowledged: counts.acknowledged,
            failures: counts.failures,
            sent_at: self.sent_at,
            next_at: self.next_at(),
            retry_at: self.parcel.as_ref().filter(|_| self.tries > 0).map(|_| self.attempt_at()),
            error: self.error.clone(),
        }
    }
}
