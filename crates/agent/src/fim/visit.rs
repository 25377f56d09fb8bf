//! One directory: its names against its row of the baseline.

use std::collections::HashMap;
use std::ffi::CString;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::SyncSender;

use super::counter::Counter;
use super::excluded::Excluded;
use super::look::{Depth, Looked, is_kept, look};
use super::report::{Danger, LongFound, Skipped};
use bartizan_integrity::{Change, Content, Difference, Entry, Finding, Kind, LONGEST_JUDGED, YaraRules, decode, is_judged, judge};
use bartizan_model::HostText;
use bartizan_store::{BaselineReader, StoreError};
use bartizan_sys::tree::{FileSystem, Folder};

/// Directories inside each other; a deeper tree is a trap, and each level keeps one open.
const DEEPEST: usize = 200;
/// Longest path that is looked at, in bytes (PATH_MAX in linux/limits.h).
const LONGEST_PATH: usize = 4096;

/// A directory that waits to be visited.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) path: Vec<u8>,
    pub(super) way: Way,
    /// Only these names of it.
    pub(super) only: Option<Vec<CString>>,
    pub(super) depth: usize,
}

impl Job {
    fn wants(&self, entry: &Entry) -> bool {
        self.only.as_ref().is_none_or(|names| names.iter().any(|name| name.to_bytes() == entry.name))
    }
}

/// How to get into it.
#[derive(Debug)]
pub(super) enum Way {
    /// By its path: a root.
    Path,
    /// From the directory above, which lies on this device, as this name.
    Below(Arc<Folder>, CString, u64),
}

/// What a visit tells.
#[derive(Debug)]
pub(super) enum Found {
    /// A change.
    Change(Box<Change>),
    /// Only the change time is another.
    Touched(HostText),
    /// The content of a new or changed file is dangerous.
    Danger(Danger),
    /// A long file of which only the ends were read.
    Long(Box<LongFound>),
    /// The ends of a new or changed file were judged, not all of it.
    ByEnds(HostText),
    /// The YARA rules were not done with it in time.
    GaveUp(HostText),
    /// A log grew.
    Grown,
    /// Something was not looked into.
    Skipped(Skipped),
    /// The row of a directory for a new version, or only this name of it.
    Row { path: Vec<u8>, entries: Vec<Entry>, only: Option<Vec<u8>> },
    /// A content to be kept.
    Content([u8; 32], Vec<u8>),
    /// The baseline cannot be read.
    Trouble(StoreError),
}

/// What all visits share.
#[derive(Debug)]
pub(super) struct Visitor<'a> {
    pub(super) depth: Depth,
    pub(super) excluded: &'a Excluded,
    pub(super) counter: &'a Counter,
    /// There is a baseline to compare with.
    pub(super) compares: bool,
    /// Judges what is new or changed against the baseline.
    pub(super) yara: Option<&'a YaraRules>,
    /// A new version is made.
    pub(super) writes: bool,
    /// Nobody takes what is found any more.
    pub(super) given_up: &'a AtomicBool,
}

impl Visitor<'_> {
    /// Visits a directory; the ones in it become jobs.
    pub(super) fn visit(&self, job: Job, reader: &BaselineReader, out: &SyncSender<Found>, jobs: &mut Vec<Job>) {
        if let Err(found) = self.try_visit(job, reader, out, jobs) {
            // The other end is gone only when the scan was given up.
            let _ = out.send(found);
        }
    }

    fn try_visit(&self, job: Job, reader: &BaselineReader, out: &SyncSender<Found>, jobs: &mut Vec<Job>) -> Result<(), Found> {
        if self.given_up.load(Relaxed) {
            return Ok(());
        }
        self.counter.enters(&job.path, job.only.is_none());
        let skipped = |why: String| Found::Skipped(Skipped { path: HostText::from(job.path.as_slice()), why, meant: false });
        let folder = match open(&job) {
            Ok(folder) => Arc::new(folder),
            Err(why) if why.kind() == io::ErrorKind::NotFound => return self.without_folder(&job, reader, out),
            Err(why) => return Err(skipped(format!("cannot be opened: {why}"))),
        };
        let device = folder.device().map_err(|why| skipped(why.to_string()))?;
        let row = reader.directory(&job.path).map_err(Found::Trouble)?;
        if let Way::Below(_, _, parent) = &job.way
            && *parent != device
            && let Some(why) = foreign(&folder)
        {
            let meant = row.as_deref().map(decode).is_none_or(|known| known.is_ok_and(|known| known.is_empty()));
            // One that hides what the baseline knows is no place that is left out: something was mounted over it.
            return Err(Found::Skipped(Skipped { path: HostText::from(job.path.as_slice()), why: why.to_owned(), meant }));
        }
        let known = match row.as_deref().map(decode) {
            Some(Err(_)) => return Err(skipped("its baseline row cannot be decoded; make a new baseline of it".to_owned())),
            Some(Ok(known)) => known,
            None => Vec::new(),
        };
        let names = match &job.only {
            Some(names) => names.clone(),
            None => match folder.names() {
                Ok(names) => names,
                // Removed since it was opened.
                Err(why) if why.kind() == io::ErrorKind::NotFound => return self.without_folder(&job, reader, out),
                Err(why) => return Err(skipped(format!("cannot be listed: {why}"))),
            },
        };
        let wanted = |entry: &Entry| job.wants(entry);
        let mut known: HashMap<Vec<u8>, Entry> = known.into_iter().filter(wanted).map(|entry| (entry.name.clone(), entry)).collect();
        let mut entries = Vec::with_capacity(if self.writes { names.len() } else { 0 });
        for name in names {
            let path = joined(&job.path, name.to_bytes());
            if self.excluded.has(&path) {
                known.remove(name.to_bytes());
                continue;
            }
            let old = known.remove(name.to_bytes());
            match look(&folder, &name, old.as_ref(), self.depth) {
                Ok(Some(looked)) if looked.is_long => self.long(&path, old, looked, reader, out)?,
                Ok(Some(looked)) => {
                    if looked.entry.kind == Kind::Directory && job.only.is_none() {
                        let way = Way::Below(Arc::clone(&folder), name, device);
                        descend(Job { path: path.clone(), way, only: None, depth: job.depth + 1 }, out, jobs);
                    }
                    let entry = self.compare(&path, old, looked, reader, out)?;
                    entries.extend(self.writes.then_some(entry));
                }
                Ok(None) => self.gone(&path, old, reader, out)?,
                Err(why) => {
                    let _ = out.send(Found::Skipped(Skipped { path: path.into(), why: why.to_string(), meant: false }));
                }
            }
        }
        for (name, old) in known {
            let path = joined(&job.path, &name);
            if !self.excluded.has(&path) {
                self.gone(&path, Some(old), reader, out)?;
            }
        }
        if self.writes {
            let _ =
                out.send(Found::Row { path: job.path, entries, only: job.only.and_then(|mut names| names.pop()).map(CString::into_bytes) });
        }
        Ok(())
    }

    /// The directory itself is gone: a root's parent, or one that was removed a moment ago. What the baseline knows of it is gone too.
    fn without_folder(&self, job: &Job, reader: &BaselineReader, out: &SyncSender<Found>) -> Result<(), Found> {
        let row = reader.directory(&job.path).map_err(Found::Trouble)?;
        let known = row.as_deref().map(decode).and_then(Result::ok).unwrap_or_default();
        let wanted = |entry: &Entry| job.wants(entry);
        known.into_iter().filter(wanted).try_for_each(|old| self.gone(&joined(&job.path, &old.name), Some(old), reader, out))
    }

    /// A long file: its ends are judged now, and the rest is left for another look.
    fn long(&self, path: &[u8], old: Option<Entry>, looked: Looked, reader: &BaselineReader, out: &SyncSender<Found>) -> Result<(), Found> {
        let Looked { entry, content, .. } = looked;
        self.unreadable(path, &entry, out);
        // Where only its metadata changed, it holds what the baseline knows, or says so: the other look tells.
        let of = |entry: &Entry| (entry.size, entry.modified, entry.inode);
        let content = content.filter(|_| old.as_ref().is_none_or(|old| of(old) != of(&entry)));
        let ends = content.as_ref().map(|ends| *blake3::hash(ends).as_bytes());
        if let Some(content) = content {
            self.judge(path, (old.as_ref(), &Content::None), (content, false), reader, out)?;
        }
        let _ = out.send(Found::Long(Box::new(LongFound { path: path.into(), before: old, now: entry, ends })));
        Ok(())
    }

    fn unreadable(&self, path: &[u8], entry: &Entry, out: &SyncSender<Found>) {
        if let Content::Unreadable(number) = entry.content {
            let why = format!("cannot be read: {}", io::Error::from_raw_os_error(number));
            let _ = out.send(Found::Skipped(Skipped { path: path.into(), why, meant: false }));
        }
    }

    fn compare(
        &self,
        path: &[u8],
        old: Option<Entry>,
        looked: Looked,
        reader: &BaselineReader,
        out: &SyncSender<Found>,
    ) -> Result<Entry, Found> {
        let Looked { entry, appended, content, is_whole, read, .. } = looked;
        self.count(&entry, read);
        self.unreadable(path, &entry, out);
        if let Some(content) = content {
            self.judge(path, (old.as_ref(), &entry.content), (content, is_whole), reader, out)?;
        }
        if !self.compares || old.as_ref() == Some(&entry) {
            return Ok(entry);
        }
        if entry.kind != Kind::Directory && old.as_ref().is_some_and(|old| old.kind == Kind::Directory) {
            gone_below(path, reader, out)?;
        }
        let Some(mut change) = Change::between(path.into(), old, Some(entry.clone())) else { return Ok(entry) };
        // What was added to an empty file is all that it holds; only of a log it is no news.
        if let Some(bytes) = appended.filter(|_| is_log(path) || change.before.as_ref().is_some_and(|old| old.size > 0)) {
            change
                .differences
                .iter_mut()
                .filter(|one| matches!(one, Difference::Content { .. }))
                .for_each(|one| *one = Difference::Appended { bytes });
        }
        let log = matches!(change.differences.as_slice(), [Difference::Appended { .. }]) && is_log(path);
        let _ = out.send(match () {
            () if log => Found::Grown,
            () if change.is_touch() => Found::Touched(change.path),
            () => Found::Change(Box::new(change)),
        });
        Ok(entry)
    }

    /// Judges a content that is new or changed, or the ends of a long one, and hands a short one over to be stored.
    fn judge(
        &self,
        path: &[u8],
        (old, now): (Option<&Entry>, &Content),
        (content, is_whole): (Vec<u8>, bool),
        reader: &BaselineReader,
        out: &SyncSender<Found>,
    ) -> Result<(), Found> {
        let known = old.filter(|_| self.compares).map(|old| &old.content);
        // Of what nothing is known yet, what it is called and how it begins decides: a first baseline does not wait for all rules.
        let yara = self.yara.filter(|_| self.compares);
        let by_structure = is_judged(path, &content);
        if known != Some(now) && (by_structure || yara.is_some()) {
            let before = match known {
                Some(Content::Hash(before)) => reader.content(before).map_err(Found::Trouble)?,
                None if self.compares => Some(Vec::new()),
                _ => None,
            };
            let mut findings = if by_structure { judge(path, before.as_deref(), &content) } else { Vec::new() };
            let more = yara.map(|yara| yara.judge(path, before.as_deref(), &content)).unwrap_or_default();
            // What is a webshell by its structure need not be one by a rule, too.
            let is_told = |finding: &Finding| findings.iter().any(|told| told.technique == finding.technique);
            let more_findings: Vec<Finding> = more.findings.into_iter().filter(|finding| !is_told(finding)).collect();
            findings.extend(more_findings);
            for finding in findings {
                let _ = out.send(Found::Danger(Danger { path: path.into(), finding }));
            }
            if more.gave_up {
                let _ = out.send(Found::GaveUp(path.into()));
            }
            // An empty one, or one that changes while it is read, is no longer than what was judged.
            if self.compares && !is_whole && content.len() >= LONGEST_JUDGED - 1 {
                let _ = out.send(Found::ByEnds(path.into()));
            }
        }
        if let Content::Hash(hash) = now
            && self.writes
            && is_whole
            && is_kept(&content)
        {
            let _ = out.send(Found::Content(*hash, content));
        }
        Ok(())
    }

    fn count(&self, entry: &Entry, read: bool) {
        if entry.kind != Kind::Directory {
            self.counter.files.fetch_add(1, Relaxed);
        }
        if entry.kind == Kind::File {
            self.counter.bytes.fetch_add(entry.size, Relaxed);
            self.counter.read_files.fetch_add(u64::from(read), Relaxed);
            self.counter.read_bytes.fetch_add(if read { entry.size } else { 0 }, Relaxed);
        }
    }

    /// A name is gone, and what was below it.
    fn gone(&self, path: &[u8], old: Option<Entry>, reader: &BaselineReader, out: &SyncSender<Found>) -> Result<(), Found> {
        let Some(old) = old.filter(|_| self.compares) else { return Ok(()) };
        if old.kind == Kind::Directory {
            gone_below(path, reader, out)?;
        }
        if let Some(change) = Change::between(path.into(), Some(old), None) {
            let _ = out.send(Found::Change(Box::new(change)));
        }
        Ok(())
    }
}

/// A directory becomes a job, unless it is one too many.
fn descend(job: Job, out: &SyncSender<Found>, jobs: &mut Vec<Job>) {
    if job.depth <= DEEPEST && job.path.len() < LONGEST_PATH {
        return jobs.push(job);
    }
    let why = format!("it lies more than {DEEPEST} directories deep, or its path has more than {LONGEST_PATH} bytes");
    let _ = out.send(Found::Skipped(Skipped { path: job.path.into(), why, meant: false }));
}

/// Why what is mounted here is not looked into, if it is not.
fn foreign(folder: &Folder) -> Option<&'static str> {
    match folder.file_system() {
        Ok(FileSystem::Kernel) => Some("the kernel makes up what is in it: left out"),
        Ok(FileSystem::Remote) => Some("it lies on another host or in a program (NFS, CIFS, FUSE): name it itself"),
        Ok(FileSystem::Local) | Err(_) => None,
    }
}

/// All that the baseline knows below a directory is gone.
fn gone_below(path: &[u8], reader: &BaselineReader, out: &SyncSender<Found>) -> Result<(), Found> {
    let mut take = |directory: &[u8], row: &[u8]| {
        for entry in decode(row).unwrap_or_default() {
            let path = joined(directory, &entry.name);
            if let Some(change) = Change::between(path.into(), Some(entry), None) {
                let _ = out.send(Found::Change(Box::new(change)));
            }
        }
    };
    reader.below(path, &mut take).map_err(Found::Trouble)
}

fn open(job: &Job) -> io::Result<Folder> {
    use std::os::unix::ffi::OsStrExt;
    match &job.way {
        Way::Path => Folder::open(Path::new(std::ffi::OsStr::from_bytes(&job.path))),
        Way::Below(parent, name, _) => parent.child(name),
    }
}

/// A name in a directory.
pub(super) fn joined(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let plain = directory.strip_suffix(b"/").unwrap_or(directory);
    [plain, b"/", name].concat()
}

/// Files that grow all the time, by where they lie and how they are called: that they grow is no news, that they shrink is.
fn is_log(path: &[u8]) -> bool {
    path.starts_with(b"/var/log/") || path.ends_with(b".log")
}
