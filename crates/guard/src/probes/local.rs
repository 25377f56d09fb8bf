//! Which processes serve a port of this host: they are what a service there is made of.

use std::collections::BTreeSet;
use std::sync::Mutex;

use bartizan_model::{ProcessKey, Unpoisoned as _};
use bartizan_sys::accept_queue;
use bartizan_sys::pidfd::key_of;
use bartizan_sys::socket_holders::{self, Holders};

/// Who held the listeners of which ports when they were looked for last.
static KNOWN: Mutex<Option<(BTreeSet<u64>, Holders)>> = Mutex::new(None);

/// Who listens on this TCP port; /proc is searched only when its listeners are others than at the last time.
pub fn holders_of_port(port: u16) -> Vec<ProcessKey> {
    let queues = accept_queue::all().unwrap_or_default();
    let inodes: BTreeSet<u64> = queues.iter().filter(|queue| queue.at.port() == port).map(|queue| queue.inode).collect();
    let mut known = KNOWN.lock().unpoisoned();
    let (asked, holders) = known.get_or_insert_with(Default::default);
    if !inodes.is_subset(asked) {
        asked.extend(&inodes);
        asked.retain(|inode| queues.iter().any(|queue| queue.inode == *inode));
        *holders = socket_holders::among(asked, |_| true);
    }
    let mut pids: Vec<u32> = inodes.iter().filter_map(|inode| holders.get(inode)).flatten().copied().collect();
    pids.sort_unstable();
    pids.dedup();
    pids.into_iter().filter_map(key_of).collect()
}
