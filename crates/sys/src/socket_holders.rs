//! Which processes hold a socket: their descriptors name it by its inode number (proc(5)).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;

use super::proc_files;

/// Descriptors of one process that are looked at: as many as one may have unless `fs.nr_open` was raised (proc_sys_fs(5)).
const MAX_DESCRIPTORS: usize = 1_048_576;

/// Inode numbers of sockets, and the pids of those who hold each, ascending.
pub type Holders = BTreeMap<u64, Vec<u32>>;

/// Who of the processes that `counts` picks holds one of these sockets. All of /proc is read (some 4 ms for 600 sockets): not for
/// every round, and ask for many at once.
pub fn among(sockets: &BTreeSet<u64>, counts: impl Fn(u32) -> bool) -> Holders {
    let mut held = Holders::new();
    if sockets.is_empty() {
        return held;
    }
    for pid in proc_files::pids().unwrap_or_default().into_iter().filter(|pid| counts(*pid)) {
        let of_it: BTreeSet<u64> = of(pid).into_iter().map(|(_, inode)| inode).filter(|inode| sockets.contains(inode)).collect();
        of_it.into_iter().for_each(|inode| held.entry(inode).or_default().push(pid));
    }
    held
}

/// The sockets of one process: descriptor and inode number; none when it may not be looked into.
pub fn of(pid: u32) -> Vec<(i32, u64)> {
    told_of(pid).unwrap_or_default()
}

/// The same, for whom it matters why nothing is told.
///
/// # Errors
/// `NotFound` when it has ended; when it may not be looked into.
pub fn told_of(pid: u32) -> io::Result<Vec<(i32, u64)>> {
    let socket = |entry: fs::DirEntry| {
        let inode = fs::read_link(entry.path()).ok()?.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()?;
        Some((entry.file_name().to_str()?.parse().ok()?, inode))
    };
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.flatten().take(MAX_DESCRIPTORS).filter_map(socket).collect())
}
