//! inotify(7) through the `notify` library: the rung below fanotify. It says what happened to a file, never who did it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, CreateKind, EventKind, ModifyKind, RemoveKind, RenameMode};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};

use super::descriptors;
use super::file_watch::{Interest, Noticed, Touch, Touched};

/// Events that may wait between the library's thread and us; one more is an overflow.
const QUEUE: usize = 16_384;
/// Descriptors that the library holds: the instance, what it waits with and what wakes it.
const OPEN: u64 = 3;

/// Watches by inotify.
pub(super) struct Inotify {
    watcher: RecommendedWatcher,
    queue: Receiver<notify::Result<Event>>,
    overflow: Arc<AtomicBool>,
    waiting: VecDeque<notify::Result<Event>>,
    watched: HashMap<PathBuf, Interest>,
    /// Watches that are known to be set. Emptied when events were lost, for one of them may have told of a watch's end.
    certain: HashSet<PathBuf>,
}

impl std::fmt::Debug for Inotify {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inotify").field("watched", &self.watched.len()).finish_non_exhaustive()
    }
}

impl Inotify {
    pub(super) fn open() -> io::Result<Self> {
        descriptors::ask_for(OPEN)?;
        let (sender, queue) = sync_channel(QUEUE);
        let overflow = Arc::new(AtomicBool::new(false));
        let full = Arc::clone(&overflow);
        let deliver = move |event| {
            if sender.try_send(event).is_err() {
                full.store(true, Ordering::Relaxed);
            }
        };
        let watcher = notify::recommended_watcher(deliver).map_err(to_io)?;
        Ok(Self { watcher, queue, overflow, waiting: VecDeque::new(), watched: HashMap::new(), certain: HashSet::new() })
    }

    pub(super) fn watch(&mut self, path: &Path, interest: Interest) -> io::Result<bool> {
        if self.watched.get(path) == Some(&interest) && self.certain.contains(path) {
            return Ok(false);
        }
        self.watcher.watch(path, RecursiveMode::NonRecursive).map_err(to_io)?;
        self.certain.insert(path.to_owned());
        self.watched.insert(path.to_owned(), interest);
        Ok(true)
    }

    pub(super) fn wait(&mut self, timeout: Duration) -> io::Result<bool> {
        if self.waiting.is_empty()
            && let Ok(event) = self.queue.recv_timeout(timeout)
        {
            self.waiting.push_back(event);
        }
        Ok(!self.waiting.is_empty() || self.overflow.load(Ordering::Relaxed))
    }

    pub(super) fn drain(&mut self, take: &mut dyn FnMut(Noticed)) {
        let mut overflow = self.overflow.swap(false, Ordering::Relaxed);
        for _ in 0..QUEUE {
            let Some(event) = self.waiting.pop_front().or_else(|| self.queue.try_recv().ok()) else { break };
            match event {
                Ok(event) if event.need_rescan() => overflow = true,
                Ok(event) => self.tell(&event, take),
                // The library reports a watch that broke as an error: what it missed must be looked for.
                Err(_) => overflow = true,
            }
        }
        if overflow {
            self.certain.clear();
            take(Noticed::Overflow);
        }
    }

    fn tell(&mut self, event: &Event, take: &mut dyn FnMut(Noticed)) {
        let Some(what) = touch(event) else { return };
        for path in &event.paths {
            if (what.deleted || what.moved_away) && self.watched.remove(path).is_some() {
                self.certain.remove(path);
                take(Noticed::Gone(path.clone()));
            }
            let interest = self.watched.get(path).or_else(|| self.watched.get(path.parent()?)).copied();
            let wanted = match interest {
                None => false,
                Some(Interest::Opening) => what.opened,
                Some(Interest::Entries) => what.created || what.deleted || what.moved_in || what.moved_away,
                Some(Interest::Closed) => !what.opened && !what.written,
                Some(Interest::Content) => !what.opened,
            };
            if wanted {
                let directory = what.directory || path.is_dir();
                take(Noticed::Touched(Touched { path: path.clone(), what: Touch { directory, ..what }, by: None }));
            }
        }
    }
}

fn touch(event: &Event) -> Option<Touch> {
    let nothing = Touch::default();
    Some(match event.kind {
        EventKind::Create(kind) => Touch { created: true, directory: kind == CreateKind::Folder, ..nothing },
        EventKind::Remove(kind) => Touch { deleted: true, directory: kind == RemoveKind::Folder, ..nothing },
        EventKind::Modify(ModifyKind::Data(_)) => Touch { written: true, ..nothing },
        EventKind::Modify(ModifyKind::Metadata(_)) => Touch { attributes: true, ..nothing },
        EventKind::Modify(ModifyKind::Name(RenameMode::From)) => Touch { moved_away: true, ..nothing },
        EventKind::Modify(ModifyKind::Name(RenameMode::To)) => Touch { moved_in: true, ..nothing },
        EventKind::Access(AccessKind::Open(_)) => Touch { opened: true, ..nothing },
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Touch { closed: true, ..nothing },
        _ => return None,
    })
}

fn to_io(error: notify::Error) -> io::Error {
    match error.kind {
        notify::ErrorKind::Io(why) => why,
        notify::ErrorKind::PathNotFound => io::Error::from(io::ErrorKind::NotFound),
        other => io::Error::other(format!("{other:?}")),
    }
}
