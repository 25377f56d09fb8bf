//! Which processes hold a socket: their descriptors name it by its inode number (proc(5)).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// Descriptors of one process that are looked at.
const MOST_DESCRIPTORS: usize = 1024;

/// Inode numbers of sockets, and the pids of those who hold each.
pub type Holders = BTreeMap<u64, Vec<u32>>;

/// Who of the processes that `counts` picks holds one of these sockets. All of /proc is read: not for every round.
pub fn among(sockets: &BTreeSet<u64>, counts: impl Fn(u32) -> bool) -> Holders {
    let mut held = Holders::new();
    if sockets.is_empty() {
        return held;
    }
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    for pid in pids.filter(|pid| counts(*pid)) {
        let of_it: BTreeSet<u64> = of(pid).into_iter().map(|(_, inode)| inode).filter(|inode| sockets.contains(inode)).collect();
        of_it.into_iter().for_each(|inode| held.entry(inode).or_default().push(pid));
    }
    held
}

/// The sockets of one process: descriptor and inode number.
pub fn of(pid: u32) -> Vec<(i32, u64)> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let socket = |entry: fs::DirEntry| {
        let inode = fs::read_link(entry.path()).ok()?.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()?;
        Some((entry.file_name().to_str()?.parse().ok()?, inode))
    };
    entries.take(MOST_DESCRIPTORS).filter_map(socket).collect()
}
