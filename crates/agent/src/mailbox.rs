//! Messages to a part: work that the part's own thread does, in the order in which it came, on what it alone owns.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan_model::Unpoisoned as _;

/// Messages that wait at most. Whoever sends faster than a part works is told that it is busy.
const MAX_WAITING: usize = 4_096;

/// Work on what a part owns.
pub(super) type Message<S> = Box<dyn FnOnce(&mut S) + Send>;

/// Why a question was not answered. Then nothing was done, and nothing will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoAnswer {
    /// It did not come to it in time.
    #[error("is busy")]
    Busy,
    /// It has ended.
    #[error("has ended")]
    Ended,
}

/// Why whoever insists did not hear that it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unheard {
    /// It is not done yet, and will be.
    Late,
    /// The part has ended: it is never done.
    Ended,
}

/// The box of one part: anybody puts in, its thread takes out.
pub(super) struct Mailbox<S> {
    waiting: Mutex<Waiting<S>>,
    wake: Box<dyn Fn() + Send + Sync>,
}

struct Waiting<S> {
    messages: VecDeque<Message<S>>,
    /// The part has ended: nothing is taken any more.
    closed: bool,
}

/// Who has hold of a question: the first to take it decides.
#[derive(Debug)]
struct Claim(AtomicU8);

const OPEN: u8 = 0;
const TAKEN: u8 = 1;

impl Claim {
    fn take(&self) -> bool {
        self.0.compare_exchange(OPEN, TAKEN, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

impl<S: 'static> Mailbox<S> {
    /// Empty; whatever comes wakes the part so.
    pub(super) fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        let waiting = Waiting { messages: VecDeque::new(), closed: false };
        Self { waiting: Mutex::new(waiting), wake: Box::new(wake) }
    }

    /// Leaves a message and does not wait. `false` when it is thrown away: the part is far behind, or has ended.
    pub(super) fn tell(&self, message: impl FnOnce(&mut S) + Send + 'static) -> bool {
        self.put(Box::new(message), MAX_WAITING).is_ok()
    }

    fn put(&self, message: Message<S>, room: usize) -> Result<(), NoAnswer> {
        let mut waiting = self.waiting.lock().unpoisoned();
        if waiting.closed {
            return Err(NoAnswer::Ended);
        }
        let fits = waiting.messages.len() < room;
        if fits {
            waiting.messages.push_back(message);
        }
        drop(waiting);
        (self.wake)();
        if fits { Ok(()) } else { Err(NoAnswer::Busy) }
    }

    /// Asks and waits for the answer, for so long until the part begins with it.
    ///
    /// # Errors
    /// [`NoAnswer`]: the question was taken back before the part began with it, or the part ended.
    pub(super) fn ask<T: Send + 'static>(&self, within: Duration, work: impl FnOnce(&mut S) -> T + Send + 'static) -> Result<T, NoAnswer> {
        let (answer, answers): (SyncSender<T>, _) = sync_channel(1);
        let claim = Arc::new(Claim(AtomicU8::new(OPEN)));
        let its = Arc::clone(&claim);
        let message = move |state: &mut S| {
            if its.take() {
                // Whoever asked waits for it, or has ended.
                let _ = answer.send(work(state));
            }
        };
        self.put(Box::new(message), MAX_WAITING)?;
        match answers.recv_timeout(within) {
            Ok(answered) => Ok(answered),
            Err(RecvTimeoutError::Disconnected) => Err(NoAnswer::Ended),
            Err(RecvTimeoutError::Timeout) if claim.take() => Err(NoAnswer::Busy),
            Err(RecvTimeoutError::Timeout) => answers.recv().map_err(|_| NoAnswer::Ended),
        }
    }

    /// Leaves work that is done sooner or later, however much waits, as long as the part lives; waits for so long to hear that
    /// it is done. For those of whom there are few: emergency stops, and changes that are over.
    ///
    /// # Errors
    /// [`Unheard`]: it is not done yet, or never will be.
    pub(super) fn insist<T: Send + 'static>(
        &self,
        within: Duration,
        work: impl FnOnce(&mut S) -> T + Send + 'static,
    ) -> Result<T, Unheard> {
        let (answer, answers): (SyncSender<T>, _) = sync_channel(1);
        // Whoever asked may no longer wait.
        self.put(Box::new(move |state| drop(answer.send(work(state)))), usize::MAX).map_err(|_| Unheard::Ended)?;
        answers.recv_timeout(within).map_err(|error| match error {
            RecvTimeoutError::Timeout => Unheard::Late,
            RecvTimeoutError::Disconnected => Unheard::Ended,
        })
    }

    /// Everything that waits, the oldest first.
    pub(super) fn take(&self) -> VecDeque<Message<S>> {
        std::mem::take(&mut self.waiting.lock().unpoisoned().messages)
    }

    /// Does all that waits.
    pub(super) fn work_off(&self, state: &mut S) {
        self.take().into_iter().for_each(|message| message(state));
    }

    /// The part ends: nothing is taken any more, and all that waits is done once more.
    pub(super) fn close(&self, state: &mut S) {
        self.waiting.lock().unpoisoned().closed = true;
        self.work_off(state);
    }
}

/// What a part shows to all others without being asked: a whole that is replaced, never changed.
#[derive(Debug)]
pub(super) struct Published<T>(Mutex<Arc<T>>);

impl<T> Published<T> {
    pub(super) fn new(first: T) -> Self {
        Self(Mutex::new(Arc::new(first)))
    }

    /// As it was shown last.
    pub(super) fn read(&self) -> Arc<T> {
        Arc::clone(&self.0.lock().unpoisoned())
    }

    /// Shows another from now on.
    pub(super) fn show(&self, next: T) {
        *self.0.lock().unpoisoned() = Arc::new(next);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn boxed() -> Arc<Mailbox<Vec<u32>>> {
        Arc::new(Mailbox::new(|| {}))
    }

    #[test]
    fn messages_are_worked_off_in_order_by_whoever_owns_the_state() {
        let mailbox = boxed();
        let asker = Arc::clone(&mailbox);
        let asked = std::thread::spawn(move || {
            asker.tell(|all| all.push(1));
            asker.tell(|all| all.push(2));
            asker.ask(Duration::from_secs(20), |all| all.clone())
        });
        let mut state = Vec::new();
        while !asked.is_finished() {
            mailbox.work_off(&mut state);
        }
        assert_eq!(asked.join().unwrap(), Ok(vec![1, 2]));
    }

    #[test]
    fn a_question_that_was_given_up_is_never_carried_out() {
        let mailbox = boxed();
        let begun = Instant::now();
        assert_eq!(mailbox.ask(Duration::from_millis(20), |all| all.push(7)), Err(NoAnswer::Busy));
        assert!(begun.elapsed() < Duration::from_secs(5));
        let mut state = Vec::new();
        mailbox.work_off(&mut state);
        assert_eq!(state, Vec::<u32>::new());
    }

    #[test]
    fn what_was_begun_in_time_is_answered_however_long_it_takes() {
        let mailbox = boxed();
        let owner = Arc::clone(&mailbox);
        let worker = std::thread::spawn(move || {
            let mut state = Vec::new();
            while state.is_empty() {
                owner.work_off(&mut state);
            }
        });
        let slow = |all: &mut Vec<u32>| {
            std::thread::sleep(Duration::from_millis(150));
            all.push(1);
            5
        };
        assert_eq!(mailbox.ask(Duration::from_millis(50), slow), Ok(5));
        worker.join().unwrap();
    }

    #[test]
    fn whoever_asks_a_part_that_ended_is_told_and_a_full_box_takes_no_more() {
        let mailbox = boxed();
        let other = Arc::clone(&mailbox);
        let asked = std::thread::spawn(move || other.ask(Duration::from_secs(60), |all| all.len()));
        while mailbox.take().is_empty() {}
        assert_eq!(asked.join().unwrap(), Err(NoAnswer::Ended));
        assert_eq!((0..MAX_WAITING + 5).filter(|_| mailbox.tell(|_| {})).count(), MAX_WAITING);
    }

    #[test]
    fn a_full_box_takes_what_somebody_insists_on_and_a_closed_one_tells_everybody_at_once() {
        let (mailbox, mut state) = (boxed(), Vec::new());
        while mailbox.tell(|_| {}) {}
        assert_eq!(mailbox.insist(Duration::from_millis(10), |all| all.push(7)), Err(Unheard::Late));
        assert_eq!(mailbox.ask(Duration::from_secs(60), |all| all.push(8)), Err(NoAnswer::Busy));
        mailbox.close(&mut state);
        assert_eq!(state, [7], "what waited when it closed was done");
        let begun = Instant::now();
        assert_eq!(mailbox.ask(Duration::from_secs(60), |all| all.push(9)), Err(NoAnswer::Ended));
        assert_eq!(mailbox.insist(Duration::from_secs(60), |all| all.push(9)), Err(Unheard::Ended));
        assert!(!mailbox.tell(|all| all.push(9)) && begun.elapsed() < Duration::from_secs(5));
        mailbox.work_off(&mut state);
        assert_eq!(state, [7]);
    }
}
