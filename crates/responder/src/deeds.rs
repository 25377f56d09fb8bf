//! Whether somebody acts at this moment, and when that last got a step further: who waits behind it does not hang.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The deeds under way.
#[derive(Debug, Default)]
pub(super) struct Deeds(Mutex<UnderWay>);

#[derive(Debug, Default)]
struct UnderWay {
    count: usize,
    moved: Option<Instant>,
}

/// One of them, until it is dropped.
pub(super) struct Deed<'a>(&'a Deeds);

impl Deeds {
    pub(super) fn begin(&self) -> Deed<'_> {
        let mut under_way = self.lock();
        under_way.count += 1;
        under_way.moved = Some(Instant::now());
        Deed(self)
    }

    /// When the deed under way last got further; `None` while nobody acts.
    pub(super) fn moved(&self) -> Option<Instant> {
        let under_way = self.lock();
        under_way.moved.filter(|_| under_way.count > 0)
    }

    fn lock(&self) -> MutexGuard<'_, UnderWay> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deed<'_> {
    /// It got further: a deed has a bounded number of steps.
    pub(super) fn step(&self) {
        self.0.lock().moved = Some(Instant::now());
    }
}

impl Drop for Deed<'_> {
    fn drop(&mut self) {
        let mut under_way = self.0.lock();
        under_way.count = under_way.count.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deed_tells_of_its_steps_until_it_is_over() {
        let deeds = Deeds::default();
        assert_eq!(deeds.moved(), None);
        let (one, other) = (deeds.begin(), deeds.begin());
        let begun = deeds.moved().unwrap();
        one.step();
        let stepped = deeds.moved().unwrap();
        assert!(stepped >= begun);
        drop(one);
        assert_eq!(deeds.moved(), Some(stepped), "the end of one is no step of the other");
        drop(other);
        assert_eq!(deeds.moved(), None);
    }
}
