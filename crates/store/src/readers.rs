//! The connections that read the archive: as many as are useful, kept open from question to question.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::error::StoreError;
use super::reader::Reader;
use bartizan_model::Unpoisoned as _;

/// Searches that go on at once. Each takes half a MiB of page cache, and a core.
const MOST: usize = 4;
/// Of these, for one account.
const MAX_OF_ONE: usize = 2;
/// Of these, for all whom root does not have to wait for.
const MAX_UNTRUSTED: usize = 2;
/// Longest wait for a free one. Whoever waits holds one of the threads that answer questions, an emergency stop among them.
const PATIENCE: Duration = Duration::from_secs(2);

/// The readers of one archive.
#[derive(Debug, Clone)]
pub struct Readers(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    /// For what takes milliseconds; its siblings are lent for searches.
    first: Mutex<Reader>,
    patience: Duration,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<Reader>,
    /// Who has one, once for each.
    lent: Vec<Who>,
    /// Who waits, in the order in which they came.
    waiting: Vec<(u64, Who)>,
    next: u64,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// The account; all its processes together have its share.
    pub account: String,
    /// Root, or the agent itself: half of the readers are kept for them.
    pub is_trusted: bool,
}

/// A reader for one search; it goes back when it is dropped.
#[derive(Debug)]
pub struct Lent {
    pool: Arc<Pool>,
    reader: Option<Reader>,
    who: Who,
}

impl Readers {
    /// Readers like this one.
    pub fn new(first: Reader) -> Self {
        Self::patient(first, PATIENCE)
    }

    pub(super) fn patient(first: Reader, patience: Duration) -> Self {
        Self(Arc::new(Pool { first: Mutex::new(first), patience, state: Mutex::default(), freed: Condvar::new() }))
    }

    /// Answers what takes milliseconds: one record by its number, the newest few. No search stands before it.
    ///
    /// # Errors
    /// What the question gives.
    pub fn brief<T>(&self, ask: impl FnOnce(&Reader) -> Result<T, StoreError>) -> Result<T, StoreError> {
        ask(&locked(&self.0.first))
    }

    /// A reader for a search of `who`, who has at most half of them; whoever waited longest is next.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when none becomes free in time; what the database says when one is opened.
    pub fn lend(&self, who: &Who) -> Result<Lent, StoreError> {
        let idle = self.0.turn(who)?;
        // From here on its place counts as taken, and is given back whatever happens.
        let mut lent = Lent { pool: Arc::clone(&self.0), reader: idle, who: who.clone() };
        if lent.reader.is_none() {
            let opened = locked(&self.0.first).sibling()?;
            lent.reader = Some(opened);
        }
        Ok(lent)
    }
}

impl Pool {
    /// Waits for a place, and takes it: with a reader that is open already, if there is one.
    fn turn(&self, who: &Who) -> Result<Option<Reader>, StoreError> {
        let until = Instant::now() + self.patience;
        let mut state = locked(&self.state);
        let ticket = state.next;
        state.next += 1;
        state.waiting.push((ticket, who.clone()));
        loop {
            if state.is_next(ticket) {
                state.waiting.retain(|(waiting, _)| *waiting != ticket);
                state.lent.push(who.clone());
                // Another may be next at once, for another who.
                self.freed.notify_all();
                return Ok(state.idle.pop());
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                state.waiting.retain(|(waiting, _)| *waiting != ticket);
                self.freed.notify_all();
                return Err(StoreError::Busy { seconds: self.patience.as_secs() });
            }
            state = self.freed.wait_timeout(state, left).unpoisoned().0;
        }
    }
}

impl State {
    /// Whether there is a place, and nobody came before who may have it.
    fn is_next(&self, ticket: u64) -> bool {
        let may = |who: &Who| {
            let (own, untrusted) = (self.lent.iter().filter(|other| *other == who), self.lent.iter().filter(|other| !other.is_trusted));
            own.count() < MAX_OF_ONE && (who.is_trusted || untrusted.count() < MAX_UNTRUSTED)
        };
        let first = self.waiting.iter().find(|(_, who)| may(who));
        self.lent.len() < MOST && first.is_some_and(|(first, _)| *first == ticket)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unpoisoned()
}

impl Lent {
    /// Asks it.
    ///
    /// # Errors
    /// What the question gives.
    pub fn ask<T>(&self, ask: impl FnOnce(&Reader) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.reader.as_ref().map_or(Err(StoreError::Away), ask)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut state = locked(&self.pool.state);
        if let Some(place) = state.lent.iter().position(|who| *who == self.who) {
            state.lent.swap_remove(place);
        }
        state.idle.extend(self.reader.take());
        self.pool.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;
    use crate::Archive;
    use crate::archive_tests::{all, exec};

    fn who(account: &str) -> Who {
        Who { account: account.to_owned(), is_trusted: false }
    }

    fn root() -> Who {
        Who { account: "uid 0".to_owned(), is_trusted: true }
    }

    fn readers(patience: Duration) -> (tempfile::TempDir, Readers) {
        let dir = tempfile::tempdir().unwrap();
        let archive = Archive::open(dir.path()).unwrap();
        archive.writer().unwrap().events(&[exec(1, 1, b"x")]).unwrap();
        let readers = Readers::patient(archive.reader().unwrap(), patience);
        (dir, readers)
    }

    #[test]
    fn whoever_asks_too_much_at_once_waits_and_others_do_not() {
        let (_dir, readers) = readers(Duration::from_millis(200));
        let greedy: Vec<Lent> = (0..MAX_OF_ONE).map(|_| readers.lend(&root()).unwrap()).collect();
        assert!(matches!(readers.lend(&root()), Err(StoreError::Busy { .. })));
        let waiting: Vec<_> = (0..8)
            .map(|_| {
                let readers = readers.clone();
                thread::spawn(move || readers.lend(&root()).is_ok())
            })
            .collect();
        thread::sleep(Duration::from_millis(50));
        let begun = Instant::now();
        let found = readers.lend(&who("uid 1000")).unwrap().ask(|reader| reader.events(&all())).unwrap();
        assert_eq!(found.records.len(), 1);
        assert!(begun.elapsed() < Duration::from_millis(100), "{:?} behind those who wait for their own", begun.elapsed());
        assert!(waiting.into_iter().all(|one| !one.join().unwrap()), "one had more than its share");
        drop(greedy);
        assert!(readers.lend(&root()).is_ok(), "what was given back is lent again");
    }

    #[test]
    fn however_many_accounts_search_root_is_not_kept_waiting_and_brief_questions_never() {
        let (_dir, readers) = readers(Duration::from_millis(50));
        let accounts: Vec<Lent> = (1000..1010).filter_map(|uid| readers.lend(&who(&format!("uid {uid}"))).ok()).collect();
        assert_eq!(accounts.len(), MAX_UNTRUSTED);
        let roots: Vec<Lent> = (0..MAX_OF_ONE).map(|_| readers.lend(&root()).unwrap()).collect();
        assert!(readers.lend(&root()).is_err());
        assert_eq!(readers.brief(|reader| reader.signals(10)).unwrap().records.len(), 0);
        drop((accounts, roots));
    }

    #[test]
    fn connections_are_used_again_and_never_more_than_there_may_be() {
        let (_dir, readers) = readers(Duration::from_secs(30));
        let (told, answers) = mpsc::channel();
        let asking: Vec<_> = (0..24)
            .map(|number| {
                let (readers, told) = (readers.clone(), told.clone());
                thread::spawn(move || {
                    let lent = readers.lend(&who(&format!("peer {}", number % 12))).unwrap();
                    told.send(locked(&readers.0.state).lent.len()).unwrap();
                    thread::sleep(Duration::from_millis(5));
                    lent.ask(|reader| reader.events(&all())).unwrap().records.len()
                })
            })
            .collect();
        assert!(asking.into_iter().all(|one| one.join().unwrap() == 1));
        drop(told);
        assert!(answers.iter().all(|at_once| at_once <= MAX_UNTRUSTED));
        let state = locked(&readers.0.state);
        assert!(state.lent.is_empty() && state.waiting.is_empty() && (1..=MOST).contains(&state.idle.len()), "{state:?}");
    }

    #[test]
    fn a_question_that_panics_gives_its_place_back() {
        let (_dir, readers) = readers(Duration::from_millis(200));
        for _ in 0..2 * MOST {
            let readers = readers.clone();
            let ended =
                thread::spawn(move || readers.lend(&who("peer")).unwrap().ask(|_| -> Result<(), StoreError> { panic!("on purpose") }))
                    .join();
            assert!(ended.is_err());
        }
        assert!(readers.lend(&who("peer")).is_ok());
    }
}
