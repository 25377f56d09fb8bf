//! Which process listens where, so that a connection from outside, which the kernel reports in nobody's name, has one.

use std::collections::HashMap;
use std::sync::Mutex;

use bartizan_model::{ProcessKey, Unpoisoned as _};

/// Most listeners remembered; when there are more, all are learnt anew.
const MOST: usize = 8192;

/// By network namespace and port: the process that began to listen there last.
#[derive(Debug, Default)]
pub(super) struct Accepting(Mutex<HashMap<(u32, u16), ProcessKey>>);

impl Accepting {
    pub(super) fn put(&self, netns: u32, port: u16, key: ProcessKey) {
        let mut known = self.0.lock().unpoisoned();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert((netns, port), key);
    }

    pub(super) fn at(&self, netns: u32, port: u16) -> Option<ProcessKey> {
        self.0.lock().unpoisoned().get(&(netns, port)).copied()
    }
}
