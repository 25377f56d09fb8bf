//! News for consoles: one snapshot, then numbered deltas, a few a second; and events for those who follow them.

use std::sync::Arc;

use tokio::sync::broadcast;

use bartizan_model::Event;
use bartizan_protocol::{Change, Push};

/// Deltas that a slow console may fall behind before it needs a new snapshot (about 13 seconds).
const DELTAS: usize = 64;
/// Events that a slow follower may fall behind before it is told how many it missed.
const EVENTS: usize = 8_192;

/// Sends news to whoever listens. Never blocks: who is too slow misses some and is told so.
#[derive(Debug)]
pub(super) struct Publisher {
    seq: u64,
    news: broadcast::Sender<Arc<Push>>,
    events: broadcast::Sender<Arc<Event>>,
}

impl Default for Publisher {
    fn default() -> Self {
        Self { seq: 0, news: broadcast::channel(DELTAS).0, events: broadcast::channel(EVENTS).0 }
    }
}

impl Publisher {
    /// Number of the last delta.
    pub(super) fn seq(&self) -> u64 {
        self.seq
    }

    /// How many consoles listen.
    pub(super) fn consoles(&self) -> usize {
        self.news.receiver_count()
    }

    /// From now on every delta.
    pub(super) fn listen(&self) -> broadcast::Receiver<Arc<Push>> {
        self.news.subscribe()
    }

    /// From now on every event.
    pub(super) fn follow(&self) -> broadcast::Receiver<Arc<Event>> {
        self.events.subscribe()
    }

    /// Sends what changed, if anything. `None` stands for "too much": a gap in the numbers, on which every
    /// console asks for a new snapshot.
    pub(super) fn delta(&mut self, changes: Option<Vec<Change>>) {
        match changes {
            Some(changes) if changes.is_empty() => {}
            Some(changes) => {
                self.seq += 1;
                let _ = self.news.send(Arc::new(Push::Delta { seq: self.seq, changes }));
            }
            None => {
                self.seq += 2;
                let _ = self.news.send(Arc::new(Push::Delta { seq: self.seq, changes: Vec::new() }));
            }
        }
    }

    /// Sends an event to those who follow.
    pub(super) fn event(&self, event: &Event) {
        if self.events.receiver_count() > 0 {
            let _ = self.events.send(Arc::new(event.clone()));
        }
    }

    /// The agent ends.
    pub(super) fn goodbye(&self, reason: &str) {
        let _ = self.news.send(Arc::new(Push::Goodbye { reason: reason.to_owned() }));
    }
}
