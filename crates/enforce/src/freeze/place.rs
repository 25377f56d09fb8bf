//! Where this host lets processes be frozen: cgroup v2, else the v1 freezer, else only SIGSTOP.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use serde::{Deserialize, Serialize};

use bartizan_sys::mountinfo;

/// How processes are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// `cgroup.freeze` (Linux 5.2).
    V2,
    /// The freezer controller of cgroup v1.
    V1,
    /// SIGSTOP by pidfd: the weakest, a process of the same user may undo it with SIGCONT.
    Stop,
}

impl Method {
    /// As people read it.
    pub fn noun(self) -> &'static str {
        match self {
            Self::V2 => "cgroup v2 freezer",
            Self::V1 => "cgroup v1 freezer",
            Self::Stop => "SIGSTOP",
        }
    }
}

/// A hierarchy in which groups can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) method: Method,
    /// Where the hierarchy is mounted; empty for [`Method::Stop`].
    pub(super) root: PathBuf,
}

impl Place {
    /// The best that works here. When no cgroup2 is visible (as under `ip netns exec`, which mounts a new /sys), one is
    /// mounted at `private`.
    pub(super) fn find(private: &Path) -> Self {
        let mounts = fs::read("/proc/self/mountinfo").unwrap_or_default();
        v2(&mounts)
            .or_else(|| mounted_privately(private))
            .or_else(|| v1(&mounts))
            .unwrap_or(Self { method: Method::Stop, root: PathBuf::new() })
    }

    /// The one that a record names, whether or not it is the best today.
    pub(super) fn named(method: Method, root: &Path) -> Self {
        Self { method, root: root.to_owned() }
    }
}

fn v2(mounts: &[u8]) -> Option<Place> {
    hierarchies(mounts)
        .filter(|m| m.kind == b"cgroup2")
        .map(|m| Place { method: Method::V2, root: m.at })
        .find(|place| works(place, "cgroup.freeze"))
}

fn v1(mounts: &[u8]) -> Option<Place> {
    let has_freezer = |options: &[u8]| options.split(|b| *b == b',').any(|option| option == b"freezer");
    hierarchies(mounts)
        .filter(|m| m.kind == b"cgroup" && has_freezer(&m.options))
        .map(|m| Place { method: Method::V1, root: m.at })
        .find(|place| works(place, "freezer.state"))
}

fn mounted_privately(at: &Path) -> Option<Place> {
    let place = Place { method: Method::V2, root: at.to_owned() };
    if at.join("cgroup.procs").exists() {
        return works(&place, "cgroup.freeze").then_some(place);
    }
    fs::create_dir_all(at).ok()?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("cgroup2"), at, Some("cgroup2"), flags, None::<&str>).ok()?;
    works(&place, "cgroup.freeze").then_some(place)
}

/// How the name of a trial group begins; the pid of its maker follows.
const PROBE: &str = "bartizan-probe-";

/// Makes and removes an empty group: the only honest way to know.
fn works(place: &Place, file: &str) -> bool {
    remove_left_probes(&place.root);
    let probe = place.root.join(format!("{PROBE}{}-{:?}", std::process::id(), std::thread::current().id()));
    if fs::create_dir(&probe).is_err() {
        return false;
    }
    let found = probe.join(file).exists();
    fs::remove_dir(&probe).is_ok() && found
}

/// Trial groups of makers that were killed in between; an empty one does nothing, but nobody else would remove it.
fn remove_left_probes(root: &Path) {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        let maker = name.to_str().and_then(|name| name.strip_prefix(PROBE)?.split('-').next()?.parse::<u32>().ok());
        if maker.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

struct Hierarchy {
    kind: Vec<u8>,
    at: PathBuf,
    options: Vec<u8>,
}

/// Only hierarchies mounted whole count: in a part of one the paths of /proc/PID/cgroup lead elsewhere.
fn hierarchies(mounts: &[u8]) -> impl Iterator<Item = Hierarchy> {
    mountinfo::lines(mounts).filter(|line| line.root == b"/").map(|line| Hierarchy {
        kind: line.kind,
        at: PathBuf::from(OsString::from_vec(line.point)),
        options: line.options,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mountinfo_is_read_field_by_field() {
        let text = b"1 2 0:3 / /sys/fs/cg\\040roup rw - cgroup2 cgroup2 rw\n4 2 0:3 /part /x rw - cgroup2 c rw\n5 2 0:4 / /f rw shared:4 - cgroup cgroup rw,freezer\n";
        let found: Vec<_> = hierarchies(text).map(|h| (h.kind, h.at)).collect();
        assert_eq!(found, [(b"cgroup2".to_vec(), PathBuf::from("/sys/fs/cg roup")), (b"cgroup".to_vec(), PathBuf::from("/f"))]);
    }
}
