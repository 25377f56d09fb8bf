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
pub fn among(wanted: &BTreeSet<u64>, counts: impl Fn(u32) -> bool) -> Holders {
    let mut held = Holders::new();
    if wanted.is_empty() {
        return held;
    }
    for pid in proc_files::pids().unwrap_or_default().into_iter().filter(|pid| counts(*pid)) {
        let of_it: BTreeSet<u64> =
            self::sockets(pid).into_iter().flatten().map(|(_, inode)| inode).filter(|inode| wanted.contains(inode)).collect();
        of_it.into_iter().for_each(|inode| held.entry(inode).or_default().push(pid));
    }
    held
}

/// The sockets of one process: descriptor and inode number; none when it may not be looked into.
pub fn of(pid: u32) -> Vec<(i32, u64)> {
    sockets(pid).map(Iterator::collect).unwrap_or_default()
}

/// The same, for whom it matters why nothing is told, and who may stop at the one that is looked for.
///
/// # Errors
/// `NotFound` when it has ended; when it may not be looked into.
pub fn sockets(pid: u32) -> io::Result<impl Iterator<Item = (i32, u64)>> {
    let socket = |entry: fs::DirEntry| {
        let inode = fs::read_link(entry.path()).ok()?.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()?;
        Some((entry.file_name().to_str()?.parse().ok()?, inode))
    };
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.flatten().take(MAX_DESCRIPTORS).filter_map(socket))
}

/// Whether a process holds this socket. Its descriptors are read up to the first that names it, not to the last.
///
/// # Errors
/// As [`sockets`].
pub fn holds(pid: u32, inode: u64) -> io::Result<bool> {
    Ok(sockets(pid)?.any(|(_, held)| held == inode))
}

/// By which descriptor a process holds this socket, if it does.
pub fn descriptor(pid: u32, inode: u64) -> Option<i32> {
    sockets(pid).ok()?.find(|(_, held)| *held == inode).map(|(descriptor, _)| descriptor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;
    use std::time::Instant;

    #[test]
    fn one_socket_is_found_without_reading_every_descriptor() {
        let (me, (near, _far)) = (std::process::id(), UnixStream::pair().unwrap());
        let inode = of(me).into_iter().find(|(descriptor, _)| *descriptor == near.as_raw_fd()).unwrap().1;
        let more: Vec<_> = (0..500).map(|_| near.try_clone().unwrap()).collect();
        assert!(holds(me, inode).unwrap() && !holds(me, inode + 1_000_000).unwrap());
        assert!(of(me).contains(&(descriptor(me, inode).unwrap(), inode)));
        let timed = |work: &dyn Fn()| {
            let begun = Instant::now();
            (0..20).for_each(|_| work());
            begun.elapsed() / 20
        };
        let (first, all) = (timed(&|| assert!(holds(me, inode).unwrap())), timed(&|| assert!(of(me).len() > more.len())));
        eprintln!("one of {} sockets: {first:?} instead of {all:?}", more.len());
        assert!(first < all, "{first:?} {all:?}");
        assert_eq!(holds(u32::MAX / 2, inode).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
