//! Puts a whole file in the place of another: whoever reads finds the old one or the new one, never half of one, and
//! whoever dies in between leaves the old one.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex};

use super::fork_guard::{self, Writing};
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
    let mut new = NewFile::beside(path, unfinished(path), mode)?;
    new.write_all(bytes)?;
    new.take_place(outlives)
}

/// A file that will take the place of another once it is whole; dropped before that, it is gone. For whoever has more to do to it
/// than to write it: [`replace`] does all at once.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    at: PathBuf,
    of: PathBuf,
    placed: bool,
    /// No child is started while it can be written to.
    _alone: Writing,
}

impl NewFile {
    /// Makes it at `at`, which is in the same directory as `of` and nobody else's name. What lies there was left by somebody who
    /// died here, or is a trap: it is removed, never written through.
    ///
    /// # Errors
    /// What the file system says; nothing is left then.
    pub fn beside(of: &Path, at: PathBuf, mode: u32) -> io::Result<Self> {
        let _ = fs::remove_file(&at);
        let alone = fork_guard::writing();
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).custom_flags(libc::O_NOFOLLOW).open(&at)?;
        let new = Self { file, at, of: of.to_owned(), placed: false, _alone: alone };
        new.file.set_permissions(Permissions::from_mode(mode))?;
        Ok(new)
    }

    /// To give it an owner, a mode, attributes.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Takes the place of the other in one rename.
    ///
    /// # Errors
    /// What the file system says; the other stands then, unless only its directory could not be synced.
    pub fn take_place(self, outlives: Outlives) -> io::Result<()> {
        self.take_place_if(outlives, || true).map(drop)
    }

    /// The same, if `still` says yes at the last moment, when nothing slow is left to do; gives what it said.
    ///
    /// # Errors
    /// As [`Self::take_place`].
    pub fn take_place_if(mut self, outlives: Outlives, still: impl FnOnce() -> bool) -> io::Result<bool> {
        if outlives == Outlives::Power {
            self.file.sync_all()?;
        }
        if !still() {
            return Ok(false);
        }
        fs::rename(&self.at, &self.of)?;
        self.placed = true;
        match self.of.parent() {
            Some(dir) if outlives == Outlives::Power => sync_directory(dir).map(|()| true),
            _ => Ok(true),
        }
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.placed {
            let _ = fs::remove_file(&self.at);
        }
    }
}

/// Makes the directory `path` with an empty file of each of these names in it, all in one rename: nobody finds it half filled. It
/// outlives our own end, not that of the host's power.
///
/// # Errors
/// What the file system says: there is no such directory then. When there is one that is not empty.
pub fn make_directory(path: &Path, names: &[String]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    match fs::remove_dir_all(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    DirBuilder::new().recursive(true).mode(0o700).create(&fresh)?;
    names.iter().try_for_each(|name| touch(&fresh.join(name)))?;
    fs::rename(fresh, path)
}

/// Makes an empty file for us alone, unless there is one.
///
/// # Errors
/// What the file system says.
pub fn touch(path: &Path) -> io::Result<()> {
    let _alone = fork_guard::writing();
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map(drop),
    }
}

/// What was made, renamed or removed in this directory is on the disk when this returns.
///
/// # Errors
/// What the file system says.
pub fn sync_directory(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
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

    #[test]
    fn what_is_given_up_half_way_leaves_the_old_one_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shadow");
        fs::write(&path, "old").unwrap();
        let mut half = NewFile::beside(&path, dir.path().join(".half"), 0o600).unwrap();
        half.write_all(b"ha").unwrap();
        drop(half);
        let names = || fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
        assert_eq!((fs::read(&path).unwrap(), names()), (b"old".to_vec(), vec!["shadow".into()]));
        let mut whole = NewFile::beside(&path, dir.path().join(".half"), 0o600).unwrap();
        whole.write_all(b"new").unwrap();
        whole.take_place(Outlives::Power).unwrap();
        assert_eq!((fs::read(&path).unwrap(), names()), (b"new".to_vec(), vec!["shadow".into()]));
    }

    #[test]
    fn a_directory_is_there_with_all_its_files_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("wanted");
        fs::create_dir_all(dir.path().join("wanted.new/left-by-a-crash")).unwrap();
        make_directory(&path, &["a".to_owned(), "b".to_owned()]).unwrap();
        let mut names: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["a", "b"]);
        touch(&path.join("a")).unwrap();
        assert!(make_directory(&path, &[]).is_err(), "a filled one is never replaced");
    }
}
