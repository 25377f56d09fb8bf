//! What the start-up and access places held when somebody last looked, kept in the data directory between runs.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use bartizan_model::HostText;
use bartizan_sys::digest::{Digest, read_bounded};
use bartizan_sys::replace_file::{self, Outlives};

/// Longest memory that is read: 65,536 files at about 300 bytes.
const LONGEST: u64 = 64 * 1024 * 1024;

/// Files and what they were.
pub(super) type Known = BTreeMap<PathBuf, Digest>;

#[derive(Serialize, Deserialize)]
struct Remembered {
    root: HostText,
    files: Vec<(HostText, Digest)>,
}

/// What was there, if this tree was ever looked at. A memory that cannot be read is no memory, and the reason is told.
pub(super) fn load(file: &Path, root: &Path) -> Result<Option<Known>, String> {
    let bytes = match read_bounded(file, LONGEST) {
        Ok(bytes) => bytes,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(why.to_string()),
    };
    let remembered: Remembered = serde_json::from_slice(&bytes).map_err(|why| why.to_string())?;
    if remembered.root.as_bytes() != root.as_os_str().as_bytes() {
        return Ok(None);
    }
    Ok(Some(remembered.files.into_iter().map(|(path, digest)| (PathBuf::from(OsStr::from_bytes(path.as_bytes())), digest)).collect()))
}

/// Writes it so that a crash leaves the old or the new one, never half of it.
pub(super) fn save(file: &Path, root: &Path, known: &Known) -> io::Result<()> {
    let text = |path: &Path| HostText::from(path.as_os_str().as_bytes());
    let remembered = Remembered { root: text(root), files: known.iter().map(|(path, digest)| (text(path), digest.clone())).collect() };
    replace_file::replace(file, &serde_json::to_vec(&remembered)?, 0o600, Outlives::Power)
}
