//! What the baseline knows of a file becomes a version that can be restored; the restoration itself is an action like any other.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use bartizan_guard::file_backups::{AccessCopies, AccessError, LONGEST, Present};
use bartizan_integrity::{Attribute, Change, Content, Entry, Kind, What};
use bartizan_model::{HostText, Timestamp};
use bartizan_store::{Baseline, BaselineReader, StoreError};
use bartizan_sys::tree::{Folder, Wanted};

/// Why a change is not undone. All texts are safe to show, and are what comes after "PATH: not restored: ".
#[derive(Debug, thiserror::Error)]
pub enum NotRestored {
    /// The baseline does not know it.
    #[error("it is new, and nothing is deleted for that: move it away yourself, or accept it with `bartizan fim approve`")]
    New,
    /// Directories, links, devices.
    #[error("it was a {0}; only regular files can be restored")]
    NotAFile(&'static str),
    /// There is a directory now.
    #[error("it is a {0} now: move it aside first, then restore again")]
    InTheWay(&'static str),
    /// No content.
    #[error("the baseline has its hash but not its content: contents of texts of up to 256 KiB are kept, no private keys")]
    NotKept,
    /// An attribute of which only the hash is kept.
    #[error("its attribute {0} is longer than what the baseline keeps")]
    Attribute(HostText),
    /// Another file is in the way, or somebody else could lead us elsewhere.
    #[error(transparent)]
    Refused(#[from] AccessError),
    /// The baseline cannot be read, or was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl NotRestored {
    /// Whether what would be replaced finds no room: the other files of the same restoration are not restored either.
    pub fn is_without_room(&self) -> bool {
        matches!(self, Self::Refused(AccessError::NoRoom))
    }
}

/// The restoration of this file is not begun, or over: nothing is held for it. What cannot be written down ends after an hour.
pub fn release(data: &Path, path: &HostText) {
    if let Err(error) = AccessCopies::of(data).release(path) {
        tracing::warn!(%error, %path, "versions of a restoration that was not begun are held for an hour");
    }
}

/// Keeps what the baseline knows of a changed file among the file backups of this data directory: which file, and the name of the version.
/// The baseline was verified when the change was found.
///
/// # Errors
/// [`NotRestored`].
pub fn restorable(baseline: &Baseline, data: &Path, change: &Change, now: Timestamp) -> Result<(HostText, String), NotRestored> {
    let before = change.before.as_ref().ok_or(NotRestored::New)?;
    let path = if let What::Moved { from } = &change.what { from } else { &change.path };
    if before.kind != Kind::File {
        return Err(NotRestored::NotAFile(before.kind.noun()));
    }
    if let Some(after) = change.after.as_ref().filter(|after| after.kind != Kind::File && *path == change.path) {
        return Err(NotRestored::InTheWay(after.kind.noun()));
    }
    let content = content(&baseline.reader()?, path, before)?.ok_or(NotRestored::NotKept)?;
    let attributes = before.attributes.iter().map(attribute).collect::<Result<Vec<_>, _>>()?;
    let was = Present::new(content, (u32::from(before.mode), before.uid, before.gid), attributes, before.modified);
    let copy = AccessCopies::of(data).keep_baseline(path, &was, now)?;
    Ok((path.clone(), copy))
}

fn attribute(one: &Attribute) -> Result<(String, Vec<u8>), NotRestored> {
    match String::from_utf8(one.name.clone()) {
        Ok(name) if !one.value.starts_with(b"blake3:") => Ok((name, one.value.clone())),
        _ => Err(NotRestored::Attribute(HostText::from(one.name.as_slice()))),
    }
}

/// The content that is kept; or what the file holds, if that did not change.
fn content(reader: &BaselineReader, path: &HostText, before: &Entry) -> Result<Option<Vec<u8>>, NotRestored> {
    let Content::Hash(hash) = &before.content else { return Ok(None) };
    Ok(reader.content(hash)?.or_else(|| still_there(path, hash)))
}

fn still_there(path: &HostText, hash: &[u8; 32]) -> Option<Vec<u8>> {
    let path = Path::new(OsStr::from_bytes(path.as_bytes()));
    let name = CString::new(path.file_name()?.as_bytes()).ok()?;
    let wanted = Wanted { bytes: usize::try_from(LONGEST).unwrap_or(usize::MAX), ..Wanted::default() };
    let read = Folder::open(path.parent()?).ok()?.read(&name, wanted).ok()?;
    read.bytes.filter(|bytes| blake3::hash(bytes).as_bytes() == hash)
}
