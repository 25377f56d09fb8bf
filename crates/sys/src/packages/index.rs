//! Path to package in 8 bytes a path: a keyed hash and the package's number.

use std::hash::{BuildHasher, RandomState};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use bartizan_model::HostText;

/// The index is never larger, in bytes, package names apart.
pub(super) const BYTES: usize = 4 << 20;
/// Packages numbered.
const PACKAGES: usize = 1 << PACKAGE_BITS;
/// The lower bits of an entry are the package's number, the others the hash: a wrong owner once in 10^8 look-ups of a full
/// index. The hash has a random key, so that nobody can choose a path that collides.
const PACKAGE_BITS: u32 = 16;

/// Below these no program lies; they are half of all paths.
const NO_PROGRAMS: [&[u8]; 6] =
    [b"/usr/share/doc/", b"/usr/share/man/", b"/usr/share/locale/", b"/usr/share/icons/", b"/usr/include/", b"/usr/share/zoneinfo/"];

/// When each database changed last.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stamp(Vec<Option<(i64, i64, u64)>>);

impl Stamp {
    /// The present one of these files and directories; `None` when none is there.
    pub(super) fn of(databases: &[PathBuf]) -> Option<Self> {
        let moment = |place: &PathBuf| place.metadata().map(|meta| (meta.mtime(), meta.mtime_nsec(), meta.ino())).ok();
        let moments: Vec<_> = databases.iter().map(moment).collect();
        moments.iter().any(Option::is_some).then_some(Self(moments))
    }
}

/// Which package owns which path.
#[derive(Debug, Default)]
pub(super) struct Index {
    key: RandomState,
    entries: Vec<u64>,
    packages: Vec<HostText>,
    left_out: u64,
}

impl Index {
    /// Whose paths follow; `None` when there is no number left.
    pub(super) fn package(&mut self, name: &[u8]) -> Option<u64> {
        if self.packages.len() >= PACKAGES {
            self.left_out += 1;
            return None;
        }
        self.packages.push(HostText::from(name));
        Some(self.packages.len() as u64 - 1)
    }

    /// One path, beginning with `/`, of this package.
    pub(super) fn path(&mut self, path: &[u8], package: u64) {
        if NO_PROGRAMS.iter().any(|place| path.starts_with(place)) {
            return;
        }
        if self.entries.len() >= BYTES / size_of::<u64>() {
            self.left_out += 1;
            return;
        }
        self.entries.push(self.hash(path) << PACKAGE_BITS | package);
    }

    /// To be called once, after the last path.
    pub(super) fn sort(&mut self) {
        self.entries.sort_unstable();
        self.entries.shrink_to_fit();
    }

    /// Who owns this path.
    pub(super) fn owner(&self, path: &[u8]) -> Option<HostText> {
        let hash = self.hash(path) << PACKAGE_BITS;
        let at = self.entries.partition_point(|entry| *entry < hash);
        let entry = self.entries.get(at).filter(|entry| **entry >> PACKAGE_BITS == hash >> PACKAGE_BITS)?;
        let number = usize::try_from(entry & (PACKAGES as u64 - 1)).ok()?;
        self.packages.get(number).cloned()
    }

    /// Paths and packages for which there was no room.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<u64>()
    }

    fn hash(&self, path: &[u8]) -> u64 {
        self.key.hash_one(path) >> PACKAGE_BITS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_counted() {
        let mut index = Index::default();
        let package = index.package(b"p").unwrap();
        for number in 0..(BYTES / 8 + 7) {
            index.path(format!("/usr/bin/{number}").as_bytes(), package);
        }
        index.sort();
        assert_eq!((index.left_out(), index.bytes()), (7, BYTES));
        assert_eq!(index.owner(b"/usr/bin/77"), Some("p".into()));
        assert_eq!(index.owner(b"/usr/bin/x"), None);
    }
}
