//! How long each step of one change took: for our own logs, and for the test that prints medians.

use std::time::{Duration, Instant};

use super::Responder;
use bartizan_model::Action;

/// The steps of one change so far.
#[derive(Debug)]
pub(super) struct Pace {
    last: Instant,
    steps: Vec<(&'static str, Duration)>,
}

impl Pace {
    pub(super) fn begin() -> Self {
        Self { last: Instant::now(), steps: Vec::with_capacity(12) }
    }

    /// A step is done.
    pub(super) fn step(&mut self, name: &'static str) {
        let now = Instant::now();
        self.steps.push((name, now - self.last));
        self.last = now;
    }

    /// All of it is done.
    pub(super) fn end(self, responder: &Responder, action: &Action) {
        let total: Duration = self.steps.iter().map(|(_, took)| *took).sum();
        tracing::debug!(action = %action.id, kind = %action.kind, ?total, steps = ?self.steps, "carried out");
        responder.paced(self.steps);
    }
}
