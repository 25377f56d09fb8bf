//! Who changes what a file allows: set-user-id and set-group-id bits, capabilities, write access for everybody, owners of parts of
//! the system, times set back; on every file system at once, whatever the path, the descriptor or the system call.
//!
//! The kernel tells afterwards and without names: what counts is what the file is then, compared with what it was when it was last
//! seen. So nobody can change an argument behind our back, and nobody waits for us.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::attribute_memory::AttributeMemory;
use super::attribution::Attribution;
use super::file_class::FileClasses;
use super::gather::{emit, patience};
use super::{Collector, CollectorError, Sink, Stop};
use bartizan_model::{EventKind, FileAttributes, FileChange, FileChangeKind, FileClass, HostText, Loss, ServiceRole, Source};
use bartizan_sys::attribute_watch::{AttributeWatch, Changed};
use bartizan_sys::file_attributes::Seen;
use bartizan_sys::file_watch::Toucher;
use bartizan_sys::process_start;

/// The hop's name in loss counts.
const HOP: &str = "fanotify-attributes";
/// Between two looks: what one process does to one file meanwhile is one change, and costs those who do it least.
const NAP: Duration = Duration::from_millis(20);
/// Most told a second; more are counted as lost.
const MAX_PER_SECOND: u64 = 1000;
/// A file that is younger than this was made just now.
const NEW: chrono::TimeDelta = chrono::TimeDelta::minutes(10);
/// A time set back by less is a clock that was set, or a copy that keeps the time of a moment ago.
const BACK: chrono::TimeDelta = chrono::TimeDelta::seconds(60);

/// Watches the attributes of all files.
pub struct Attributes {
    classes: FileClasses,
    who: Attribution,
}

/// A change that is worth telling, before it is known whose.
struct Found {
    path: PathBuf,
    class: Option<FileClass>,
    changes: Vec<FileChangeKind>,
    before: Option<FileAttributes>,
    now: FileAttributes,
    by: Option<Toucher>,
}

impl Attributes {
    /// With this process table; what kind a file is, is told by its place below `root`.
    pub fn new(root: &Path, who: Attribution) -> Self {
        Self { classes: FileClasses::under(root), who }
    }

    fn judge(&self, changed: &Changed, memory: &mut AttributeMemory) -> Option<Found> {
        let (seen, file) = (&changed.seen, changed.seen.file);
        if !seen.regular && !seen.directory {
            return None;
        }
        let before = memory.get(file);
        let mut now = seen.attributes;
        let runs = seen.regular && now.mode & 0o111 != 0;
        now.capabilities = if runs { changed.capabilities() } else { None };
        // Most of what changes is nobody's business: its path is not even asked for.
        let telling = before.is_some() || set_id(seen, &now) || now.capabilities.is_some() || now.mode & 0o002 != 0 || is_aged(seen);
        if !telling {
            return None;
        }
        let path = changed.path()?;
        let class = self.classes.of(&path);
        let changes = changes(seen, before, &now, class);
        if class.is_some() || set_id(seen, &now) || now.capabilities.is_some() {
            memory.put(file, now);
        }
        let by = changed.pid.map(|pid| Toucher { pid, start: process_start::just_now(pid) });
        (!changes.is_empty()).then_some(Found { path, class, changes, before, now, by })
    }

    fn tell(&self, found: &Found, until: Instant, sink: &dyn Sink) {
        let (process, complete) = self.who.of(found.by, until);
        // Packages bring the times of their files with them.
        let unpacks = process.as_deref().is_some_and(|process| process.lineage.root(ServiceRole::PackageManager).is_some());
        for change in found.changes.iter().filter(|change| !(unpacks && **change == FileChangeKind::Backdated)) {
            let file = FileChange {
                class: found.class,
                attributes_before: found.before,
                attributes: Some(found.now),
                ..FileChange::new(HostText::from(found.path.as_os_str().as_encoded_bytes()), *change)
            };
            emit(sink, EventKind::FileChange { file }, process.clone(), Source::Fanotify, complete);
        }
    }
}

/// Whether whoever runs it gets the rights of its owner or its group. On a directory, and without execution by the group
/// (mandatory locks, once), the bits mean something else.
fn set_id(seen: &Seen, now: &FileAttributes) -> bool {
    seen.regular && (now.mode & 0o4000 != 0 || now.mode & 0o2010 == 0o2010)
}

/// Whether it was made just now and its content is said to be older.
fn is_aged(seen: &Seen) -> bool {
    seen.regular && seen.born.is_some_and(|born| chrono::Utc::now() - born < NEW && seen.attributes.modified + BACK < born)
}

/// What happened to a file, from what it was and what it is.
fn changes(seen: &Seen, before: Option<FileAttributes>, now: &FileAttributes, class: Option<FileClass>) -> Vec<FileChangeKind> {
    let differs = |of: fn(&FileAttributes) -> u64| before.is_none_or(|before| of(&before) != of(now));
    let part_of_system = class == Some(FileClass::System);
    let mut changes = Vec::new();
    if set_id(seen, now) && differs(|file| u64::from(file.mode & 0o6000) << 32 | u64::from(file.uid)) {
        changes.push(FileChangeKind::SetId);
    }
    if now.capabilities.is_some() && differs(|file| file.capabilities.unwrap_or_default()) {
        changes.push(FileChangeKind::Capabilities);
    }
    let open_to_all = now.mode & 0o002 != 0 && (seen.regular || now.mode & 0o1000 == 0);
    if open_to_all && class.is_some() && differs(|file| u64::from(file.mode & 0o002)) {
        changes.push(FileChangeKind::WorldWritable);
    }
    let set_back = match before {
        Some(before) => now.modified + BACK < before.modified,
        None => is_aged(seen),
    };
    if set_back && class.is_some_and(|class| matches!(class, FileClass::System | FileClass::Log | FileClass::ShellHistory)) {
        changes.push(FileChangeKind::Backdated);
    }
    let owned_otherwise = before.is_some_and(|before| (before.uid, before.gid) != (now.uid, now.gid));
    let looser = before.is_some_and(|before| now.mode & 0o777 & !before.mode != 0);
    if changes.is_empty() && part_of_system && (owned_otherwise || looser) {
        changes.push(FileChangeKind::Attributes);
    }
    changes
}

impl Collector for Attributes {
    fn name(&self) -> &'static str {
        "attributes"
    }

    fn run(&mut self, sink: &dyn Sink, stop: &Stop) -> Result<(), CollectorError> {
        let broken = |what: &str, why: std::io::Error| CollectorError {
            what: format!("attributes of files: {what}"),
            why: why.to_string(),
            mend: "run as root on Linux 5.1 or later".to_owned(),
        };
        let mut watch = match AttributeWatch::open() {
            Ok(watch) => watch,
            // Said among the blind spots; nothing to do until the next start.
            Err(why) => {
                tracing::warn!(%why, "attributes of files cannot be watched");
                while !stop.is_set() {
                    stop.sleep(Stop::LOOK);
                }
                return Ok(());
            }
        };
        let mut memory = AttributeMemory::of(&self.classes);
        let (mut second, mut told) = (Instant::now(), 0);
        while !stop.is_set() {
            watch.follow_mounts();
            if !watch.wait(Stop::LOOK).map_err(|why| broken("waiting", why))? {
                continue;
            }
            std::thread::sleep(NAP);
            let mut batch = Vec::new();
            let drained =
                watch.drain(&mut |changed| batch.extend(self.judge(changed, &mut memory))).map_err(|why| broken("reading", why))?;
            if second.elapsed() >= Duration::from_secs(1) {
                (second, told) = (Instant::now(), 0);
            }
            let (until, mut lost) = (patience(), u64::from(drained.overflow));
            for found in batch {
                if told >= MAX_PER_SECOND {
                    lost += 1;
                } else {
                    told += 1;
                    self.tell(&found, until, sink);
                }
            }
            sink.account(HOP, drained.received, lost);
            if lost > 0 {
                emit(sink, EventKind::Loss { loss: Loss::new(HOP, lost) }, None, Source::Agent, false);
            }
        }
        Ok(())
    }
}
