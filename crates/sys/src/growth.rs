//! Files that grow, and directories in which names come and go (inotify(7)), as one descriptor that others can be waited for with.
//!
//! `file_watch` says who touched which path; this says that there is more to read, of a file that is held open whatever its name.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};

use super::{descriptors, readiness};

/// Reads of one look, so that a flood keeps nobody from anything else: some 6,000 events.
const READS: usize = 64;

/// One file or directory that is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Watched(WatchDescriptor);

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Grown {
    /// A file was written or cut short.
    File(Watched),
    /// In a directory this name came, went or was given to another file.
    Name(Watched, OsString),
    /// The file or directory is watched no more: it is gone.
    Gone(Watched),
    /// The kernel's queue was full: anything may have happened.
    Overflow,
}

/// A watch over files and directories.
#[derive(Debug)]
pub struct Growth {
    inotify: Inotify,
    /// How often a file is watched: the kernel has one watch for it, whatever names and descriptors it was opened by.
    files: RefCell<HashMap<Watched, u32>>,
}

impl Growth {
    /// Nothing is watched yet.
    ///
    /// # Errors
    /// As inotify_init(2): too many instances of this user.
    pub fn open() -> io::Result<Self> {
        descriptors::ask_for(1)?;
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        Ok(Self { inotify, files: RefCell::default() })
    }

    /// Watches a file that is open, until it was forgotten as often as it was watched.
    ///
    /// # Errors
    /// As inotify_add_watch(2): too many watches of this user.
    pub fn file(&self, file: &impl AsRawFd) -> io::Result<Watched> {
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let watched = Watched(self.inotify.add_watch(path.as_str(), AddWatchFlags::IN_MODIFY)?);
        *self.files.borrow_mut().entry(watched).or_default() += 1;
        Ok(watched)
    }

    /// Watches the names in a directory; watched again, it is the same watch as long as it is the same directory.
    ///
    /// # Errors
    /// As inotify_add_watch(2): it does not exist, or too many watches of this user.
    pub fn directory(&self, path: &Path) -> io::Result<Watched> {
        let names = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_DELETE | AddWatchFlags::IN_MOVE;
        let other = AddWatchFlags::IN_ATTRIB | AddWatchFlags::IN_ONLYDIR;
        Ok(Watched(self.inotify.add_watch(path, names | other)?))
    }

    /// Watches it no more, unless somebody else still wants to hear of it.
    pub fn forget(&self, watched: Watched) {
        let mut files = self.files.borrow_mut();
        if let Some(count) = files.get_mut(&watched).filter(|count| **count > 1) {
            *count -= 1;
            return;
        }
        files.remove(&watched);
        // One that is gone is forgotten already.
        let _ = self.inotify.rm_watch(watched.0);
    }

    /// Waits until something happened here, or one of `others` can be read, at most `timeout`.
    ///
    /// # Errors
    /// As poll(2).
    pub fn wait(&self, others: &[BorrowedFd<'_>], timeout: Duration) -> io::Result<bool> {
        let own = self.inotify.as_fd();
        let all: Vec<BorrowedFd<'_>> = others.iter().copied().chain([own]).collect();
        readiness::readable(&all, timeout)
    }

    /// What happened since the last call, in order.
    ///
    /// # Errors
    /// As read(2).
    pub fn drain(&self) -> io::Result<Vec<Grown>> {
        let mut all = Vec::new();
        for _ in 0..READS {
            match self.inotify.read_events() {
                Ok(events) => all.extend(events.into_iter().filter_map(|event| told(event.wd, event.mask, event.name))),
                Err(Errno::EAGAIN) => break,
                Err(Errno::EINTR) => {}
                Err(why) => return Err(why.into()),
            }
        }
        Ok(all)
    }
}

/// Whether this descriptor can be read now, or its far end is gone.
///
/// # Errors
/// As poll(2).
pub fn readable_now(descriptor: BorrowedFd<'_>) -> io::Result<bool> {
    readiness::readable(&[descriptor], Duration::ZERO)
}

fn told(watch: WatchDescriptor, mask: AddWatchFlags, name: Option<OsString>) -> Option<Grown> {
    let watched = Watched(watch);
    match name {
        _ if mask.contains(AddWatchFlags::IN_Q_OVERFLOW) => Some(Grown::Overflow),
        _ if mask.contains(AddWatchFlags::IN_IGNORED) => Some(Grown::Gone(watched)),
        Some(name) => Some(Grown::Name(watched, name)),
        None if mask.contains(AddWatchFlags::IN_MODIFY) => Some(Grown::File(watched)),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::io::Write;

    #[test]
    fn a_file_is_heard_of_under_whatever_name_and_a_directory_tells_its_names() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut writer = File::create(&path).unwrap();
        let growth = Growth::open().unwrap();
        let (names, file) = (growth.directory(dir.path()).unwrap(), growth.file(&File::open(&path).unwrap()).unwrap());
        assert!(!growth.wait(&[], Duration::from_millis(1)).unwrap());
        fs::rename(&path, dir.path().join("log.1")).unwrap();
        writer.write_all(b"more\n").unwrap();
        assert!(growth.wait(&[], Duration::from_secs(5)).unwrap());
        let told = [Grown::Name(names, "log".into()), Grown::Name(names, "log.1".into()), Grown::File(file)];
        assert_eq!(growth.drain().unwrap(), told);
        writer.set_len(0).unwrap();
        assert_eq!(growth.drain().unwrap(), [Grown::File(file)]);
        // The same file by another descriptor: who lets go of one is not to silence the other.
        assert_eq!(growth.file(&writer).unwrap(), file);
        growth.forget(file);
        writer.write_all(b"more\n").unwrap();
        assert_eq!(growth.drain().unwrap(), [Grown::File(file)]);
        growth.forget(file);
        growth.forget(file);
        assert_eq!(growth.drain().unwrap(), [Grown::Gone(file)]);
        assert!(growth.directory(&path).is_err(), "a file is no directory, and this one is gone");
    }
}
