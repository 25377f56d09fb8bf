//! Puts a whole file in the place of another: whoever reads finds the old one or the new one, never half of one, and
//! whoever dies in between leaves the old one.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex};

use super::fork_guard;
use bartizan_model::Unpoisoned as _;

/// What the new file must outlive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlives {
    /// Our own end, however it comes.
    Us,
    /// The power of the host: it is on the disk when the call returns.
    Power,
}

/// Files that some thread replaces at this moment: two of them would share one unfinished file.
static AT_WORK: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
static DONE: Condvar = Condvar::new();

struct Turn<'a>(&'a Path);

impl<'a> Turn<'a> {
    fn wait(path: &'a Path) -> Self {
        let busy = AT_WORK.lock().unpoisoned();
        let mut busy = DONE.wait_while(busy, |busy| busy.contains(path)).unpoisoned();
        busy.insert(path.to_owned());
        Self(path)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        AT_WORK.lock().unpoisoned().remove(self.0);
        DONE.notify_all();
    }
}

/// Replaces or makes `path`. What the umask takes from `mode` is given back. What is the same already is left alone, so
/// that a full or read-only disk is no trouble then.
///
/// # Errors
/// What the file system says; the old file stands then, and nothing else is left.
pub fn replace(path: &Path, bytes: &[u8], mode: u32, outlives: Outlives) -> io::Result<()> {
    let _turn = Turn::wait(path);
    if outlives == Outlives::Us && is_same(path, bytes, mode) {
        return Ok(());
    }
    let unfinished = unfinished(path);
    // Left by somebody who died here, or a trap: never written through.
    let _ = fs::remove_file(&unfinished);
    let written = write(&unfinished, bytes, mode, outlives).and_then(|()| fs::rename(&unfinished, path));
    if written.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    written?;
    match path.parent() {
        Some(dir) if outlives == Outlives::Power => File::open(dir)?.sync_all(),
        _ => Ok(()),
    }
}

/// Takes the file away, and what somebody who died here left beside it. Harmless when there is neither.
pub fn remove(path: &Path) {
    let _ = fs::remove_file(path);
    let _ = fs::remove_file(unfinished(path));
}

/// Where the new one is written: beside the old one, under a name that begins with a dot, which neither cron nor systemd
/// nor whoever lists notes takes for one of theirs.
pub fn unfinished(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".new");
    path.with_file_name(name)
}

fn write(path: &Path, bytes: &[u8], mode: u32, outlives: Outlives) -> io::Result<()> {
    let _alone = fork_guard::writing();
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).custom_flags(libc::O_NOFOLLOW).open(path)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    match outlives {
        Outlives::Us => Ok(()),
        Outlives::Power => file.sync_all(),
    }
}

fn is_same(path: &Path, bytes: &[u8], mode: u32) -> bool {
    let Ok(found) = fs::symlink_metadata(path) else { return false };
    found.is_file()
        && found.len() == bytes.len() as u64
        && found.permissions().mode() & 0o7777 == mode
        && fs::read(path).is_ok_and(|there| there == bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_threads_replace_one_file_and_each_succeeds() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        std::thread::scope(|scope| {
            for thread in 0..8u8 {
                let path = &path;
                scope.spawn(move || (0..200).for_each(|_| replace(path, &vec![thread; 4096], 0o600, Outlives::Us).unwrap()));
            }
            for _ in 0..2_000 {
                if let Ok(read) = fs::read(&path) {
                    assert!(read.len() == 4096 && read.iter().all(|byte| *byte == read[0]), "half of one was read");
                }
            }
        });
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["data"]);
    }

    #[test]
    fn a_link_is_not_followed_and_what_is_the_same_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (path, trap) = (dir.path().join("note"), dir.path().join("elsewhere"));
        fs::write(&trap, "mine").unwrap();
        std::os::unix::fs::symlink(&trap, unfinished(&path)).unwrap();
        replace(&path, b"ours", 0o640, Outlives::Power).unwrap();
        assert_eq!((fs::read(&trap).unwrap(), fs::read(&path).unwrap()), (b"mine".to_vec(), b"ours".to_vec()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
        let before = inode(&path);
        replace(&path, b"ours", 0o640, Outlives::Us).unwrap();
        assert_eq!(inode(&path), before);
        let nowhere = dir.path().join("gone/note");
        assert!(replace(&nowhere, b"ours", 0o600, Outlives::Us).is_err());
    }
}
