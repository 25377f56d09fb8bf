//! Who changes what a file allows: set-user-id and set-group-id bits, capabilities, write access for everybody, owners of parts of
//! the system, times set back; on every file system at once, whatever the path, the descriptor or the system call.
//!
//! The kernel tells afterwards and without names: what counts is what the file is then, compared with what it was when it was last
//! seen. So nobody can change an argument behind our back, and nobody waits for us.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::attribute_memory::{AttributeMemory, walk};
use super::attribution::Attribution;
use super::file_class::FileClasses;
use super::gather::{emit, patience};
use super::pace::Turn;
use super::{Collector, CollectorError, Sink, Stop};
use bartizan_model::{EventKind, FileAttributes, FileChange, FileChangeKind, FileClass, HostText, Loss, ServiceRole, Source, Timestamp};
use bartizan_sys::attribute_watch::{AttributeWatch, Changed};
use bartizan_sys::file_attributes::Seen;
use bartizan_sys::file_watch::Toucher;
use bartizan_sys::process_start;

/// The hop's name in loss counts.
const HOP: &str = "fanotify-attributes";
/// Between two looks: what one process does to one file meanwhile is one change, and costs those who do it least.
const NAP: Duration = Duration::from_millis(20);
/// Most reported a second, of root's files and of all others: who is not root uses up nothing of the first. Of more, what matters is found by
/// comparison ([`WALK`]), and is no loss: otherwise anybody who changes many files of their own would make all evidence incomplete.
const MAX_PER_SECOND: u64 = 1000;
/// After changes were missed or left out, what is remembered is compared with what is; least time from one such walk to the next.
const WALK: Duration = Duration::from_secs(10);
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
    /// Device and inode.
    file: (u32, u64),
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
        (!changes.is_empty()).then_some(Found { file, path, class, changes, before, now, by })
    }

    /// What changed while the kernel's queue was full, by whom is not known: of what is remembered, and of what was made since.
    fn missed(&self, memory: &mut AttributeMemory, since: Timestamp) -> Vec<Found> {
        let mut found = Vec::new();
        walk(&self.classes, &mut |path, seen, now| {
            let known = memory.get(seen.file);
            let fresh = seen.born.is_some_and(|born| born >= since);
            // Of an old file nothing is remembered when there was no room: it may always have been so.
            if known == Some(now) || known.is_none() && !fresh {
                return;
            }
            // Of a fresh one what is remembered may be that of another file, whose inode it got; and a package may have brought it, time
            // and all.
            let (before, class) = (known.filter(|_| !fresh), self.classes.of(path));
            let mut changes = changes(&seen, before, &now, class);
            changes.retain(|change| !fresh || *change != FileChangeKind::Backdated);
            memory.put(seen.file, now);
            if !changes.is_empty() {
                found.push(Found { file: seen.file, path: path.to_owned(), class, changes, before, now, by: None });
            }
        });
        found
    }

    fn report(&self, found: &Found, until: Instant, sink: &dyn Sink) {
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
        let since = chrono::Utc::now();
        let mut memory = AttributeMemory::of(&self.classes);
        let (mut second, mut reported) = (Instant::now(), [0; 2]);
        let mut walks = Turn::every(WALK);
        while !stop.is_set() {
            watch.follow_mounts();
            let mut batch = if walks.is_due(Instant::now()) { self.missed(&mut memory, since) } else { Vec::new() };
            if watch.wait(Stop::LOOK).map_err(|why| broken("waiting", why))? {
                std::thread::sleep(NAP);
            } else if batch.is_empty() {
                continue;
            }
            let drained =
                watch.drain(&mut |changed| batch.extend(self.judge(changed, &mut memory))).map_err(|why| broken("reading", why))?;
            if drained.overflow {
                walks.ask();
            }
            if second.elapsed() >= Duration::from_secs(1) {
                (second, reported) = (Instant::now(), [0; 2]);
            }
            let (until, mut left_out) = (patience(), 0);
            for found in batch {
                let [of_root, of_others] = &mut reported;
                let reported = if found.now.uid == 0 { of_root } else { of_others };
                if *reported >= MAX_PER_SECOND {
                    memory.put_back(found.file, found.before);
                    left_out += 1;
                } else {
                    *reported += 1;
                    self.report(&found, until, sink);
                }
            }
            if left_out > 0 {
                walks.ask();
            }
            sink.account(HOP, drained.received, left_out + u64::from(drained.overflow));
            if drained.overflow {
                emit(sink, EventKind::Loss { loss: Loss::new(HOP, 1) }, None, Source::Agent, false);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::test_bench::{at, tree};
    use super::*;

    #[test]
    fn what_changed_while_the_queue_was_full_is_found_by_comparison() {
        let root = tree(&["etc", "usr/bin"]);
        let make = |name: &str, mode: u32| {
            std::fs::write(at(&root, name), "x").unwrap();
            std::fs::set_permissions(at(&root, name), std::fs::Permissions::from_mode(mode)).unwrap();
        };
        ["usr/bin/tool", "usr/bin/same", "usr/bin/su", "etc/settings"].into_iter().for_each(|name| make(name, 0o755));
        make("usr/bin/su", 0o4755);
        let attributes = Attributes::new(root.path(), Attribution::by(|_| None));
        let mut memory = AttributeMemory::of(&attributes.classes);
        let since = chrono::Utc::now();
        std::thread::sleep(Duration::from_millis(20));
        make("usr/bin/tool", 0o4755);
        make("usr/bin/new", 0o4755);
        make("etc/settings", 0o666);
        // As a package manager unpacks it.
        make("usr/bin/unpacked", 0o755);
        let old = std::time::SystemTime::UNIX_EPOCH;
        std::fs::File::options().write(true).open(at(&root, "usr/bin/unpacked")).unwrap().set_modified(old).unwrap();
        let found = |memory: &mut AttributeMemory| {
            let mut found: Vec<(String, Vec<FileChangeKind>)> = Vec::new();
            let missed = attributes.missed(memory, since);
            found.extend(missed.into_iter().map(|found| (found.path.file_name().unwrap().to_string_lossy().into_owned(), found.changes)));
            found.sort_by(|one, other| one.0.cmp(&other.0));
            found
        };
        let wanted = [
            ("new".to_owned(), vec![FileChangeKind::SetId]),
            ("settings".to_owned(), vec![FileChangeKind::WorldWritable]),
            ("tool".to_owned(), vec![FileChangeKind::SetId]),
        ];
        assert_eq!(found(&mut memory), wanted);
        assert_eq!(found(&mut memory), [], "told once");
        // Nothing is remembered of what lay there before: no change of it is made up.
        assert_eq!(found(&mut AttributeMemory::default()), [wanted[0].clone()]);
    }
}
