//! What a scan found.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde::Serialize;

use super::counter::Counter;
use super::roots::covers;
use super::rows::Rows;
use super::visit::Found;
use bartizan_integrity::{Change, Entry, Finding, What, pair_moves};
use bartizan_model::HostText;
use bartizan_store::{BaselineVersion, StoreError};

/// Changes, touched and skipped paths that are kept of each; more changes are counted.
const MAX_KEPT: usize = 50_000;
/// Why a file that the YARA rules gave up on counts as not looked into.
pub(super) const GAVE_UP: &str = "the YARA rules were not done with it in time: not judged by all of them";

/// Something that was not looked into, and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Skipped {
    /// Which path.
    pub path: HostText,
    /// Why, for a person.
    pub why: String,
    /// It is left out by design, and the baseline knows nothing of it: a scan without it is whole.
    pub meant: bool,
}

/// A file that is new or changed and whose content is dangerous.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Danger {
    /// Which path.
    pub path: HostText,
    /// What is wrong with it.
    #[serde(flatten)]
    pub finding: Finding,
}

/// A long file of which only the ends were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LongFound {
    pub(super) path: HostText,
    /// As the baseline knows it.
    pub(super) before: Option<Entry>,
    /// As it is, without its content.
    pub(super) now: Entry,
    /// BLAKE3 of its two ends; `None`: nothing of it could be read.
    pub(super) ends: Option<[u8; 32]>,
}

/// What a scan found.
#[derive(Debug)]
pub struct Report {
    /// What was looked at.
    pub roots: Vec<HostText>,
    /// Against which version; `None` when there was none.
    pub against: Option<BaselineVersion>,
    /// The version that was made, and its seal.
    pub made: Option<(BaselineVersion, String)>,
    /// Names looked at that are no directories.
    pub files: u64,
    /// Directories looked into.
    pub directories: u64,
    /// Bytes in those files.
    pub bytes: u64,
    /// Files whose content was read, because their metadata was new.
    pub read_files: u64,
    /// Bytes read.
    pub read_bytes: u64,
    /// New and changed files whose content is dangerous, by path.
    pub dangers: Vec<Danger>,
    /// What is another than it was, by path; renames are one change.
    pub changes: Vec<Change>,
    /// Changes beyond those: only counted.
    pub more_changes: u64,
    /// Files of which only the change time is later: put back, or linked and unlinked.
    pub touched: Vec<HostText>,
    /// Logs that grew and whose beginning is as it was.
    pub grown: u64,
    /// Long files of which only the ends were read, and that were left for another look.
    pub(super) long: Vec<LongFound>,
    /// New and changed files too long to be judged whole: their ends were.
    pub(super) by_ends: Vec<HostText>,
    /// Files with which the YARA rules were not done in time.
    pub(super) gave_up: Vec<HostText>,
    /// What was not looked into.
    pub skipped: Vec<Skipped>,
    /// Texts that were not stored for lack of room: how they change cannot be shown line by line.
    pub not_kept: u64,
    /// How long it took.
    pub took: Duration,
}

impl Report {
    /// Whether all was looked at and all changes are told.
    pub fn is_complete(&self) -> bool {
        self.unchecked() == 0 && self.more_changes == 0
    }

    /// Paths that could not be checked.
    pub fn unchecked(&self) -> usize {
        self.skipped.iter().filter(|one| !one.meant).count()
    }

    /// Whether something differs at this path or below.
    pub fn differs_at(&self, root: &HostText) -> bool {
        let mut paths = self.changes.iter().flat_map(|change| {
            let from = if let What::Moved { from } = &change.what { Some(from) } else { None };
            from.into_iter().chain([&change.path])
        });
        paths.any(|path| covers(root, path)) || self.touched.iter().any(|path| covers(root, path))
    }
}

/// What was found until now.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    dangers: Vec<Danger>,
    changes: Vec<Change>,
    more_changes: u64,
    touched: Vec<HostText>,
    grown: u64,
    long: Vec<LongFound>,
    by_ends: Vec<HostText>,
    gave_up: Vec<HostText>,
    skipped: Vec<Skipped>,
}

impl Gathered {
    /// One more finding; rows and contents go to the new version.
    pub(super) fn take(&mut self, found: Found, rows: Option<&mut Rows<'_>>) -> Result<(), StoreError> {
        match found {
            // What is dangerous comes just before its change, which must not be among those left out.
            Found::Change(change)
                if self.changes.len() < MAX_KEPT || self.dangers.iter().rev().take(64).any(|one| one.path == change.path) =>
            {
                self.changes.push(*change);
            }
            Found::Change(_) => self.more_changes += 1,
            Found::Touched(path) => self.touched.extend((self.touched.len() < MAX_KEPT).then_some(path)),
            Found::Danger(danger) => self.dangers.extend((self.dangers.len() < MAX_KEPT).then_some(danger)),
            Found::Long(long) => self.long.extend((self.long.len() < MAX_KEPT).then_some(*long)),
            Found::ByEnds(path) => self.by_ends.extend((self.by_ends.len() < MAX_KEPT).then_some(path)),
            Found::GaveUp(path) => {
                self.gave_up.extend((self.gave_up.len() < MAX_KEPT).then(|| path.clone()));
                let skipped = Skipped { path, why: GAVE_UP.to_owned(), meant: false };
                self.skipped.extend((self.skipped.len() < MAX_KEPT).then_some(skipped));
            }
            Found::Grown => self.grown += 1,
            Found::Skipped(skipped) => self.skipped.extend((self.skipped.len() < MAX_KEPT).then_some(skipped)),
            Found::Row { path, entries, only } => rows.map_or(Ok(()), |rows| rows.put(&path, entries, only.as_deref()))?,
            Found::Content(hash, content) => rows.map_or(Ok(()), |rows| rows.keep(&hash, &content))?,
            Found::Trouble(why) => return Err(why),
        }
        Ok(())
    }

    /// All of it, sorted, with what was counted.
    pub(super) fn report(mut self, roots: Vec<HostText>, against: Option<BaselineVersion>, counter: &Counter, took: Duration) -> Report {
        self.dangers.sort_by(|one, two| one.path.cmp(&two.path));
        self.touched.sort();
        self.skipped.sort();
        Report {
            roots,
            against,
            made: None,
            files: counter.files.load(Relaxed),
            directories: counter.directories.load(Relaxed),
            bytes: counter.bytes.load(Relaxed),
            read_files: counter.read_files.load(Relaxed),
            read_bytes: counter.read_bytes.load(Relaxed),
            dangers: self.dangers,
            changes: pair_moves(self.changes),
            more_changes: self.more_changes,
            touched: self.touched,
            grown: self.grown,
            long: self.long,
            by_ends: self.by_ends,
            gave_up: self.gave_up,
            skipped: self.skipped,
            not_kept: 0,
            took,
        }
    }
}
