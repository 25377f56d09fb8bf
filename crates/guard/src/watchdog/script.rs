//! The undoing script as a file beside the notes, for systemd and cron: a unit or a crontab names it, and holds no script
//! itself. systemd would expand what looks like a variable in one, and lists every line of it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{EXPIRE_SCRIPT, SHELL, WatchdogError, fail};
use bartizan_sys::replace_file::{self, Outlives};
use bartizan_sys::umask;

/// Its name in the directory of notes. It must be there when we are not.
const NAME: &str = ".bartizan-expire.sh";

/// The line by which the script is run for a note, `when` as it wants it. Writes the script where it is not there, is
/// another version, or could have been written by somebody else.
pub(super) fn command_for(note: &Path, when: &str) -> Result<[String; 4], WatchdogError> {
    let odd = || io::Error::new(io::ErrorKind::InvalidInput, "its path holds what a unit or a crontab cannot");
    let plain = |path: &Path| is_plain_path(path).then(|| path.display().to_string());
    let note_word = plain(note).ok_or_else(odd).map_err(fail("name the note"))?;
    let script = beside(note).map_err(fail("write the undoing script"))?;
    let script = plain(&script).ok_or_else(odd).map_err(fail("name the undoing script"))?;
    Ok([SHELL.to_owned(), script, when.to_owned(), note_word])
}

fn beside(note: &Path) -> io::Result<PathBuf> {
    let at = note.with_file_name(NAME);
    let directory = fs::metadata(note.parent().unwrap_or(Path::new("/")))?;
    if !is_for_us_alone(&directory) {
        return Err(io::Error::other("others may write to its directory"));
    }
    let ours = fs::symlink_metadata(&at).is_ok_and(|meta| meta.is_file() && is_for_us_alone(&meta));
    if !ours || fs::read(&at)? != EXPIRE_SCRIPT.as_bytes() {
        replace_file::replace(&at, EXPIRE_SCRIPT.as_bytes(), 0o700, Outlives::Power)?;
    }
    Ok(at)
}

/// Whether nobody else may change it.
fn is_for_us_alone(meta: &fs::Metadata) -> bool {
    meta.uid() == umask::own_uid() && meta.mode() & 0o022 == 0
}

/// What a unit's and a crontab's line take without quoting; a percent sign means something in both.
pub(super) fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

fn is_plain_path(path: &Path) -> bool {
    path.is_absolute()
        && path.to_str().is_some_and(|text| text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/')))
}
