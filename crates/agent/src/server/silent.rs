//! Peers that have not greeted yet: the first to go when descriptors run out, so that nobody keeps out whoever must act
//! by connecting and saying nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use bartizan_model::{Role, Unpoisoned as _};

/// Nobody cuts an administrator who came this short a time ago: a client of ours greets at once, on a busy host a little later.
pub(super) const GRACE: Duration = Duration::from_millis(200);

/// Those that are connected and have said nothing, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Silent {
    waiting: Mutex<BTreeMap<u64, Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    role: Role,
    since: Instant,
    cut: Arc<Notify>,
}

impl Waiting {
    fn may_be_cut(&self, most: Role) -> bool {
        self.role <= most && (self.role < Role::Admin || self.since.elapsed() >= GRACE)
    }
}

/// One of them; gone from the list when it greets or when this is dropped.
#[derive(Debug)]
pub(super) struct Newcomer {
    silent: Arc<Silent>,
    connection: u64,
    cut: Arc<Notify>,
}

impl Silent {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Waiting>> {
        self.waiting.lock().unpoisoned()
    }

    /// Writes down that connection number `connection` is here.
    pub(super) fn enter(self: &Arc<Self>, connection: u64, role: Role) -> Newcomer {
        let cut = Arc::new(Notify::new());
        self.lock().insert(connection, Waiting { role, since: Instant::now(), cut: Arc::clone(&cut) });
        Newcomer { silent: Arc::clone(self), connection, cut }
    }

    /// Cuts the one of the lowest role that has been silent longest, if there is one of at most this role.
    pub(super) fn cut_one(&self, most: Role) -> bool {
        let mut waiting = self.lock();
        let first = waiting.iter().filter(|(_, one)| one.may_be_cut(most)).min_by_key(|(connection, one)| (one.role, **connection));
        let Some(connection) = first.map(|(connection, _)| *connection) else { return false };
        // A permit is kept for one that is not listening yet.
        waiting.remove(&connection).is_some_and(|one| {
            one.cut.notify_one();
            true
        })
    }
}

impl Newcomer {
    /// Strikes it from the list; `false` when it was cut before it greeted.
    pub(super) fn greets(self) -> bool {
        self.silent.lock().remove(&self.connection).is_some()
    }

    /// Comes back when it is cut.
    pub(super) async fn is_cut(&self) {
        self.cut.notified().await;
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        self.silent.lock().remove(&self.connection);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_role_goes_first_then_who_was_silent_longest_and_nobody_who_greeted() {
        let silent = Arc::new(Silent::default());
        let [root, operator, first, second] =
            [(1, Role::Admin), (2, Role::Operator), (3, Role::Viewer), (4, Role::Viewer)].map(|(number, role)| silent.enter(number, role));
        assert!(silent.cut_one(Role::Viewer));
        assert!(!first.greets(), "it was cut");
        assert!(second.greets());
        assert!(!silent.cut_one(Role::Viewer), "who may look cuts nobody who may do more");
        assert!(silent.cut_one(Role::Admin) && !operator.greets());
        assert!(!silent.cut_one(Role::Admin), "root is about to greet");
        std::thread::sleep(GRACE);
        assert!(silent.cut_one(Role::Admin) && !root.greets(), "it had its time");
        drop(silent.enter(5, Role::Admin));
        std::thread::sleep(GRACE);
        assert!(!silent.cut_one(Role::Admin), "it left by itself");
    }
}
