//! The kernel's number of a cgroup (v2): what the packet filter and sockets are compared by.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::mountinfo;
use bartizan_model::HostText;

/// How deep a cgroup may lie for our rules to see it; systemd's services lie two or three deep, containers up to four.
pub const DEEPEST: usize = 6;
/// The most groups below one that are looked through.
const MOST: usize = 4096;

/// Where the v2 hierarchy is mounted, whole if possible.
fn root() -> io::Result<PathBuf> {
    let mounts: Vec<_> = mountinfo::own().into_iter().filter(|line| line.is_cgroup2()).collect();
    let whole = mounts.iter().find(|line| line.root == b"/").or_else(|| mounts.first());
    let missing = || io::Error::new(io::ErrorKind::NotFound, "no cgroup v2 hierarchy is mounted on this host");
    whole.map(|line| PathBuf::from(OsStr::from_bytes(&line.point))).ok_or_else(missing)
}

fn directory(path: &HostText) -> io::Result<PathBuf> {
    let relative = Path::new(OsStr::from_bytes(path.as_bytes()));
    let relative = relative.strip_prefix("/").map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "no path of a cgroup"))?;
    let depth = relative.components().count();
    if depth == 0 || depth > DEEPEST || relative.components().any(|part| part == std::path::Component::ParentDir) {
        let why = format!("only cgroups 1 to {DEEPEST} levels below the root can be named");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    Ok(root()?.join(relative))
}

/// The number of the cgroup at this path from the root of the hierarchy: the inode of its directory (cgroup_id(), kernfs).
///
/// # Errors
/// When there is no such cgroup, no v2 hierarchy, or it lies deeper than [`DEEPEST`].
pub fn of(path: &HostText) -> io::Result<u64> {
    let found = fs::symlink_metadata(directory(path)?)?;
    if found.is_dir() { Ok(found.ino()) } else { Err(io::ErrorKind::NotADirectory.into()) }
}

/// Its number and those of all groups below it, at most 4096.
///
/// # Errors
/// As [`of`]; a group that goes meanwhile is left out.
pub fn with_all_below(path: &HostText) -> io::Result<BTreeSet<u64>> {
    let (mut numbers, mut waiting) = (BTreeSet::from([of(path)?]), vec![directory(path)?]);
    while let Some(next) = waiting.pop() {
        let Ok(entries) = fs::read_dir(&next) else { continue };
        for entry in entries.flatten() {
            let Ok(found) = entry.metadata() else { continue };
            if found.is_dir() && numbers.len() < MOST && numbers.insert(found.ino()) {
                waiting.push(entry.path());
            }
        }
    }
    Ok(numbers)
}
