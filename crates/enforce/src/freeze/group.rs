//! One group of frozen processes in a cgroup hierarchy: made, filled, looked at, emptied, ended.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::place::{Method, Place};
use bartizan_model::HostText;

/// How long the kernel is asked before we look ourselves what keeps a group from being frozen.
const IN_KERNEL: Duration = Duration::from_millis(25);
/// The directory that all our groups stand in.
pub(super) const PARENT: &str = "bartizan";

/// One group.
#[derive(Debug)]
pub(super) struct Group {
    place: Place,
    dir: PathBuf,
}

impl Group {
    /// The group of this name, whether or not it exists.
    pub(super) fn named(place: &Place, name: &str) -> Self {
        Self { place: place.clone(), dir: place.root.join(PARENT).join(name) }
    }

    /// Makes it, and makes it a place where nothing runs before anybody is in it.
    pub(super) fn make(&self) -> io::Result<()> {
        match fs::create_dir(self.place.root.join(PARENT)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        fs::create_dir(&self.dir)?;
        self.freeze()
    }

    /// Nothing in it runs any more.
    pub(super) fn freeze(&self) -> io::Result<()> {
        match self.place.method {
            Method::V2 => fs::write(self.dir.join("cgroup.freeze"), "1"),
            _ => fs::write(self.dir.join("freezer.state"), "FROZEN"),
        }
    }

    pub(super) fn exists(&self) -> bool {
        self.dir.exists()
    }

    /// Moves a process in, with all its threads.
    pub(super) fn take(&self, pid: u32) -> io::Result<()> {
        fs::write(self.dir.join("cgroup.procs"), pid.to_string())
    }

    /// Who is in it. Ended ones that nobody reaped are not listed as long as they have no living thread.
    pub(super) fn pids(&self) -> io::Result<Vec<u32>> {
        let text = fs::read_to_string(self.dir.join("cgroup.procs"))?;
        Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// Whether the kernel says that nothing in it runs.
    pub(super) fn is_frozen(&self) -> bool {
        let read = |file| fs::read_to_string(self.dir.join(file)).unwrap_or_default();
        match self.place.method {
            Method::V2 => read("cgroup.events").lines().any(|line| line == "frozen 1"),
            _ => read("freezer.state").trim() == "FROZEN",
        }
    }

    /// Waits until nothing in it can run an instruction of its own.
    pub(super) fn wait_held(&self, limit: Duration) -> bool {
        let begun = Instant::now();
        wait(limit, || self.is_frozen() || begun.elapsed() >= IN_KERNEL && self.is_held())
    }

    /// Whether nothing in it can run an instruction of its own: the kernel says frozen, or is told to freeze it and what is
    /// not frozen yet waits inside the kernel (for a slow disk, for a child made by vfork(2)) and stops on its way out.
    pub(super) fn is_held(&self) -> bool {
        self.is_frozen() || self.is_told_to_freeze() && self.pids().is_ok_and(|pids| waits_in_kernel(&pids))
    }

    fn is_told_to_freeze(&self) -> bool {
        let read = |file| fs::read_to_string(self.dir.join(file)).unwrap_or_default();
        match self.place.method {
            Method::V2 => read("cgroup.freeze").trim() == "1",
            _ => matches!(read("freezer.state").trim(), "FREEZING" | "FROZEN"),
        }
    }

    /// Moves one process back to where it came from; when that group is gone, to the nearest one above it that takes it.
    /// Gives the path that took it; `None` when the process has ended.
    pub(super) fn give_back(&self, pid: u32, origin: &HostText) -> io::Result<Option<PathBuf>> {
        // Of one outside of our reach the nearest that we can name is the top.
        let relative = if is_out_of_reach(origin) { Path::new("") } else { relative(origin) };
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for ancestor in relative.ancestors() {
            match fs::write(self.place.root.join(ancestor).join("cgroup.procs"), pid.to_string()) {
                Ok(()) => return Ok(Some(ancestor.to_owned())),
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(None),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Ends everything in it at once where the kernel can (Linux 5.14); `false` where it cannot.
    pub(super) fn kill_all(&self) -> bool {
        self.place.method == Method::V2 && fs::write(self.dir.join("cgroup.kill"), "1").is_ok()
    }

    /// Lets it run again in place: how the v1 freezer lets a killed process die.
    pub(super) fn thaw_in_place(&self) -> io::Result<()> {
        match self.place.method {
            Method::V2 => fs::write(self.dir.join("cgroup.freeze"), "0"),
            _ => fs::write(self.dir.join("freezer.state"), "THAWED"),
        }
    }

    /// For people: what it holds and how to let it go without whoever made it.
    pub(super) fn thawing_by_hand(&self, held: usize) -> String {
        let (file, word) = if self.place.method == Method::V2 { ("cgroup.freeze", "0") } else { ("freezer.state", "THAWED") };
        let noun = if held == 1 { "process" } else { "processes" };
        format!("{0} holds {held} {noun}; let them run with: echo {word} >{0}/{file}", self.dir.display())
    }

    /// Removes the empty group, and the directory of all groups with the last.
    pub(super) fn remove(&self) -> io::Result<()> {
        let mut gone = || match fs::remove_dir(&self.dir) {
            Ok(()) => true,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        let mut removed = wait(Duration::from_secs(2), &mut gone);
        if !removed {
            // What is ending in it, unlisted already, may wait for a slow disk; frozen it must not be.
            let _ = self.thaw_in_place();
            removed = wait(Duration::from_secs(5), gone);
        }
        // Fails as long as another group stands there; that is the intention.
        let _ = fs::remove_dir(self.place.root.join(PARENT));
        if removed { Ok(()) } else { Err(io::Error::other("the group is still in use")) }
    }
}

fn relative(origin: &HostText) -> &Path {
    let path = origin.as_bytes().strip_suffix(b" (deleted)").unwrap_or(origin.as_bytes());
    Path::new(OsStr::from_bytes(path.strip_prefix(b"/").unwrap_or(path)))
}

/// Whether a process's cgroup lies outside of our cgroup namespace (cgroup_namespaces(7)): its path leads up by `..`, and
/// nobody here can put the process back there.
pub(super) fn is_out_of_reach(origin: &HostText) -> bool {
    relative(origin).components().any(|part| !matches!(part, std::path::Component::Normal(_)))
}

/// Whether a path of [`Group::give_back`] is the very group that was meant.
pub(super) fn is(origin: &HostText, place: &Path) -> bool {
    relative(origin) == place
}

/// The names of all groups of ours in this hierarchy.
pub(super) fn all(place: &Place) -> Vec<String> {
    let entries = fs::read_dir(place.root.join(PARENT)).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().is_dir()).filter_map(|entry| entry.file_name().into_string().ok()).take(4096).collect()
}

/// The cgroup of a process in this hierarchy, as the kernel writes it: `/system.slice/nginx.service`.
pub(super) fn origin_of(method: Method, pid: u32) -> Option<HostText> {
    let bytes = fs::read(format!("/proc/{pid}/cgroup")).ok()?;
    bytes.split(|b| *b == b'\n').find_map(|line| {
        let mut parts = line.splitn(3, |b| *b == b':');
        let (number, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let ours = match method {
            Method::V2 => number == b"0" && controllers.is_empty(),
            _ => controllers.split(|b| *b == b',').any(|name| name == b"freezer"),
        };
        ours.then(|| HostText::from(path))
    })
}

/// Whether no thread of them runs, and some wait inside the kernel (D): those hold the kernel's "frozen" back, not us.
fn waits_in_kernel(pids: &[u32]) -> bool {
    let threads = pids.iter().flat_map(|pid| fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten());
    let state = |thread: fs::DirEntry| {
        let stat = fs::read(thread.path().join("stat")).ok()?;
        let after = stat.iter().rposition(|byte| *byte == b')')?;
        stat.get(after + 2).copied()
    };
    let states: Vec<u8> = threads.filter_map(state).collect();
    states.contains(&b'D') && !states.contains(&b'R')
}

/// Looks until `done` or the limit, at growing intervals; gives the last look.
pub(super) fn wait(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    let mut pause = Duration::from_micros(50);
    loop {
        if done() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}
