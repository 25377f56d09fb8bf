//! Walks directories on several threads, by descriptor: no link is followed, so none leads in a circle or out of the tree.

use std::ffi::{CStr, CString};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use bartizan_model::{HostText, Unpoisoned as _};
use bartizan_sys::sched;
use bartizan_sys::tree::{Facts, FileSystem, Folder};

/// Directories that wait to be read; more are left out, and said so.
const MAX_WAITING: usize = 200_000;
/// Directories in one another.
const MAX_DEPTH: usize = 256;
/// Directories that could not be read that are named; all are counted.
const MAX_NAMED: usize = 20;
/// Threads.
const THREADS: usize = 2;
/// Types of stat(2), S_IFMT.
const DIRECTORY: u32 = 0o040_000;

/// What is walked.
pub(super) struct Walk<'a> {
    /// Where it begins.
    pub(super) roots: Vec<HostText>,
    /// Directories that are left out, by their whole path.
    pub(super) skip: &'a (dyn Fn(&[u8]) -> bool + Sync),
    /// Whether a directory on another file system is entered, by its path.
    pub(super) enter: &'a (dyn Fn(&[u8]) -> bool + Sync),
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
    /// Directories that could not be read: the first of them, and why.
    pub(super) unread: Vec<(HostText, String)>,
    /// How many those are.
    pub(super) unread_count: u64,
    /// Why it ended early, if so.
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
    walked: Walked,
}

struct Shared<'a> {
    walk: &'a Walk<'a>,
    state: Mutex<State>,
    changed: Condvar,
    until: Option<Instant>,
    directories: AtomicU64,
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
        let shared = Shared { walk: self, state: Mutex::new(state), changed: Condvar::new(), until, directories: AtomicU64::new(0) };
        std::thread::scope(|scope| {
            for mut see in (0..THREADS).map(|_| worker()) {
                let shared = &shared;
                scope.spawn(move || shared.work(&mut see));
            }
        });
        let mut walked = shared.state.into_inner().unpoisoned().walked;
        walked.directories = shared.directories.into_inner();
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
            self.state.lock().unpoisoned().at_work -= 1;
            self.changed.notify_all();
        }
    }

    /// The directory that was found last, so that few wait.
    fn next(&self) -> Option<Job> {
        let mut state = self.state.lock().unpoisoned();
        loop {
            if self.until.is_some_and(|until| Instant::now() > until) && !state.waiting.is_empty() {
                state.waiting.clear();
                state.walked.cut = Some("it took too long".to_owned());
            }
            if let Some(job) = state.waiting.pop() {
                state.at_work += 1;
                return Some(job);
            }
            if state.at_work == 0 {
                return None;
            }
            state = self.changed.wait(state).unpoisoned();
        }
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
            None => Folder::open(Path::new(std::ffi::OsStr::new(&*HostText::from(&job.path[..]).lossy()))),
        };
        let folder = match opened.and_then(|folder| Ok((folder.device()?, folder))) {
            Ok((device, folder)) if job.device.is_none_or(|outer| outer == device) => (device, folder),
            Ok((device, folder)) => match folder.file_system() {
                Ok(FileSystem::Local) if (self.walk.enter)(&job.path) => (device, folder),
                _ => return,
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
            let Ok(facts) = folder.facts(&name) else { continue };
            let path = [job.path.strip_suffix(b"/").unwrap_or(&job.path), b"/", name.to_bytes()].concat();
            if facts.kind() != DIRECTORY {
                see(&Entry { folder: &folder, name: &name, path: &path, facts: &facts });
            } else if !(self.walk.skip)(&path) {
                below.push(Job { parent: Some(folder.clone()), name, path, device: Some(device), depth: job.depth + 1 });
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
        drop(state);
        self.changed.notify_all();
    }
}
