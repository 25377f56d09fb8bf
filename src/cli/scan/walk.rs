//! Walks directories on several threads, by descriptor: no link is followed, so none leads in a circle or out of the tree.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use bartizan_model::{HostText, ScannerRun, Unpoisoned as _};
use bartizan_sys::sched;
use bartizan_sys::tree::{Facts, FileSystem, Folder};

/// Directories that wait to be read; more are left out, and said so.
const MAX_WAITING: usize = 200_000;
/// Directories in one another.
const MAX_DEPTH: usize = 256;
/// Directories that could not be read that are named; all are counted.
const MAX_NAMED: usize = 20;
/// Directories that are named when time runs out.
const MAX_LEFT: usize = 5;
/// Threads.
const THREADS: usize = 2;
/// Types of stat(2), S_IFMT.
const DIRECTORY: u32 = 0o040_000;

/// What becomes of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// It is walked.
    In,
    /// It is walked by itself, or holds nothing that is looked for.
    Past,
    /// It is left out on purpose, because of this.
    Aside(&'static str),
}

/// What is walked.
pub(super) struct Walk<'a> {
    /// Where it begins.
    pub(super) roots: Vec<HostText>,
    /// What becomes of a directory, by its whole path.
    pub(super) way: &'a (dyn Fn(&[u8]) -> Way + Sync),
    /// Gives way to nearly everything; for what nobody waits for.
    pub(super) far_aside: bool,
    /// When it ends at the latest.
    pub(super) patience: Option<Duration>,
}

/// What was walked.
#[derive(Debug, Default)]
pub(super) struct Walked {
    /// Directories read.
    pub(super) directories: u64,
    /// Names seen that are no directory.
    pub(super) files: u64,
    /// Directories left out on purpose: the first for each reason, and how many.
    pub(super) aside: BTreeMap<&'static str, (HostText, u64)>,
    /// Directories that could not be read: the first of them, and why.
    pub(super) unread: Vec<(HostText, String)>,
    /// How many those are.
    pub(super) unread_count: u64,
    /// Why it ended early, if so, and where it has not been.
    pub(super) cut: Option<String>,
}

/// A name that is no directory, for whoever looks at it.
pub(super) struct Entry<'a> {
    pub(super) folder: &'a Folder,
    pub(super) name: &'a CStr,
    pub(super) path: &'a [u8],
    pub(super) facts: &'a Facts,
}

struct Job {
    parent: Option<Arc<Folder>>,
    name: CString,
    path: Vec<u8>,
    device: Option<u64>,
    depth: usize,
}

#[derive(Default)]
struct State {
    waiting: Vec<Job>,
    at_work: usize,
    /// Threads that wait for a directory: only they are woken, for waking costs a system call though nobody waits.
    idle: usize,
    walked: Walked,
}

struct Shared<'a> {
    walk: &'a Walk<'a>,
    state: Mutex<State>,
    changed: Condvar,
    until: Option<Instant>,
    directories: AtomicU64,
    files: AtomicU64,
}

impl Walked {
    /// Notes in a run what was not walked: what should have been makes it incomplete.
    pub(super) fn account(self, run: &mut ScannerRun) {
        for (why, (first, count)) in self.aside {
            run.leave_out(first, why, count, false);
        }
        let named = self.unread.len() as u64;
        for (path, why) in self.unread {
            run.leave_out(path, why, 1, true);
        }
        run.leave_out("more directories".into(), "they could not be read", self.unread_count.saturating_sub(named), true);
        if let Some(why) = self.cut {
            run.leave_out("directories".into(), why, 1, true);
        }
    }
}

impl Walk<'_> {
    /// Walks; each of two threads has a worker of its own, made by `worker`, that sees every name that is no directory.
    pub(super) fn run<W: FnMut(&Entry) + Send>(&self, mut worker: impl FnMut() -> W) -> Walked {
        let root = |path: &HostText| {
            let name = CString::new(path.as_bytes()).ok()?;
            Some(Job { parent: None, name, path: path.as_bytes().to_vec(), device: None, depth: 0 })
        };
        let state = State { waiting: self.roots.iter().rev().filter_map(root).collect(), ..State::default() };
        let until = self.patience.map(|patience| Instant::now() + patience);
        let shared = Shared {
            walk: self,
            state: Mutex::new(state),
            changed: Condvar::new(),
            until,
            directories: AtomicU64::new(0),
            files: AtomicU64::new(0),
        };
        std::thread::scope(|scope| {
            for mut see in (0..THREADS).map(|_| worker()) {
                let shared = &shared;
                scope.spawn(move || shared.work(&mut see));
            }
        });
        let mut walked = shared.state.into_inner().unpoisoned().walked;
        (walked.directories, walked.files) = (shared.directories.into_inner(), shared.files.into_inner());
        walked
    }
}

impl Shared<'_> {
    fn work(&self, see: &mut impl FnMut(&Entry)) {
        if self.walk.far_aside {
            sched::step_far_aside()
        } else {
            sched::background()
        }
        while let Some(job) = self.next() {
            self.one(job, see);
            let mut state = self.state.lock().unpoisoned();
            state.at_work -= 1;
            let is_over = state.at_work == 0 && state.waiting.is_empty();
            drop(state);
            if is_over {
                self.changed.notify_all();
            }
        }
    }

    /// The directory that was found last, so that few wait.
    fn next(&self) -> Option<Job> {
        let mut state = self.state.lock().unpoisoned();
        loop {
            if self.until.is_some_and(|until| Instant::now() > until) && !state.waiting.is_empty() {
                let left = std::mem::take(&mut state.waiting);
                state.walked.cut = Some(self.how_far(&left));
            }
            if let Some(job) = state.waiting.pop() {
                state.at_work += 1;
                return Some(job);
            }
            if state.at_work == 0 {
                // Whoever waits has nothing to wait for any more.
                self.changed.notify_all();
                return None;
            }
            state.idle += 1;
            state = self.changed.wait(state).unpoisoned();
            state.idle -= 1;
        }
    }

    /// What was walked when time ran out, and where it was not.
    fn how_far(&self, left: &[Job]) -> String {
        let (directories, files) = (self.directories.load(Ordering::Relaxed), self.files.load(Ordering::Relaxed));
        let outermost = left.iter().filter(|job| !left.iter().any(|other| is_below(&job.path, &other.path)));
        let names: Vec<String> = outermost.take(MAX_LEFT).map(|job| HostText::from(&job.path[..]).escaped()).collect();
        format!(
            "time ran out after {directories} directories with {files} files; {} directories and what lies below them were not looked at: {}{}",
            left.len(),
            names.join(", "),
            if left.len() > names.len() { ", ..." } else { "" }
        )
    }

    fn aside(&self, path: &[u8], why: &'static str) {
        let walked = &mut self.state.lock().unpoisoned().walked;
        walked.aside.entry(why).or_insert_with(|| (HostText::from(path), 0)).1 += 1;
    }

    fn unread(&self, path: &[u8], why: impl std::fmt::Display) {
        let walked = &mut self.state.lock().unpoisoned().walked;
        walked.unread_count += 1;
        if walked.unread.len() < MAX_NAMED {
            walked.unread.push((HostText::from(path), why.to_string()));
        }
    }

    fn one(&self, job: Job, see: &mut impl FnMut(&Entry)) {
        let opened = match &job.parent {
            Some(parent) => parent.child(&job.name),
            None => Folder::open(Path::new(OsStr::from_bytes(&job.path))),
        };
        let folder = match opened.and_then(|folder| Ok((folder.device()?, folder))) {
            Ok((device, folder)) if job.device.is_none_or(|outer| outer == device) => (device, folder),
            Ok((device, folder)) => match folder.file_system() {
                Ok(FileSystem::Local) => (device, folder),
                Ok(FileSystem::Kernel) => return self.aside(&job.path, "the kernel makes up what it holds"),
                Ok(_) => return self.unread(&job.path, "its files lie on another host: it is looked at only when it is named itself"),
                Err(why) => return self.unread(&job.path, why),
            },
            // Gone meanwhile: there is nothing to look at.
            Err(why) if job.parent.is_some() && why.kind() == std::io::ErrorKind::NotFound => return,
            Err(why) => return self.unread(&job.path, why),
        };
        let (device, folder) = (folder.0, Arc::new(folder.1));
        self.directories.fetch_add(1, Ordering::Relaxed);
        let names = match folder.names() {
            Ok(names) => names,
            Err(why) => return self.unread(&job.path, why),
        };
        let mut below = Vec::new();
        for name in names {
            let facts = match folder.facts(&name) {
                Ok(facts) => facts,
                Err(why) if why.kind() == std::io::ErrorKind::NotFound => continue,
                // It can be listed and not searched: nothing in it can be looked at.
                Err(why) => return self.unread(&job.path, format!("what it holds cannot be looked at: {why}")),
            };
            let path = [job.path.strip_suffix(b"/").unwrap_or(&job.path), b"/", name.to_bytes()].concat();
            if facts.kind() != DIRECTORY {
                self.files.fetch_add(1, Ordering::Relaxed);
                see(&Entry { folder: &folder, name: &name, path: &path, facts: &facts });
                continue;
            }
            match (self.walk.way)(&path) {
                Way::In => below.push(Job { parent: Some(folder.clone()), name, path, device: Some(device), depth: job.depth + 1 }),
                Way::Past => {}
                Way::Aside(why) => self.aside(&path, why),
            }
        }
        self.wait_for_turn(below);
    }

    fn wait_for_turn(&self, mut below: Vec<Job>) {
        let deep = below.iter().filter(|job| job.depth > MAX_DEPTH).count();
        below.retain(|job| job.depth <= MAX_DEPTH);
        let mut state = self.state.lock().unpoisoned();
        if deep > 0 {
            state.walked.cut = Some(format!("directories lie more than {MAX_DEPTH} deep"));
        }
        if state.waiting.len() + below.len() > MAX_WAITING {
            state.walked.cut = Some("there are too many directories".to_owned());
            return;
        }
        below.reverse();
        state.waiting.append(&mut below);
        let is_awaited = state.idle > 0 && !state.waiting.is_empty();
        drop(state);
        if is_awaited {
            self.changed.notify_all();
        }
    }
}

fn is_below(path: &[u8], other: &[u8]) -> bool {
    path.len() > other.len() && path.starts_with(other) && (other.ends_with(b"/") || path.get(other.len()) == Some(&b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn walked(root: &Path, patience: Option<Duration>, way: &(dyn Fn(&[u8]) -> Way + Sync)) -> (Walked, u64) {
        let seen = AtomicU64::new(0);
        let walk = Walk { roots: vec![HostText::from(root.as_os_str().as_bytes())], way, far_aside: false, patience };
        let walked = walk.run(|| {
            |_: &Entry| {
                seen.fetch_add(1, Ordering::Relaxed);
            }
        });
        (walked, seen.into_inner())
    }

    #[test]
    fn a_root_whose_name_is_no_utf8_is_walked() {
        let dir = tempfile::tempdir().unwrap();
        let odd = dir.path().join(OsStr::from_bytes(b"\xff\xfe"));
        fs::create_dir(&odd).unwrap();
        fs::write(odd.join("file"), "x").unwrap();
        let (walked, seen) = walked(&odd, None, &|_| Way::In);
        assert_eq!((seen, walked.unread_count), (1, 0), "{walked:?}");
    }

    #[test]
    fn what_is_left_out_is_said() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a", "images", "b"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let aside = |path: &[u8]| if path.ends_with(b"/images") { Way::Aside("images") } else { Way::In };
        let (outcome, _) = walked(dir.path(), None, &aside);
        assert_eq!(outcome.aside.get("images").map(|(path, count)| (path.as_bytes().ends_with(b"/images"), *count)), Some((true, 1)));
        let (outcome, _) = walked(Path::new("/"), None, &|path| if path == b"/proc" { Way::In } else { Way::Past });
        assert_eq!(outcome.aside.get("the kernel makes up what it holds").map(|(path, _)| path.as_bytes()), Some(&b"/proc"[..]));
        let mut run = ScannerRun::begin("/".into(), chrono::DateTime::UNIX_EPOCH);
        outcome.account(&mut run);
        assert_eq!((run.state, run.not_scanned.len()), (bartizan_model::ScannerState::Complete, 1));
    }

    #[test]
    fn a_walk_that_is_out_of_time_says_how_far_it_came() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("one/two")).unwrap();
        let (walked, _) = walked(dir.path(), Some(Duration::ZERO), &|_| Way::In);
        let cut = walked.cut.unwrap();
        assert!(cut.contains("0 directories with 0 files") && cut.contains(&dir.path().display().to_string()), "{cut}");
    }
}
