//! Losses by hop: two readings of all counts become one loss for each hop that lost something, and each is told once.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use bartizan_model::{EventKind, HopDrops, Loss, Timestamp};

/// Sensors tell their counts once a second, after a wait of up to 0.4 s: what a reading shows for the first time may
/// have been lost this long before the reading before it.
const LATE: TimeDelta = TimeDelta::seconds(2);

/// Counts by kind of event, for hops that know what they refuse.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct KindCounts([u64; EventKind::NAMES.len()]);

impl KindCounts {
    /// One more of this kind.
    pub(super) fn add(&mut self, kind: &EventKind) {
        let name = kind.name();
        if let Some(place) = EventKind::NAMES.iter().position(|known| *known == name)
            && let Some(count) = self.0.get_mut(place)
        {
            *count += 1;
        }
    }

    /// By name, those that occurred.
    pub(super) fn named(&self) -> BTreeMap<String, u64> {
        EventKind::NAMES.iter().zip(self.0).filter(|(_, count)| *count > 0).map(|(name, count)| ((*name).to_owned(), count)).collect()
    }

    /// Of all kinds together.
    pub(super) fn sum(&self) -> u64 {
        self.0.iter().sum()
    }
}

/// What one hop has lost since the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reading {
    /// Its name.
    pub(super) hop: String,
    /// Events lost.
    pub(super) dropped: u64,
    /// The same by kind; empty when the hop cannot tell.
    pub(super) kinds: BTreeMap<String, u64>,
}

impl From<HopDrops> for Reading {
    fn from(hop: HopDrops) -> Self {
        Self { hop: hop.hop, dropped: hop.dropped, kinds: BTreeMap::new() }
    }
}

/// What is known and told of one hop.
#[derive(Debug, Clone)]
struct Hop {
    /// Lost by its own count.
    counted: u64,
    /// Lost by the events in which its sensor said so.
    said: u64,
    /// Of these, told to everybody.
    told: u64,
    kinds: BTreeMap<String, u64>,
    kinds_told: BTreeMap<String, u64>,
    /// What its sensor said of a loss that is not told yet.
    hint: Loss,
    /// Nothing was missing in the reading of this moment.
    whole: Timestamp,
}

/// The book: time is an argument, so that it can be tested without waiting.
#[derive(Debug)]
pub(super) struct LossBook {
    begun: Timestamp,
    hops: BTreeMap<String, Hop>,
    hinted: bool,
}

impl LossBook {
    /// Nothing is lost before `begun`.
    pub(super) fn new(begun: Timestamp) -> Self {
        Self { begun, hops: BTreeMap::new(), hinted: false }
    }

    /// A sensor says itself that it lost something. The count of its hop says so too, now or soon, so it is told with the
    /// next reading, and once. A stretch without a count is in no reading: it is given back, to be told at once.
    pub(super) fn hint(&mut self, loss: &Loss) -> Option<Loss> {
        if loss.count == 0 {
            return Some(loss.clone());
        }
        let hop = self.hop(&loss.hop);
        hop.said += loss.count;
        hop.hint.from = hop.hint.from.into_iter().chain(loss.from).min();
        for (kind, count) in &loss.kinds {
            *hop.hint.kinds.entry(kind.clone()).or_default() += count;
        }
        self.hinted = true;
        None
    }

    /// Whether a sensor said something that is not told yet: do not wait for the next second.
    pub(super) fn is_hinted(&self) -> bool {
        self.hinted
    }

    /// Takes a reading of all hops; gives what is newly lost, one for each hop.
    pub(super) fn read(&mut self, readings: Vec<Reading>, now: Timestamp) -> Vec<Loss> {
        self.hinted = false;
        for reading in readings {
            let hop = self.hop(&reading.hop);
            hop.counted = hop.counted.max(reading.dropped);
            hop.kinds = reading.kinds;
        }
        self.hops.iter_mut().filter_map(|(name, hop)| hop.owed(name, now)).collect()
    }

    fn hop(&mut self, name: &str) -> &mut Hop {
        let fresh = Hop {
            counted: 0,
            said: 0,
            told: 0,
            kinds: BTreeMap::new(),
            kinds_told: BTreeMap::new(),
            hint: Loss::new(name, 0),
            whole: self.begun,
        };
        self.hops.entry(name.to_owned()).or_insert(fresh)
    }
}

impl Hop {
    fn owed(&mut self, name: &str, now: Timestamp) -> Option<Loss> {
        // Both count the same events: the larger is the truth.
        let lost = self.counted.max(self.said);
        let hint = std::mem::replace(&mut self.hint, Loss::new(name, 0));
        let whole = std::mem::replace(&mut self.whole, now);
        let count = lost.saturating_sub(self.told);
        if count == 0 {
            return None;
        }
        self.told = lost;
        let told = std::mem::replace(&mut self.kinds_told, self.kinds.clone());
        let mut kinds = self.kinds.clone();
        for (kind, count) in told {
            let left = kinds.get(&kind).copied().unwrap_or_default().saturating_sub(count);
            kinds.insert(kind, left);
        }
        kinds.retain(|_, count| *count > 0);
        let kinds = if kinds.is_empty() { hint.kinds } else { kinds };
        let from = hint.from.into_iter().chain([whole - LATE, now]).min();
        Some(Loss { hop: name.to_owned(), count, from, to: Some(now), kinds })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + TimeDelta::seconds(1_000 + second)
    }

    fn reading(hop: &str, dropped: u64, kinds: &[(&str, u64)]) -> Reading {
        Reading { hop: hop.to_owned(), dropped, kinds: kinds.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect() }
    }

    fn short(losses: &[Loss]) -> Vec<(&str, u64)> {
        losses.iter().map(|loss| (loss.hop.as_str(), loss.count)).collect()
    }

    #[test]
    fn two_readings_make_one_loss_for_each_hop_that_lost() {
        let mut book = LossBook::new(at(0));
        assert_eq!(book.read(vec![reading("lane-bulk", 0, &[]), reading("store", 0, &[])], at(1)), []);
        let lost = book.read(
            vec![
                reading("lane-bulk", 7, &[("process.fork", 4), ("process.exit", 3)]),
                reading("lane-normal", 2, &[]),
                reading("store", 0, &[]),
            ],
            at(2),
        );
        assert_eq!(short(&lost), [("lane-bulk", 7), ("lane-normal", 2)]);
        assert_eq!((lost[0].from, lost[0].to), (Some(at(-1)), Some(at(2))), "sensors tell late: the reading before is not proof");
        assert_eq!(lost[0].kinds.iter().map(|(k, n)| (k.as_str(), *n)).collect::<Vec<_>>(), [("process.exit", 3), ("process.fork", 4)]);
        let lost = book.read(vec![reading("lane-bulk", 9, &[("process.fork", 4), ("process.exit", 5)])], at(3));
        assert_eq!(short(&lost), [("lane-bulk", 2)]);
        assert_eq!(lost[0].kinds.clone().into_iter().collect::<Vec<_>>(), [("process.exit".to_owned(), 2)], "only what is new");
        assert_eq!(book.read(vec![reading("lane-bulk", 9, &[])], at(4)), []);
    }

    #[test]
    fn what_a_sensor_says_itself_is_not_counted_twice_whichever_comes_first() {
        let mut book = LossBook::new(at(0));
        let said = Loss { from: Some(at(-30)), kinds: [("process.exec".to_owned(), 5)].into(), ..Loss::new("kernel-ring", 5) };
        // The event before the count.
        assert_eq!(book.hint(&said), None);
        assert!(book.is_hinted());
        let lost = book.read(vec![reading("kernel-ring", 5, &[])], at(1));
        assert_eq!((short(&lost), lost[0].from, lost[0].kinds.len()), (vec![("kernel-ring", 5)], Some(at(-30)), 1));
        assert_eq!(book.read(vec![reading("kernel-ring", 5, &[])], at(2)), []);
        // The count before the event.
        assert_eq!(short(&book.read(vec![reading("kernel-ring", 8, &[])], at(3))), [("kernel-ring", 3)]);
        assert_eq!(book.hint(&Loss::new("kernel-ring", 3)), None);
        assert_eq!(book.read(vec![reading("kernel-ring", 8, &[])], at(4)), []);
        // An event alone.
        assert_eq!(book.hint(&Loss::new("fanotify-secrets", 1)), None);
        assert_eq!(short(&book.read(vec![reading("kernel-ring", 8, &[])], at(5))), [("fanotify-secrets", 1)]);
    }

    #[test]
    fn a_stretch_that_nobody_counted_is_told_as_it_is() {
        let mut book = LossBook::new(at(0));
        let change = Loss { from: Some(at(1)), to: Some(at(2)), ..Loss::new("sensors changed", 0) };
        assert_eq!(book.hint(&change), Some(change));
        assert!(!book.is_hinted());
        assert_eq!(book.read(Vec::new(), at(3)), []);
    }

    #[test]
    fn a_clock_that_goes_back_makes_no_backward_stretch() {
        let mut book = LossBook::new(at(100));
        let lost = book.read(vec![reading("store", 1, &[])], at(0));
        assert!(lost.iter().all(|loss| loss.from <= loss.to), "{lost:?}");
    }

    #[test]
    fn kinds_are_counted_by_name() {
        let mut counts = KindCounts::default();
        counts.add(&EventKind::Fork);
        counts.add(&EventKind::Fork);
        counts.add(&EventKind::Exec);
        assert_eq!(counts.named().into_iter().collect::<Vec<_>>(), [("process.exec".to_owned(), 1), ("process.fork".to_owned(), 2)]);
        assert_eq!(counts.sum(), 3);
    }
}
