//! Versions that a restoration needs: planned ones, and those of actions that may still be undone. They are never pruned.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use chrono::TimeDelta;

use super::versions::{Origin, Version, fits, prune};
use super::{AccessCopies, AccessError, Present, on, text};
use crate::watchdog;
use bartizan_model::{HostText, Timestamp};
use bartizan_sys::digest::read_bounded;
use bartizan_sys::replace_file::{self, Outlives};

/// How long a planned restoration may take until it begins.
const PLANNED: TimeDelta = TimeDelta::hours(1);
/// How long a version is held beyond the end of its action, which may be late.
const LATE: TimeDelta = TimeDelta::hours(1);
/// Longest note that is read, in bytes: four paths.
const LONGEST_NOTE: u64 = 4 * 4096 + 64;

/// What actions under way need, as their notes say: paths, and names of contents.
#[derive(Debug)]
pub(super) struct Needed(BTreeSet<(Vec<u8>, Vec<u8>)>);

impl Needed {
    /// Whether this version is held.
    pub(super) fn has(&self, version: &Version, now: Timestamp) -> bool {
        version.held_until.is_some_and(|until| until > now)
            || self.0.contains(&(version.path.as_bytes().to_vec(), version.hash().as_bytes().to_vec()))
    }

    fn names(&self, path: &HostText) -> bool {
        self.0.iter().any(|(known, _)| known == path.as_bytes())
    }
}

/// One more version of the file, in the place of one that is the same: its name.
pub(super) fn add_to(versions: &mut Vec<Version>, name: &HostText, present: &Present, origin: Origin, now: Timestamp) -> String {
    if origin != Origin::Watched {
        versions.retain(|version| version.path != *name || version.origin != origin || !version.is_of(present));
    }
    let new = Version::new(name.clone(), present, now, origin, versions.iter().filter(|version| version.path == *name));
    let copy = new.copy.clone();
    versions.push(new);
    copy
}

impl AccessCopies {
    /// What the notes beside us tell of.
    pub(super) fn needed(&self) -> Needed {
        let data = self.dir.parent().unwrap_or(Path::new("/"));
        let notes = watchdog::lasting_notes(data).into_iter().filter_map(|note| read_bounded(&note, LONGEST_NOTE).ok());
        Needed(notes.filter_map(|note| named(&note)).collect())
    }

    /// Keeps what a restoration would put in place and what it would replace, whole or not at all: the former version's name.
    pub(super) fn plan(
        &self,
        path: &Path,
        was: &Present,
        replaced: Option<(Present, Origin)>,
        now: Timestamp,
    ) -> Result<String, AccessError> {
        let store = || on("keep a copy of", path);
        let _alone = self.lock().map_err(store())?;
        let mut versions = self.versions().map_err(store())?;
        let name = text(path);
        let copy = add_to(&mut versions, &name, was, Origin::Baseline, now);
        let mut mine = vec![copy.clone()];
        mine.extend(replaced.as_ref().map(|(present, origin)| {
            let newest = versions.iter().rev().find(|version| version.path == name && version.origin == *origin);
            let same = newest.filter(|newest| *origin == Origin::Watched && newest.is_of(present)).map(|newest| newest.copy.clone());
            same.unwrap_or_else(|| add_to(&mut versions, &name, present, *origin, now))
        }));
        let own = versions.iter_mut().filter(|version| version.path == name && mine.contains(&version.copy));
        own.for_each(|version| version.held_until = version.held_until.max(Some(now + PLANNED)));
        let needed = self.needed();
        prune(&mut versions, &|version| needed.has(version, now));
        fits(&versions)?;
        for present in replaced.iter().map(|(present, _)| present).chain([was]) {
            replace_file::replace(&self.dir.join(&present.hash), &present.content, 0o600, Outlives::Power).map_err(store())?;
        }
        self.write_index(&versions).map_err(store())?;
        self.remove_unnamed(&versions);
        Ok(copy)
    }

    /// An action puts this copy in place of the file and may be undone until then: the copy and what it replaces stay.
    ///
    /// # Errors
    /// When the index cannot be read or written.
    pub fn hold(&self, path: &HostText, copy: &str, replaced: Option<&Present>, until: Timestamp) -> Result<(), AccessError> {
        let held = |version: &Version| version.copy == copy || replaced.is_some_and(|present| version.is_of(present));
        self.set_held(path, &|version| if held(version) { Some(until + LATE) } else { version.held_until })
    }

    /// No restoration of this file is planned or under way any more; while another one is, what is held stays so.
    ///
    /// # Errors
    /// When the index cannot be read or written.
    pub fn release(&self, path: &HostText) -> Result<(), AccessError> {
        if self.needed().names(path) {
            return Ok(());
        }
        self.set_held(path, &|_| None)
    }

    fn set_held(&self, path: &HostText, set: &dyn Fn(&Version) -> Option<Timestamp>) -> Result<(), AccessError> {
        let store = || on("write down what is held in", &self.dir);
        let _alone = self.lock().map_err(store())?;
        let mut versions = self.versions().map_err(store())?;
        let mut changed = false;
        for version in versions.iter_mut().filter(|version| version.path == *path) {
            let held = set(version);
            changed |= held != version.held_until;
            version.held_until = held;
        }
        if changed { self.write_index(&versions).map_err(store()) } else { Ok(()) }
    }
}

/// The path and the content that a note tells of: `file`, directory, name, former name, file of the copy (config/expire/file.sh).
fn named(note: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let lines: Vec<&[u8]> = note.split(|byte| *byte == b'\n').collect();
    let [b"file", directory, name, _, copy, ..] = lines.as_slice() else { return None };
    let path = Path::new(OsStr::from_bytes(directory)).join(OsStr::from_bytes(name));
    Some((path.as_os_str().as_bytes().to_vec(), Path::new(OsStr::from_bytes(copy)).file_name()?.as_bytes().to_vec()))
}
