//! Work that makes more work, shared by a few threads; it ends when nobody works and nothing waits.

use std::sync::{Condvar, Mutex};

use bartizan_model::Unpoisoned as _;

/// What waits, newest first: a tree is walked in depth, so that few directories are open at once.
#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    more: Condvar,
}

#[derive(Debug)]
struct State<T> {
    waiting: Vec<T>,
    at_work: usize,
}

impl<T> Queue<T> {
    pub(super) fn new(first: Vec<T>) -> Self {
        Self { state: Mutex::new(State { waiting: first, at_work: 0 }), more: Condvar::new() }
    }

    /// Works until all is done. `work` may add to what it is given.
    pub(super) fn work(&self, mut work: impl FnMut(T, &mut Vec<T>)) {
        let mut made = Vec::new();
        loop {
            let mut state = self.state.lock().unpoisoned();
            let next = loop {
                match state.waiting.pop() {
                    Some(next) => break next,
                    None if state.at_work == 0 => return,
                    None => state = self.more.wait(state).unpoisoned(),
                }
            };
            state.at_work += 1;
            drop(state);
            // Whatever becomes of the work, the others do not wait for it for ever.
            let done = Done(self);
            work(next, &mut made);
            self.state.lock().unpoisoned().waiting.append(&mut made);
            drop(done);
        }
    }
}

struct Done<'a, T>(&'a Queue<T>);

impl<T> Drop for Done<'_, T> {
    fn drop(&mut self) {
        self.0.state.lock().unpoisoned().at_work -= 1;
        self.0.more.notify_all();
    }
}
