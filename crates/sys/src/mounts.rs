//! Which mount an open file lies on, told without asking the file system itself: one in user space may never answer.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::file_systems::may_never_answer;
use super::mountinfo::{self, Line};

/// Longest table of mounts that is read; a mount beyond it counts as unknown.
const LONGEST: u64 = 4 << 20;

/// One mount of a mount namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    id: u32,
    /// Device number of its file system, `major << 20 | minor`. What stat(2) tells of a file may be another one (btrfs).
    pub(super) device: u32,
    /// Where it is mounted.
    point: Vec<u8>,
    /// Kind of file system.
    pub(super) kind: Vec<u8>,
}

impl Mount {
    /// Whether reading from it waits for a process or another host.
    pub(super) fn is_foreign(&self) -> bool {
        may_never_answer(&self.kind)
    }

    /// Whether this path leads to or through it, in the namespace where it was read.
    pub(super) fn holds(&self, path: &[u8]) -> bool {
        path.strip_prefix(self.point.as_slice()).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/") || self.point == b"/")
    }
}

/// The mounts that a process sees; none when it is gone.
pub(super) fn seen_by(pid: u32) -> Vec<Mount> {
    let mut bytes = Vec::new();
    let read = File::open(format!("/proc/{pid}/mountinfo")).and_then(|file| file.take(LONGEST).read_to_end(&mut bytes));
    if read.is_err() {
        return Vec::new();
    }
    mountinfo::lines(&bytes).filter_map(mount).collect()
}

/// The number of the mount through which a file was opened.
pub(super) fn id_of(file: BorrowedFd<'_>) -> Option<u32> {
    let facts = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd())).ok()?;
    facts.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim().parse().ok()
}

/// The mount of this number.
pub(super) fn find(mounts: &[Mount], id: u32) -> Option<&Mount> {
    mounts.iter().find(|mount| mount.id == id)
}

fn mount(line: Line) -> Option<Mount> {
    // The kernel's own numbers of mounts fit; fdinfo tells them as such.
    Some(Mount { id: u32::try_from(line.id).ok()?, device: line.device, point: line.point, kind: line.kind })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_mount_that_may_never_answer_is_told_apart() {
        let line = br"36 35 98:7 /a /mnt/b\040c\134 rw master:1 propagate_from:2 - fuse.sshfs host:/ rw";
        let mount = mountinfo::lines(line).find_map(mount).unwrap();
        assert_eq!((mount.id, mount.device, mount.point.as_slice()), (36, 98 << 20 | 7, &br"/mnt/b c\"[..]));
        assert!(mount.is_foreign() && mount.holds(br"/mnt/b c\/x") && !mount.holds(b"/mnt/b c"));
    }

    #[test]
    fn the_mount_of_an_open_file_is_found() {
        let file = File::open("/proc/self/status").unwrap();
        let mounts = seen_by(std::process::id());
        let mount = find(&mounts, id_of(file.as_fd()).unwrap()).unwrap();
        assert_eq!((mount.kind.as_slice(), mount.is_foreign(), mount.holds(b"/proc/self/status")), (&b"proc"[..], false, true));
    }
}
