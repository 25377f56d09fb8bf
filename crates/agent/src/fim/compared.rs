//! One file as the baseline knows it, beside what it is now.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::look::{Depth, look};
use super::roots::Root;
use super::scan::FimError;
use bartizan_integrity::{Change, Content, decode, diff};
use bartizan_model::{HostText, Timestamp};
use bartizan_store::Baseline;
use bartizan_sys::tree::Folder;

/// How a file differs.
#[derive(Debug)]
pub struct Compared {
    /// Which path.
    pub path: HostText,
    /// What changed; `None`: nothing did.
    pub change: Option<Change>,
    /// The difference of the contents; `None` when one of them is not known.
    pub diff: Option<String>,
}

/// Compares one file with the baseline, line by line where its content was stored.
///
/// # Errors
/// [`FimError`].
pub fn compared(baseline: &Baseline, path: &Path, now: Timestamp) -> Result<Compared, FimError> {
    if baseline.verify()?.is_none() {
        return Err(FimError::NoBaseline);
    }
    let root = Root::named(path).map_err(|why| FimError::Path { path: HostText::from(path.as_os_str().as_bytes()), why })?;
    let text = root.text();
    let fail = |why| FimError::Path { path: text.clone(), why };
    let (Some(parent), Some(name)) = (root.path.parent(), root.path.file_name()) else {
        return Err(FimError::NotCovered(text));
    };
    let name = CString::new(name.as_bytes()).map_err(|why| fail(why.into()))?;
    let reader = baseline.reader()?;
    let row = reader.directory(parent.as_os_str().as_bytes())?;
    let entries = row.as_deref().map(decode).and_then(Result::ok).unwrap_or_default();
    let old = entries.into_iter().find(|entry| entry.name == name.to_bytes());
    let depth = Depth { full: true, contents: false, longest: None, until: None, now: now.timestamp_nanos_opt().unwrap_or(i64::MAX) };
    let folder = Folder::open(parent);
    let new = folder.and_then(|folder| look(&folder, &name, old.as_ref(), depth)).map_err(fail)?;
    if old.is_none() && new.is_none() {
        return Err(FimError::NotCovered(text));
    }
    let before = match old.as_ref().map(|old| &old.content) {
        Some(Content::Hash(hash)) => reader.content(hash)?,
        None => Some(Vec::new()),
        Some(_) => None,
    };
    let (new, after) = new.map_or((None, Some(Vec::new())), |looked| (Some(looked.entry), looked.content.filter(|_| looked.is_whole)));
    let diff = before.zip(after).map(|(before, after)| diff(&before, &after));
    Ok(Compared { path: text.clone(), change: Change::between(text, old, new), diff })
}
