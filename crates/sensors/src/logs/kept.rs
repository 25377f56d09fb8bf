//! What is kept of sources over restarts: which file was read how far, known by its inode and by how it begins, and the counts up to there.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use bartizan_model::{HostText, LogSource};
use bartizan_sys::plain_file;
use bartizan_worker::Position;

/// Bytes by whose hash a file is known again.
const HEAD: usize = 1024;
/// Names of a directory that are looked through for a file that was renamed or copied.
pub(super) const NAMES: usize = 4096;
/// Sources that are kept.
pub(super) const SOURCES: usize = 256;
/// Of these, such as are not followed any more.
pub(super) const LEFT: usize = 32;

/// How a file begins: as much of its first kilobyte as there was when it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Head {
    length: usize,
    hash: String,
}

impl Head {
    /// As it begins now.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        let (hash, length) = plain_file::beginning(file, HEAD)?;
        Ok(Self { length, hash })
    }

    /// Whether more of the beginning may be there by now.
    pub(super) fn is_short(&self) -> bool {
        self.length < HEAD
    }

    /// Nothing was there: so every file begins.
    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Whether this file begins so. An empty beginning is everybody's.
    pub(super) fn begins(&self, file: &File) -> io::Result<bool> {
        if self.length == 0 {
            return Ok(true);
        }
        let (hash, length) = plain_file::beginning(file, self.length.min(HEAD))?;
        Ok(length == self.length && hash == self.hash)
    }
}

/// One file, and how far it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptFile {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) head: Head,
    pub(super) position: Position,
    /// It lost its name and is done with; remembered in case that it is given the name again.
    #[serde(default)]
    pub(super) done: bool,
}

impl KeptFile {
    /// Whether it has this inode.
    pub(super) fn is_inode(&self, found: &Metadata) -> bool {
        found.dev() == self.device && found.ino() == self.inode
    }

    /// Whether this is the file, or one that holds all that was read of it: then it can be read on from there.
    pub(super) fn is_in(&self, file: &File, size: u64) -> bool {
        size >= self.position.offset && self.head.begins(file).unwrap_or_default()
    }

    /// The file under another name beside `path`: renamed (the same inode), or copied before it was cut short.
    pub(super) fn find(&self, path: &Path) -> Option<(File, Metadata)> {
        let stem = path.file_stem()?;
        let entries = std::fs::read_dir(path.parent()?).ok()?.take(NAMES).flatten();
        let beside = entries.map(|entry| entry.path()).filter(|other| other.as_path() != path);
        let mut candidates: Vec<_> = beside.filter_map(|other| Some((std::fs::symlink_metadata(&other).ok()?, other))).collect();
        let akin = |other: &Path| !self.head.is_empty() && other.file_name().is_some_and(|name| starts_with(name, stem));
        candidates.retain(|(found, other)| found.is_file() && (self.is_inode(found) || akin(other)));
        // The same inode first, then the newest.
        candidates.sort_by_key(|(found, _)| (!self.is_inode(found), std::cmp::Reverse(found.mtime())));
        candidates.into_iter().find_map(|(_, other)| {
            let (file, found) = plain_file::open(&other).ok()?;
            self.is_in(&file, found.len()).then_some((file, found))
        })
    }
}

fn starts_with(name: &std::ffi::OsStr, stem: &std::ffi::OsStr) -> bool {
    use std::os::unix::ffi::OsStrExt;
    name.as_bytes().starts_with(stem.as_bytes())
}

/// One source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptSource {
    pub(super) name: HostText,
    /// When it was kept, in seconds since 1970; 0 by a version that did not say.
    #[serde(default)]
    pub(super) at: i64,
    /// The oldest first: those that are done with, renamed ones that may still be written to, and the one that has the name.
    pub(super) files: Vec<KeptFile>,
    /// Of a journal.
    pub(super) cursor: Option<String>,
    /// Until when a journal was read, in microseconds since 1970 by our clock.
    #[serde(default)]
    pub(super) until: Option<i64>,
    pub(super) lines: u64,
    pub(super) parsed: u64,
    pub(super) unparsed: u64,
    pub(super) cut: u64,
    pub(super) records: u64,
    #[serde(default)]
    pub(super) skipped: u64,
    pub(super) set_aside_count: u64,
}

impl KeptSource {
    /// As the row of a source is now.
    pub(super) fn of(row: &LogSource) -> Self {
        let LogSource { lines, parsed, unparsed, cut, records, skipped, set_aside_count, .. } = *row;
        let at = chrono::Utc::now().timestamp();
        let (name, files, cursor, until) = (row.name.clone(), Vec::new(), None, None);
        Self { name, at, files, cursor, until, lines, parsed, unparsed, cut, records, skipped, set_aside_count }
    }
}

/// All sources, from the text that was kept; what cannot be read is as if nothing had been.
pub(super) fn load(text: Option<&str>) -> Vec<KeptSource> {
    let all: Vec<KeptSource> = text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    all.into_iter().take(SOURCES).collect()
}

/// Leaves the newest of those that are not followed any more.
pub(super) fn age(left: &mut Vec<KeptSource>, most: usize) {
    left.sort_by_key(|kept| kept.at);
    let surplus = left.len().saturating_sub(most);
    left.drain(..surplus);
}

/// The text to keep.
pub(super) fn save(sources: &[KeptSource]) -> String {
    serde_json::to_string(sources).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_sources_that_are_not_followed_any_more_the_newest_are_kept() {
        let of = |at: i64| KeptSource {
            at,
            ..KeptSource::of(&super::super::row::row(format!("docker:{at}").as_str().into(), "docker".to_owned(), None))
        };
        // Those of an earlier run come first in the text that it kept, and are the newest.
        let mut left: Vec<_> = (100..140).chain(0..60).map(of).collect();
        age(&mut left, LEFT);
        assert_eq!(left.iter().map(|kept| kept.at).collect::<Vec<_>>(), (108..140).collect::<Vec<_>>());
    }
}
