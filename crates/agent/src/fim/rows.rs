//! The rows of a new version of the baseline: what the roots held before goes, what was found comes.

use super::counter::Progress;
use super::excluded::Excluded;
use super::roots::joined;
use super::scan::Writing;
use bartizan_integrity::{Content, Entry, Kind, decode, encode};
use bartizan_model::HostText;
use bartizan_store::{Baseline, BaselineReader, BaselineVersion, NewVersion, Rewrite, StoreError};

/// A new version under way.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    rewrite: Rewrite<'a>,
    /// Files and bytes that the roots held before.
    before: (u64, u64),
    /// Texts for which there was no room.
    not_kept: u64,
}

impl<'a> Rows<'a> {
    /// Takes out what is below these roots.
    pub(super) fn begin(baseline: &'a Baseline, roots: &[HostText]) -> Result<Self, StoreError> {
        let before = totals(&baseline.reader()?, roots)?;
        let mut rewrite = baseline.rewrite()?;
        roots.iter().try_for_each(|root| rewrite.remove_below(root.as_bytes()))?;
        // Those of files that are read now come again.
        rewrite.forget_contents(&contents)?;
        Ok(Self { rewrite, before, not_kept: 0 })
    }

    /// How many texts were not kept for lack of room.
    pub(super) fn not_kept(&self) -> u64 {
        self.not_kept
    }

    /// The row of a directory, or one name of it.
    pub(super) fn put(&mut self, path: &[u8], mut entries: Vec<Entry>, only: Option<&[u8]>) -> Result<(), StoreError> {
        if let Some(name) = only {
            let others = self.rewrite.directory(path)?.as_deref().map(decode).and_then(Result::ok).unwrap_or_default();
            entries.extend(others.into_iter().filter(|entry| entry.name != name));
        }
        entries.sort_by(|one, two| one.name.cmp(&two.name));
        self.rewrite.put(path, &encode(&entries))
    }

    /// The content of a file, to show and put back later. Where there is no room left, it is not kept, and that is counted.
    pub(super) fn keep(&mut self, hash: &[u8; 32], content: &[u8]) -> Result<(), StoreError> {
        self.not_kept += u64::from(!self.rewrite.keep(hash, content)?);
        Ok(())
    }

    /// Ends the version.
    pub(super) fn commit(
        mut self,
        writing: &Writing,
        against: Option<&BaselineVersion>,
        roots: &[HostText],
        excluded: &Excluded,
        found: &Progress,
    ) -> Result<(BaselineVersion, String), StoreError> {
        let (files, bytes) = against.map_or((0, 0), |version| (version.files, version.bytes));
        let Writing { by, what, at, .. } = writing.clone();
        self.rewrite.forget_contents(&contents)?;
        let mut patterns = excluded.patterns().to_vec();
        patterns.sort();
        patterns.dedup();
        self.rewrite.commit(NewVersion {
            at,
            by,
            what,
            roots: joined(against.map_or(&[][..], |version| &version.roots), roots),
            excluded: patterns,
            files: files.saturating_sub(self.before.0) + found.files,
            bytes: bytes.saturating_sub(self.before.1) + found.bytes,
        })
    }
}

/// The contents that a row names.
fn contents(row: &[u8]) -> Vec<[u8; 32]> {
    let hash = |entry: Entry| if let Content::Hash(hash) = entry.content { Some(hash) } else { None };
    decode(row).unwrap_or_default().into_iter().filter_map(hash).collect()
}

/// Files and bytes that the baseline knows of these roots.
fn totals(reader: &BaselineReader, roots: &[HostText]) -> Result<(u64, u64), StoreError> {
    let (mut files, mut bytes) = (0, 0);
    let mut add = |entry: &Entry| {
        files += u64::from(entry.kind != Kind::Directory);
        bytes += if entry.kind == Kind::File { entry.size } else { 0 };
    };
    for root in roots {
        reader.below(root.as_bytes(), &mut |_, row| decode(row).unwrap_or_default().iter().for_each(&mut add))?;
        let mut parts = root.as_bytes().rsplitn(2, |byte| *byte == b'/');
        let (Some(name), Some(parent)) = (parts.next(), parts.next()) else { continue };
        let parent = if parent.is_empty() { b"/" } else { parent };
        let row = reader.directory(parent)?;
        let entries = row.as_deref().map(decode).and_then(Result::ok).unwrap_or_default();
        entries.iter().filter(|entry| entry.name == name).for_each(&mut add);
    }
    Ok((files, bytes))
}
