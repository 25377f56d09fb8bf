//! Which connections to the SSH server somebody has logged in over: one alone proves nothing, as anybody can open one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use crate::lifeline;
use bartizan_model::{ProcessKey, Unpoisoned as _};
use bartizan_sys::pidfd::key_of;
use bartizan_sys::socket_holders::{self, Holders};
use bartizan_sys::system_program;

/// Connections of sessions, and who of an SSH server holds each; /proc is searched only when there is another connection.
static KNOWN: Mutex<Option<(BTreeSet<u64>, Holders)>> = Mutex::new(None);

/// Who of the SSH server holds each of these connections over which somebody has logged in.
pub(super) fn holders(connections: &BTreeSet<u64>) -> BTreeMap<u64, Vec<ProcessKey>> {
    if connections.is_empty() {
        return BTreeMap::new();
    }
    let mut known = KNOWN.lock().unpoisoned();
    let (asked, held) = known.get_or_insert_with(Default::default);
    let changed = |held: &Holders| held.values().flatten().any(|pid| !system_program::is_ssh_server(*pid));
    if *asked != *connections || changed(held) {
        held.clear();
        for pid in lifeline::sessions().into_iter().flatten() {
            let own: BTreeSet<u64> = socket_holders::of(pid).into_iter().map(|(_, inode)| inode).collect();
            own.intersection(connections).for_each(|inode| held.entry(*inode).or_default().push(pid));
        }
        // Who has not logged in yet may do so at any moment: then the sets differ, and it is looked again.
        *asked = held.keys().copied().collect();
    }
    held.iter().map(|(inode, pids)| (*inode, pids.iter().filter_map(|pid| key_of(*pid)).collect())).collect()
}
