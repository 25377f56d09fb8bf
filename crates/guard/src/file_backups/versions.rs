//! One version of one file in the index of copies: what is known of it, how it is named, and which ones are dropped for room.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::AccessError;
use super::present::{Attributes, Present};
use bartizan_model::{HostText, Timestamp};

/// Versions kept of one file that controls access.
pub(super) const MAX_VERSIONS: usize = 64;
/// Bytes kept of all those files together.
pub(super) const MAX_BYTES: u64 = 256 << 20;
/// Versions kept for restorations from the baseline of files: what they put in place, and what they replaced.
pub(super) const MAX_RESTORED: usize = 1024;
/// Bytes of those together: 64 files at once (`fim restore`), each with a MiB put in place and a MiB replaced.
pub(super) const MAX_RESTORED_BYTES: u64 = 128 << 20;

/// Why a version is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Origin {
    /// The file controls access, and every change of it is kept.
    #[default]
    Watched,
    /// The baseline of files knows it so, and a person restores it.
    Baseline,
    /// A restoration from the baseline replaced it.
    Replaced,
}

impl Origin {
    fn is_watched(&self) -> bool {
        *self == Self::Watched
    }
}

/// One version of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Version {
    pub(super) path: HostText,
    /// Its name: BLAKE3 of the content, or, where another version of the file has this content and other metadata, of both.
    pub(super) copy: String,
    /// BLAKE3 of the content, where that is not the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    pub(super) at: Timestamp,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) bytes: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) attributes: Attributes,
    #[serde(default, skip_serializing_if = "Origin::is_watched")]
    pub(super) origin: Origin,
    /// Last change of the content, nanoseconds since 1970, where it is restored too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) modified: Option<i64>,
    /// A restoration that is planned, or not confirmed yet, needs it until then at most, or as long as its note lies there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) held_until: Option<Timestamp>,
}

impl Version {
    /// The next version of a file; `of_file` are the ones before.
    pub(super) fn new<'a>(
        path: HostText,
        present: &Present,
        at: Timestamp,
        origin: Origin,
        mut of_file: impl Iterator<Item = &'a Self>,
    ) -> Self {
        let Present { hash, mode, uid, gid, attributes, content, modified } = present;
        let taken = of_file.any(|version| version.copy == *hash && !version.is_of(present));
        let copy = if taken { named_by_all(present) } else { hash.clone() };
        Self {
            path,
            content: taken.then(|| hash.clone()),
            copy,
            at,
            mode: *mode,
            uid: *uid,
            gid: *gid,
            bytes: content.len() as u64,
            attributes: attributes.clone(),
            origin,
            modified: *modified,
            held_until: None,
        }
    }

    pub(super) fn is_of(&self, present: &Present) -> bool {
        (self.hash(), self.mode, self.uid, self.gid, &self.attributes)
            == (&present.hash, present.mode, present.uid, present.gid, &present.attributes)
    }

    /// BLAKE3 of its content, 64 hex digits: the name of the file that holds it.
    pub(super) fn hash(&self) -> &str {
        self.content.as_ref().unwrap_or(&self.copy)
    }

    /// Whether its names are what we write: they become names of files.
    pub(super) fn is_sound(&self) -> bool {
        let is_hash = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        is_hash(&self.copy) && is_hash(self.hash())
    }
}

/// A name for content and metadata together.
fn named_by_all(present: &Present) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("bartizan file version 1");
    hasher.update(present.hash.as_bytes());
    for number in [present.mode, present.uid, present.gid] {
        hasher.update(&number.to_le_bytes());
    }
    for (name, value) in &present.attributes {
        for bytes in [name.as_bytes(), value] {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        }
    }
    hasher.finalize().to_hex().to_string()
}

/// Drops the oldest beyond the bounds, but none that `held` says are needed by a restoration; of files that control access never the first
/// known version nor the newest either.
pub(super) fn prune(versions: &mut Vec<Version>, held: &dyn Fn(&Version) -> bool) {
    let watched = |version: &Version| version.origin.is_watched();
    let mut count: BTreeMap<HostText, usize> = BTreeMap::new();
    versions.iter().filter(|version| watched(version)).for_each(|version| *count.entry(version.path.clone()).or_default() += 1);
    let mut total: u64 = versions.iter().filter(|version| watched(version)).map(|version| version.bytes).sum();
    let mut met: BTreeSet<HostText> = BTreeSet::new();
    let (mut others, mut others_total) = restored(versions);
    versions.retain(|version| {
        let is_held = held(version);
        if !watched(version) {
            let drop = !is_held && (others > MAX_RESTORED || others_total > MAX_RESTORED_BYTES);
            others -= usize::from(drop);
            others_total -= if drop { version.bytes } else { 0 };
            return !drop;
        }
        let is_first = met.insert(version.path.clone());
        let left = count.entry(version.path.clone()).or_default();
        // `left` counts this one and all that remain; with two left, one is the first and the other the newest.
        let drop = !is_held && !is_first && *left > 2 && (*left > MAX_VERSIONS || total > MAX_BYTES);
        if drop {
            *left -= 1;
            total -= version.bytes;
        }
        !drop
    });
}

/// How many versions restorations left, and their bytes.
fn restored(versions: &[Version]) -> (usize, u64) {
    let others = versions.iter().filter(|version| !version.origin.is_watched());
    others.fold((0, 0), |(count, bytes), version| (count + 1, bytes + version.bytes))
}

/// Whether what restorations need finds room, after pruning.
///
/// # Errors
/// [`AccessError::NoRoom`].
pub(super) fn fits(versions: &[Version]) -> Result<(), AccessError> {
    let (count, bytes) = restored(versions);
    if count <= MAX_RESTORED && bytes <= MAX_RESTORED_BYTES { Ok(()) } else { Err(AccessError::NoRoom) }
}
