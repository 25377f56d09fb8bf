//! The operations under way (acting, undoing, confirming) and when one last got a step further: whoever waits behind one that
//! moves does not hang.

use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use bartizan_model::Unpoisoned as _;

/// The operations under way.
#[derive(Debug, Default)]
pub(super) struct Operations(Mutex<UnderWay>);

#[derive(Debug, Default)]
struct UnderWay {
    count: usize,
    moved: Option<Instant>,
}

/// One of them, until it is dropped.
pub(super) struct Operation<'a>(&'a Operations);

impl Operations {
    pub(super) fn begin(&self) -> Operation<'_> {
        let mut under_way = self.lock();
        under_way.count += 1;
        under_way.moved = Some(Instant::now());
        Operation(self)
    }

    /// When the operation under way last got further; `None` while nobody acts.
    pub(super) fn moved(&self) -> Option<Instant> {
        let under_way = self.lock();
        under_way.moved.filter(|_| under_way.count > 0)
    }

    fn lock(&self) -> MutexGuard<'_, UnderWay> {
        self.0.lock().unpoisoned()
    }
}

impl Operation<'_> {
    /// It got further: an operation has a bounded number of steps.
    pub(super) fn step(&self) {
        self.0.lock().moved = Some(Instant::now());
    }
}

impl Drop for Operation<'_> {
    fn drop(&mut self) {
        let mut under_way = self.0.lock();
        under_way.count = under_way.count.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_tells_of_its_steps_until_it_is_over() {
        let operations = Operations::default();
        assert_eq!(operations.moved(), None);
        let (one, other) = (operations.begin(), operations.begin());
        let begun = operations.moved().unwrap();
        one.step();
        let stepped = operations.moved().unwrap();
        assert!(stepped >= begun);
        drop(one);
        assert_eq!(operations.moved(), Some(stepped), "the end of one is no step of the other");
        drop(other);
        assert_eq!(operations.moved(), None);
    }
}
