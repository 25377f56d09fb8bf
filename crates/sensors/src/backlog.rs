//! Raw records between the kernel's ring and those who turn them into events: a flood waits here, small, until the host
//! has time.
//!
//! Making an event costs ten times what taking its record out of the ring costs. While records come faster than
//! [`FLOOD`], they are only taken out, so that the host's own work is not slowed by ours; they are worked off when the
//! flood ends, when the oldest has waited for [`PATIENCE`], when half the room is used, or at once when one of them
//! presses. What is urgent never comes here.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::pace::{Pace, WINDOW};
use bartizan_model::Unpoisoned as _;

/// Most bytes that wait. When they are there, records stay in the ring, which counts what does not fit.
const MOST: usize = 24 << 20;
/// Longest that a record waits because of a flood.
const PATIENCE: Duration = Duration::from_millis(1200);
/// Records a second that make a flood.
const FLOOD: usize = 10_000;
/// The queue, between one that fills and one that empties.
#[derive(Debug)]
pub(super) struct Backlog {
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Debug)]
struct State {
    chunks: VecDeque<(Vec<u8>, Instant)>,
    bytes: usize,
    /// Somebody may want to judge one of these at once.
    pressing: bool,
    closed: bool,
    pace: Pace,
    pushed: Instant,
}

impl Backlog {
    /// Empty, since this moment.
    pub(super) fn new(now: Instant) -> Self {
        let state = State { chunks: VecDeque::new(), bytes: 0, pressing: false, closed: false, pace: Pace::new(FLOOD, now), pushed: now };
        Self { state: Mutex::new(state), arrived: Condvar::new() }
    }

    /// Puts so many records behind the others.
    pub(super) fn push(&self, records: Vec<u8>, count: usize, pressing: bool, now: Instant) {
        let mut state = self.lock();
        state.pace.count(count, now);
        if records.is_empty() {
            return;
        }
        state.bytes += records.len();
        state.pressing |= pressing;
        state.pushed = now;
        state.chunks.push_back((records, now));
        let wake = state.is_due(now);
        drop(state);
        if wake {
            self.arrived.notify_one();
        }
    }

    /// Puts records that were taken and not worked off back before all others.
    pub(super) fn put_back(&self, records: Vec<u8>, now: Instant) {
        if records.is_empty() {
            return;
        }
        let mut state = self.lock();
        state.bytes += records.len();
        state.chunks.push_front((records, now));
    }

    /// No room: leave records where they are.
    pub(super) fn is_full(&self) -> bool {
        self.lock().bytes >= MOST
    }

    /// Half full: whoever waits for something else should not.
    pub(super) fn is_filling(&self) -> bool {
        self.lock().bytes >= MOST / 2
    }

    /// The oldest records, when their time has come; empty when `timeout` passed first, `None` when nothing comes any more.
    pub(super) fn take(&self, timeout: Duration) -> Option<Vec<u8>> {
        let begun = Instant::now();
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            if state.is_due(now)
                && let Some((chunk, _)) = state.chunks.pop_front()
            {
                state.bytes -= chunk.len();
                state.pressing &= !state.chunks.is_empty();
                return Some(chunk);
            }
            if state.closed {
                return None;
            }
            let left = timeout.saturating_sub(now.duration_since(begun));
            if left.is_zero() {
                return Some(Vec::new());
            }
            let pause = if state.chunks.is_empty() { left } else { left.min(WINDOW) };
            state = self.arrived.wait_timeout(state, pause).unpoisoned().0;
        }
    }

    /// Nothing comes any more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whole after every single change.
        self.state.lock().unpoisoned()
    }
}

impl State {
    fn is_due(&self, now: Instant) -> bool {
        let Some((_, since)) = self.chunks.front() else { return false };
        let flood = self.pace.is_flood() && now.duration_since(self.pushed) < WINDOW;
        self.closed || self.pressing || !flood || self.bytes >= MOST / 2 || now.duration_since(*since) >= PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(begun: Instant, per_push: usize, pressing: bool) -> State {
        let backlog = Backlog::new(begun);
        for step in 0..100 {
            backlog.push(vec![0; 100], per_push, pressing, begun + Duration::from_millis(3 * step));
        }
        backlog.state.into_inner().unwrap()
    }

    #[test]
    fn a_trickle_is_worked_off_at_once_and_a_flood_when_it_ends() {
        let begun = Instant::now();
        let now = begun + Duration::from_millis(300);
        assert!(filled(begun, 3, false).is_due(now), "1,000 a second");
        let flood = filled(begun, 100, false);
        assert!(!flood.is_due(now), "33,000 a second");
        assert!(flood.is_due(now + Duration::from_millis(60)), "nothing came for a while");
        assert!(filled(begun, 100, true).is_due(now), "one presses");
    }

    #[test]
    fn nobody_waits_longer_than_the_patience() {
        let begun = Instant::now();
        let backlog = Backlog::new(begun);
        for step in 0..400 {
            backlog.push(vec![0; 100], 100, false, begun + Duration::from_millis(3 * step));
        }
        let state = backlog.state.into_inner().unwrap();
        assert!(!state.is_due(begun + PATIENCE - Duration::from_millis(1)));
        assert!(state.is_due(begun + PATIENCE));
    }

    #[test]
    fn what_is_put_back_comes_first_again() {
        let now = Instant::now();
        let backlog = Backlog::new(now);
        backlog.push(vec![1, 2, 3], 3, false, now);
        backlog.push(vec![4], 1, false, now);
        backlog.close();
        let first = backlog.take(Duration::ZERO).unwrap();
        backlog.put_back(first.get(1..).unwrap().to_vec(), now);
        backlog.put_back(Vec::new(), now);
        assert_eq!(backlog.lock().bytes, 3);
        assert_eq!((backlog.take(Duration::ZERO), backlog.take(Duration::ZERO)), (Some(vec![2, 3]), Some(vec![4])));
        assert_eq!(backlog.take(Duration::ZERO), None);
    }

    #[test]
    fn everything_comes_out_in_order_and_then_the_end() {
        let now = Instant::now();
        let backlog = Backlog::new(now);
        backlog.push(vec![1], 1, false, now);
        backlog.push(vec![2, 2], 1, false, now);
        backlog.close();
        let mut taken = Vec::new();
        while let Some(chunk) = backlog.take(Duration::from_millis(10)) {
            taken.push(chunk);
        }
        assert_eq!(taken, [vec![1], vec![2, 2]]);
        assert_eq!(backlog.lock().bytes, 0);
    }
}
