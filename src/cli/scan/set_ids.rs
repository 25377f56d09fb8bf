//! Finds files with set-id bits on every local file system where they have an effect.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use super::walk::{Entry, Walk, Way};
use bartizan_model::{HostText, Unpoisoned as _};
use bartizan_scan::host::{Facts, SetIdFile, SetIds};
use bartizan_sys::mountinfo;

/// Set-user-id and set-group-id.
const BITS: u32 = 0o6000;
const REGULAR: u32 = 0o100_000;
/// Files that are kept.
const MAX_FILES: usize = 10_000;
const IMAGE: &str = "it holds images of containers: only root reaches them, and their packages are not the host's";
const NOSUID: &str = "set-id bits have no effect on this file system (nosuid)";
/// Layers of images and containers.
const IMAGES: [&[u8]; 6] =
    [b"/var/lib/docker", b"/var/lib/containerd", b"/var/lib/containers", b"/var/lib/lxc", b"/var/lib/lxd", b"/var/lib/machines"];

/// Where such files are likely or dangerous comes first, so that little is lost when time runs out; each is left out where it lies.
const FIRST: [&str; 10] =
    ["/tmp", "/var/tmp", "/dev/shm", "/usr/bin", "/usr/sbin", "/usr/local", "/usr/libexec", "/usr/lib", "/opt", "/home"];

/// Looks for at most so long.
pub(super) fn find(patience: Duration) -> SetIds {
    let mounts = mountinfo::own();
    // Where a file system says nosuid the bits mean nothing (mount(8)).
    let counts = |path: &[u8]| {
        let mount = mounts.iter().rfind(|line| line.point == path);
        mount.is_none_or(|line| !line.options.split(|byte| *byte == b',').any(|option| option == b"nosuid"))
    };
    let is_first = |path: &[u8]| FIRST.iter().any(|first| first.as_bytes() == path);
    let way = |path: &[u8]| match path {
        _ if is_first(path) => Way::Past,
        _ if IMAGES.contains(&path) => Way::Aside(IMAGE),
        _ if !counts(path) => Way::Aside(NOSUID),
        _ => Way::In,
    };
    let found = Mutex::new(Vec::new());
    let first =
        FIRST.iter().filter(|first| Path::new(first).symlink_metadata().is_ok_and(|found| found.is_dir()) && counts(first.as_bytes()));
    let roots = first.copied().chain(["/"]).map(HostText::from).collect();
    let walk = Walk { roots, way: &way, far_aside: false, patience: Some(patience) };
    let walked = walk.run(|| {
        |entry: &Entry| {
            let facts = entry.facts;
            // Set-gid without the right to run for the group is an old sign for locking.
            let runs = facts.mode & 0o4000 != 0 || facts.mode & 0o2010 == 0o2010;
            if facts.kind() == REGULAR && facts.mode & BITS != 0 && runs {
                let mut found = found.lock().unpoisoned();
                if found.len() < MAX_FILES {
                    let (device, inode) = (facts.device(), facts.inode);
                    let facts = Facts { mode: facts.mode & 0o7777, uid: facts.uid, gid: facts.gid, is_directory: false, is_device: false };
                    found.push(SetIdFile { path: HostText::from(entry.path), facts, device, inode });
                }
            }
        }
    });
    let mut files = found.into_inner().unpoisoned();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let mut unread = walked.unread;
    let more = walked.unread_count.saturating_sub(unread.len() as u64);
    if more > 0 {
        unread.push(("more directories".into(), format!("{more} could not be read")));
    }
    if files.len() >= MAX_FILES {
        unread.push(("set-uid files".into(), format!("there are more than {MAX_FILES}")));
    }
    unread.extend(walked.cut.map(|why| ("set-uid files".into(), format!("{why}; --patience lets it take longer"))));
    let aside = walked.aside.into_iter().map(|(why, (path, count))| (path, why.to_owned(), count));
    let first_aside = FIRST.iter().filter(|first| mounts.iter().any(|line| line.point == first.as_bytes()) && !counts(first.as_bytes()));
    let aside = aside.chain(first_aside.map(|first| (HostText::from(*first), NOSUID.to_owned(), 1))).collect();
    SetIds { files, unread, aside }
}
