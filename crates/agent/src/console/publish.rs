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
    news: broadcast::Sender<Arc<Push>>,
    events: broadcast::Sender<Arc<Event>>,
}

impl Default for Publisher {
    fn default() -> Self {
        Self { news: broadcast::channel(DELTAS).0, events: broadcast::channel(EVENTS).0 }
    }
}

impl Publisher {
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

    /// Sends what changed since delta number `seq`, if anything; the number of the last delta from now on. `None` stands for
    /// "too much": a gap in the numbers, on which every console asks for a new snapshot.
    pub(super) fn delta(&self, seq: u64, changes: Option<Vec<Change>>) -> u64 {
        let (seq, changes) = match changes {
            Some(changes) if changes.is_empty() => return seq,
            Some(changes) => (seq + 1, changes),
            None => (seq + 2, Vec::new()),
        };
        // Nobody may listen.
        let _ = self.news.send(Arc::new(Push::Delta { seq, changes }));
        seq
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
