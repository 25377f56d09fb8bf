//! Messages to people who are not at the console: one queue, a sender for each sink, and a keeper that writes down what waits.
//! Handing a message in takes microseconds, however slow a sink is.

mod heartbeat;
mod kept;
mod routes;
mod sending;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

pub(crate) use heartbeat::run as run_heartbeat;
pub(crate) use sending::send_all;

use kept::Kept;

use crate::troubles::Troubles;
use bartizan_alerts::{Message, Queue};
use bartizan_config::Settings;
use bartizan_model::{HopDrops, SinkRow, Unpoisoned as _};
use bartizan_sys::own_usage;

/// The queue, as all others know it.
pub(crate) struct Alerts {
    host: String,
    held: Mutex<Held>,
    /// Something was handed in, sent or acknowledged, or the agent ends.
    changed: Condvar,
    kept: Kept,
    /// Somebody tests sinks.
    testing: AtomicBool,
}

/// What is held for a moment only, never while something is sent or written.
struct Held {
    queue: Queue,
    /// Counts every change, so that the keeper knows what it has not written.
    changes: u64,
    is_over: bool,
}

/// Given back when it is dropped.
pub(crate) struct TestTurn<'a>(&'a AtomicBool);

impl Drop for TestTurn<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Alerts {
    /// With the sinks of these settings, and what an earlier run left for them.
    pub(crate) fn open(settings: &Settings, troubles: &Arc<Troubles>) -> Self {
        let kept = Kept::beside(&settings.data, Arc::clone(troubles));
        let routes: Vec<_> = settings.alerts.sinks.iter().map(routes::route).collect();
        // Without a sink nothing waits for anybody, and what is on the disk is left alone.
        let state = if routes.is_empty() { Default::default() } else { kept.read() };
        let queue = Queue::new(routes, state, chrono::Utc::now());
        let held = Mutex::new(Held { queue, changes: 0, is_over: false });
        Self { host: own_usage::host_name(), held, changed: Condvar::new(), kept, testing: AtomicBool::new(false) }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unpoisoned()
    }

    /// Hands a message in, made for this host, if anybody is to be told at all.
    pub(crate) fn offer(&self, message: impl FnOnce(&str) -> Message) {
        if self.held().queue.is_empty() {
            return;
        }
        let message = message(&self.host).bounded();
        self.change(|queue| queue.offer(message, chrono::Utc::now()));
    }

    /// A person has seen an alert or answered a question: what waits about it is not sent any more, and nothing escalates.
    pub(crate) fn acknowledge(&self, key: &str) {
        self.change(|queue| queue.acknowledge(key));
    }

    /// The turn to test sinks; none while another has it.
    pub(crate) fn test_turn(&self) -> Option<TestTurn<'_>> {
        (!self.testing.swap(true, Ordering::AcqRel)).then_some(TestTurn(&self.testing))
    }

    /// A test message arrived at this sink.
    pub(crate) fn reached(&self, sink: &str) {
        self.change(|queue| queue.reached(sink, &self.host, chrono::Utc::now()));
    }

    fn change<T>(&self, work: impl FnOnce(&mut Queue) -> T) -> T {
        let mut held = self.held();
        held.changes += 1;
        let done = work(&mut held.queue);
        drop(held);
        self.changed.notify_all();
        done
    }

    /// How each sink is.
    pub(crate) fn rows(&self) -> Vec<SinkRow> {
        self.held().queue.rows()
    }

    /// What sinks refused for good, among the losses.
    pub(crate) fn hop(&self) -> Option<HopDrops> {
        let rows = self.rows();
        let sum = |count: fn(&SinkRow) -> u64| rows.iter().map(count).sum::<u64>();
        let (taken, dropped) = (sum(|row| row.sent + row.waiting + row.acknowledged), sum(|row| row.given_up));
        (!rows.is_empty()).then(|| HopDrops { hop: "alerts".to_owned(), received: taken + dropped, dropped })
    }

    /// Senders and keeper end; what waits is on the disk.
    pub(crate) fn end(&self) {
        self.held().is_over = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests;
