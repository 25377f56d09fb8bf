//! Finds files with set-id bits on every local file system where they have an effect.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use super::walk::{Entry, Walk};
use bartizan_model::{HostText, Unpoisoned as _};
use bartizan_scan::host::{Facts, SetIds};
use bartizan_sys::mountinfo;

/// Set-user-id and set-group-id.
const BITS: u32 = 0o6000;
const REGULAR: u32 = 0o100_000;
/// Files that are kept.
const MAX_FILES: usize = 10_000;
/// A host with more files than can be looked at in this time is told so.
const PATIENCE: Duration = Duration::from_millis(2200);
/// Layers of images and containers: nobody but root reaches them, and their packages are not the host's.
const IMAGES: [&[u8]; 6] =
    [b"/var/lib/docker", b"/var/lib/containerd", b"/var/lib/containers", b"/var/lib/lxc", b"/var/lib/lxd", b"/var/lib/machines"];

/// Where such files are likely or dangerous comes first, so that little is lost when time runs out; each is left out where it lies.
const FIRST: [&str; 10] =
    ["/tmp", "/var/tmp", "/dev/shm", "/usr/bin", "/usr/sbin", "/usr/local", "/usr/libexec", "/usr/lib", "/opt", "/home"];

pub(super) fn find() -> SetIds {
    let mounts = mountinfo::own();
    // Where a file system says nosuid the bits mean nothing (mount(8)).
    let counts = |path: &[u8]| {
        let mount = mounts.iter().rfind(|line| line.point == path);
        mount.is_none_or(|line| !line.options.split(|byte| *byte == b',').any(|option| option == b"nosuid"))
    };
    let is_first = |path: &[u8]| FIRST.iter().any(|first| first.as_bytes() == path);
    let skip = |path: &[u8]| IMAGES.contains(&path) || is_first(path) || !counts(path);
    let found = Mutex::new(Vec::new());
    let first =
        FIRST.iter().filter(|first| Path::new(first).symlink_metadata().is_ok_and(|found| found.is_dir()) && counts(first.as_bytes()));
    let roots = first.copied().chain(["/"]).map(HostText::from).collect();
    let walk = Walk { roots, skip: &skip, enter: &counts, far_aside: false, patience: Some(PATIENCE) };
    let walked = walk.run(|| {
        |entry: &Entry| {
            let facts = entry.facts;
            // Set-gid without the right to run for the group is an old sign for locking.
            let runs = facts.mode & 0o4000 != 0 || facts.mode & 0o2010 == 0o2010;
            if facts.kind() == REGULAR && facts.mode & BITS != 0 && runs {
                let mut found = found.lock().unpoisoned();
                if found.len() < MAX_FILES {
                    let facts = Facts { mode: facts.mode & 0o7777, uid: facts.uid, gid: facts.gid, is_directory: false, is_device: false };
                    found.push((HostText::from(entry.path), facts));
                }
            }
        }
    });
    let mut files = found.into_inner().unpoisoned();
    files.sort_by(|(a, _), (b, _)| a.cmp(b));
    let cut = walked.cut.or_else(|| (walked.unread_count > 0).then(|| format!("{} directories could not be read", walked.unread_count)));
    SetIds { files, cut }
}
