//! Changes to the start-up and access places, with content hashes before and after and the process that made them.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::access_keys::AccessKeys;
use super::attribution::Attribution;
use super::gather::{emit, gather, open, patience, source};
use super::persistence_memory::{self as memory, Known};
use super::places::Places;
use super::settling::Settling;
use super::{Collector, CollectorError, Sink, Stop};
use bartizan_model::{EventKind, FileChange, FileChangeKind, HostText, PersistenceKind, Process, Source};
use bartizan_sys::digest::{Digest, digest};
use bartizan_sys::file_watch::{FileWatch, Noticed, Touch, Touched};

/// The hop's name in loss counts.
const HOP: &str = "fanotify-persistence";
/// Files beyond the memory's bound are told of, but not what they were before.
const UNREMEMBERED: &str = "persistence-memory";
/// Most files whose state is kept.
const MAX_KNOWN: usize = 65_536;
/// Places are worked out anew at most this often.
const REFRESH: Duration = Duration::from_millis(200);
/// The memory is written at most this often.
const SAVE: Duration = Duration::from_secs(2);

/// Watches the start-up and access places.
pub struct Persistence {
    places: Places,
    who: Attribution,
    force_inotify: bool,
}

impl Persistence {
    /// Over these places.
    pub fn new(places: Places, who: Attribution) -> Self {
        Self { places, who, force_inotify: false }
    }

    /// The same without fanotify: the rung below, which cannot tell who.
    pub fn without_fanotify(mut self) -> Self {
        self.force_inotify = true;
        self
    }
}

impl Collector for Persistence {
    fn name(&self) -> &'static str {
        "persistence"
    }

    fn run(&mut self, sink: &dyn Sink, stop: &Stop) -> Result<(), CollectorError> {
        let watch = if self.force_inotify {
            FileWatch::without_fanotify().map_err(|why| CollectorError {
                what: "persistence: watching files by inotify".to_owned(),
                why: why.to_string(),
                mend: "raise fs.inotify.max_user_instances".to_owned(),
            })?
        } else {
            open("persistence")?
        };
        Watching::begin(&mut self.places, &self.who, watch, sink).until(stop)
    }
}

/// Whose deed a change was.
#[derive(Clone)]
struct Deed {
    process: Option<Arc<Process>>,
    /// Nobody saw who wrote it; this one made the directory in which it was found.
    directory_by: Option<Arc<Process>>,
    complete: bool,
}

const UNKNOWN: Deed = Deed { process: None, directory_by: None, complete: false };

/// One run of the collector.
struct Watching<'a> {
    places: &'a mut Places,
    who: &'a Attribution,
    watch: FileWatch,
    sink: &'a dyn Sink,
    source: Source,
    known: Known,
    keys: AccessKeys,
    settling: Settling,
    /// Places must be worked out anew, for what this process made.
    stale: Option<Deed>,
    refreshed: Instant,
    unsaved: bool,
    saved: Instant,
}

impl<'a> Watching<'a> {
    /// Watches first and reads then, so that nothing falls between.
    fn begin(places: &'a mut Places, who: &'a Attribution, watch: FileWatch, sink: &'a dyn Sink) -> Self {
        let (source, now) = (source(&watch), Instant::now());
        let mut run = Self {
            places,
            who,
            watch,
            sink,
            source,
            known: Known::new(),
            keys: AccessKeys::default(),
            settling: Settling::default(),
            stale: None,
            refreshed: now,
            unsaved: true,
            saved: now,
        };
        run.places.refresh();
        run.watch_all();
        let before = run.places.memory().map(|file| memory::load(file, run.places.root()));
        match before {
            Some(Ok(Some(known))) => {
                run.known = known;
                run.rescan(Path::new("/"));
            }
            other => {
                if let Some(Err(why)) = other {
                    tracing::warn!(%why, "the memory of start-up places cannot be read: changes made while the agent was down are not told of");
                }
                run.learn();
            }
        }
        run.count_keys();
        run
    }

    /// What a run before this one knew of files is taken over; how many keys are in them is counted anew.
    fn count_keys(&mut self) {
        for file in self.known.keys().filter(|file| self.places.classify(file) == Some(PersistenceKind::AuthorizedKeys)) {
            self.keys.learn(file);
        }
    }

    fn until(mut self, stop: &Stop) -> Result<(), CollectorError> {
        while !stop.is_set() {
            let busy = !self.settling.is_empty() || self.stale.is_some();
            let look = gather(&mut self.watch, if busy { Duration::from_millis(20) } else { Stop::LOOK }, HOP, self.sink)?;
            let until = patience();
            for noticed in look.noticed {
                match noticed {
                    Noticed::Touched(touched) => self.touched(touched, until),
                    Noticed::Gone(path) => {
                        self.rescan(&path);
                        self.stale.get_or_insert(UNKNOWN);
                    }
                    Noticed::Overflow => {}
                }
            }
            for touched in self.settling.take(Instant::now()) {
                let (process, complete) = self.who.of(touched.by, until);
                self.judge(&touched.path, touched.what, &Deed { process, directory_by: None, complete });
            }
            if look.overflow {
                self.refresh(&UNKNOWN);
                self.rescan(Path::new("/"));
            }
            if self.refreshed.elapsed() >= REFRESH
                && let Some(deed) = self.stale.take()
            {
                self.refresh(&deed);
            }
            if self.unsaved && self.saved.elapsed() >= SAVE {
                self.save();
            }
        }
        self.save();
        Ok(())
    }

    /// A file of a place waits until it is whole; a directory may make a place appear.
    fn touched(&mut self, touched: Touched, until: Instant) {
        let accounts = touched.path == self.places.root().join("etc/passwd");
        if accounts || (touched.what.directory && self.places.concerns(&touched.path)) {
            let (directory_by, _) = self.who.of(touched.by, until);
            self.stale = Some(Deed { directory_by: directory_by.filter(|_| !accounts), ..UNKNOWN });
        }
        if !touched.what.directory && self.places.classify(&touched.path).is_some() {
            self.settling.add(touched, Instant::now());
        }
    }

    /// Watches what appeared; files already in it were made before we could watch, by whom nobody saw: `mkdir` has ended when
    /// the shell that called it writes into the new directory.
    fn refresh(&mut self, deed: &Deed) {
        self.refreshed = Instant::now();
        self.places.refresh();
        for directory in self.watch_all() {
            for file in files_in(&directory) {
                self.judge(&file, Touch::default(), deed);
            }
        }
    }

    /// Watches every directory that counts; returns those that were not watched before.
    fn watch_all(&mut self) -> Vec<PathBuf> {
        let mut new = Vec::new();
        for (path, interest) in self.places.to_watch() {
            match self.watch.watch(&path, interest) {
                Ok(true) => new.push(path),
                Ok(false) => {}
                Err(why) => {
                    tracing::warn!(path = %HostText::from(path.as_os_str().as_bytes()), %why, "a start-up place cannot be watched");
                    self.sink.account(HOP, 0, 1);
                }
            }
        }
        new
    }

    /// Takes what is there as what was there: the first start on a host.
    fn learn(&mut self) {
        for file in self.places.to_watch().keys().flat_map(|directory| files_in(directory)) {
            if self.places.classify(&file).is_some()
                && let Ok(Some(found)) = digest(&file)
            {
                self.remember(file, Some(found));
            }
        }
    }

    /// Finds what changed below `top` while nobody could see it.
    fn rescan(&mut self, top: &Path) {
        let known = self.known.keys().filter(|path| path.starts_with(top)).cloned();
        let present =
            self.places.to_watch().into_keys().filter(|directory| directory.starts_with(top)).flat_map(|directory| files_in(&directory));
        let all: std::collections::BTreeSet<PathBuf> = known.chain(present).collect();
        for file in all {
            self.judge(&file, Touch::default(), &UNKNOWN);
        }
    }

    /// Compares a file with what it was and tells the difference.
    fn judge(&mut self, path: &Path, touch: Touch, deed: &Deed) {
        let Some(kind) = self.places.classify(path) else { return };
        let before = self.known.get(path).cloned();
        let (after, readable) = match digest(path) {
            Ok(after) => (after, true),
            Err(_) => (None, false),
        };
        if after.as_ref().is_some_and(|after| after.mode & 0o170_000 == 0o040_000) {
            return; // a directory took the name
        }
        for change in changes(touch, before.as_ref(), after.as_ref(), readable) {
            let hash = |of: &Option<Digest>| of.as_ref().and_then(|digest| digest.hash.clone());
            let cut = |of: &Option<Digest>| of.as_ref().is_some_and(|digest| digest.hash.is_none());
            let file = FileChange {
                persistence: Some(kind),
                before: hash(&before),
                after: hash(&after),
                directory_by: deed.directory_by.clone(),
                ..FileChange::new(HostText::from(path.as_os_str().as_bytes()), change)
            };
            let complete = deed.complete && readable && !cut(&before) && !cut(&after);
            emit(self.sink, EventKind::PersistenceChange { file }, deed.process.clone(), self.source, complete);
        }
        if kind == PersistenceKind::AuthorizedKeys
            && let Some(alarm) = self.keys.compare(path, before.is_some())
        {
            emit(self.sink, alarm, deed.process.clone(), self.source, deed.complete);
        }
        if readable && before != after {
            self.remember(path.to_owned(), after);
        }
    }

    fn remember(&mut self, path: PathBuf, now: Option<Digest>) {
        self.unsaved = true;
        match now {
            None => drop(self.known.remove(&path)),
            Some(_) if self.known.len() >= MAX_KNOWN && !self.known.contains_key(&path) => self.sink.account(UNREMEMBERED, 1, 1),
            Some(digest) => drop(self.known.insert(path, digest)),
        }
    }

    fn save(&mut self) {
        (self.unsaved, self.saved) = (false, Instant::now());
        if let Some(file) = self.places.memory()
            && let Err(why) = memory::save(file, self.places.root(), &self.known)
        {
            tracing::warn!(file = %file.display(), %why, "the memory of start-up places cannot be written");
        }
    }
}

/// What a file's states before and after, and what the kernel said between, amount to.
fn changes(touch: Touch, before: Option<&Digest>, after: Option<&Digest>, readable: bool) -> Vec<FileChangeKind> {
    let came = touch.created || touch.moved_in;
    match (before, after) {
        _ if !readable => vec![FileChangeKind::Modified],
        (None, None) if came => vec![FileChangeKind::Created, FileChangeKind::Deleted],
        (None, None) => vec![],
        (None, Some(_)) if touch.moved_in => vec![FileChangeKind::Renamed],
        (None, Some(_)) => vec![FileChangeKind::Created],
        (Some(_), None) => vec![FileChangeKind::Deleted],
        (Some(_), Some(_)) if touch.moved_in => vec![FileChangeKind::Renamed],
        // The same content written again is a deed too, and says so by equal hashes.
        (Some(before), Some(after)) if after.differs(before) || touch.written || (touch.closed && after.modified != before.modified) => {
            vec![FileChangeKind::Modified]
        }
        (Some(before), Some(after)) if after.owned_otherwise(before) => vec![FileChangeKind::Attributes],
        (Some(_), Some(_)) => vec![],
    }
}

/// What lies directly in a directory and is none itself, bounded as the memory is.
fn files_in(directory: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_dir())).map(|entry| entry.path()).take(MAX_KNOWN)
}
