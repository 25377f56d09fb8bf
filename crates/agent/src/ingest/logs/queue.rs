//! The queue between the follower and the pipeline. It is bounded and loses nothing: lines wait in their files while it is full.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bartizan_model::{HostText, Unpoisoned as _};
use bartizan_sensors::Stop;
use bartizan_worker::{At, LogRecord};

/// Records that wait at most: a client chooses how long each is, up to some 4 KiB.
const MAX_WAITING: usize = 1024;
/// How often whoever waits for room looks whether the agent ends.
const LOOK: Duration = Duration::from_millis(200);
/// So long a full queue is waited for once the agent ends.
const LAST_PATIENCE: Duration = Duration::from_secs(3);

/// What waits.
#[derive(Debug)]
pub(in super::super) enum Item {
    /// What a line of this source says.
    Record(HostText, Box<At<LogRecord>>),
    /// Everything before this is read so far: to be kept when it is handled.
    Read(String),
}

#[derive(Debug, Default)]
struct Waiting {
    items: VecDeque<Item>,
    received: u64,
    refused: u64,
}

/// The queue.
#[derive(Debug, Default)]
pub(in super::super) struct LogQueue {
    waiting: Mutex<Waiting>,
    room: Condvar,
}

impl LogQueue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unpoisoned()
    }

    /// Puts one behind the others, as soon as there is room; true when it was empty before. When the agent ends and nobody makes room any
    /// more it is refused, and so is every word of how far was read after it: its line is read again by the next run.
    pub(super) fn put(&self, item: Item, stop: &Stop) -> bool {
        let mut waiting = self.lock();
        waiting.received += u64::from(matches!(item, Item::Record(..)));
        let mut last = None;
        while waiting.items.len() >= MAX_WAITING && waiting.refused == 0 {
            if stop.is_set() && *last.get_or_insert_with(|| Instant::now() + LAST_PATIENCE) <= Instant::now() {
                break;
            }
            waiting = self.room.wait_timeout(waiting, LOOK).unpoisoned().0;
        }
        if waiting.refused > 0 || waiting.items.len() >= MAX_WAITING {
            waiting.refused += u64::from(matches!(item, Item::Record(..)));
            return false;
        }
        waiting.items.push_back(item);
        waiting.items.len() == 1
    }

    /// The oldest of them, and whether more wait.
    pub(in super::super) fn take(&self, most: usize) -> (Vec<Item>, bool) {
        let mut waiting = self.lock();
        let most = most.min(waiting.items.len());
        let taken = waiting.items.drain(..most).collect();
        let more = !waiting.items.is_empty();
        drop(waiting);
        self.room.notify_all();
        (taken, more)
    }

    /// Whether nothing waits.
    pub(in super::super) fn is_empty(&self) -> bool {
        self.lock().items.is_empty()
    }

    /// Records that came, and those that were refused.
    pub(super) fn counts(&self) -> (u64, u64) {
        let waiting = self.lock();
        (waiting.received, waiting.refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_makes_the_follower_wait_and_at_the_end_keeps_no_place_behind_what_it_refused() {
        let (queue, stop) = (std::sync::Arc::new(LogQueue::default()), Stop::default());
        (0..MAX_WAITING).for_each(|number| assert_eq!(queue.put(Item::Read(number.to_string()), &stop), number == 0));
        let (other, ending) = (std::sync::Arc::clone(&queue), stop.clone());
        let waits = std::thread::spawn(move || other.put(Item::Read("waited".to_owned()), &ending));
        std::thread::sleep(Duration::from_millis(50));
        assert!(!waits.is_finished(), "it found room where there was none");
        assert_eq!(queue.take(1).0.len(), 1);
        waits.join().unwrap();
        let (all, more) = queue.take(MAX_WAITING * 2);
        assert!(matches!(all.last(), Some(Item::Read(text)) if text == "waited") && !more && queue.is_empty());
    }
}
