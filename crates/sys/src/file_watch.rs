//! Who touches which file: fanotify where the kernel allows it, inotify where it does not, behind one face.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::fanotify::Fanotify;
use super::inotify::Inotify;
use super::plain_file::{self, NotOpened};

/// What is asked of one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Interest {
    /// Of a directory: entries that come, go or are renamed.
    Entries,
    /// Of a directory: entries, and content and attributes of the files in it once their writer has closed them.
    Closed,
    /// Of a directory: the same, and each write while the file is still open.
    Content,
    /// Of a file: that it is opened.
    Opening,
}

/// What happened to one path; several things at once are folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)] // each is one thing that can happen to a file
#[allow(clippy::struct_excessive_bools)] // they are independent
pub struct Touch {
    pub created: bool,
    pub deleted: bool,
    pub moved_in: bool,
    pub moved_away: bool,
    pub written: bool,
    pub closed: bool,
    pub attributes: bool,
    pub opened: bool,
    /// The path is a directory.
    pub directory: bool,
}

impl Touch {
    /// Both together.
    pub fn and(self, other: Self) -> Self {
        Self {
            created: self.created || other.created,
            deleted: self.deleted || other.deleted,
            moved_in: self.moved_in || other.moved_in,
            moved_away: self.moved_away || other.moved_away,
            written: self.written || other.written,
            closed: self.closed || other.closed,
            attributes: self.attributes || other.attributes,
            opened: self.opened || other.opened,
            directory: self.directory || other.directory,
        }
    }
}

/// Who did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Toucher {
    /// Pid of the process in our own pid namespace.
    pub pid: u32,
    /// Its start in clock ticks since boot; `None` when it had ended before we could look.
    pub start: Option<u64>,
}

/// What happened to one path, and who did it where that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// The path as it was asked to be watched, with the name inside.
    pub path: PathBuf,
    /// What happened.
    pub what: Touch,
    /// Who did it; inotify cannot tell.
    pub by: Option<Toucher>,
}

/// What the kernel says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Noticed {
    /// Something happened to a path.
    Touched(Touched),
    /// A watched path itself was removed or moved; it is no longer watched.
    Gone(PathBuf),
    /// The kernel's queue was full: anything may have happened.
    Overflow,
}

/// Watches over paths, by the best means the kernel allows for each.
#[derive(Debug)]
pub struct FileWatch {
    fanotify: Option<Fanotify>,
    inotify: Option<Inotify>,
    refused: Option<String>,
}

impl FileWatch {
    /// With fanotify, or without it when the kernel refuses.
    ///
    /// # Errors
    /// When both are refused.
    pub fn open() -> io::Result<Self> {
        match Fanotify::open() {
            Ok(fanotify) => Ok(Self { fanotify: Some(fanotify), inotify: None, refused: None }),
            Err(why) => Ok(Self { fanotify: None, inotify: Some(Inotify::open()?), refused: Some(why.to_string()) }),
        }
    }

    /// The rung below: inotify alone.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn without_fanotify() -> io::Result<Self> {
        Ok(Self { fanotify: None, inotify: Some(Inotify::open()?), refused: Some("not wanted".to_owned()) })
    }

    /// Whether fanotify is in use, so that the process is known.
    pub fn tells_who(&self) -> bool {
        self.fanotify.is_some()
    }

    /// Why fanotify is not used for everything, if so.
    pub fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    /// Watches a path from now on. True when it was not watched so before. What somebody's link leads to is not watched unless its maker
    /// owns it: otherwise anybody could have other people's files reported, under a name of their choice.
    ///
    /// # Errors
    /// When the path does not exist or neither means accepts it (too many watches ...).
    pub fn watch(&mut self, path: &Path, interest: Interest) -> io::Result<bool> {
        let place = match plain_file::locate(path) {
            Ok((place, _)) => place,
            Err(NotOpened::Missing) => return Err(io::ErrorKind::NotFound.into()),
            Err(NotOpened::Refused(why)) => return Err(why),
            Err(NotOpened::ForeignLink { .. } | NotOpened::LooseLink { .. } | NotOpened::HardLink { .. } | NotOpened::NotAFile(_)) => {
                return Ok(false);
            }
        };
        if let Some(fanotify) = &mut self.fanotify {
            match fanotify.watch(path, &place, interest) {
                // A file system without handles (some network and FUSE ones) has inotify at most.
                Err(why) if matches!(why.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENODEV | libc::EXDEV)) => {
                    self.refused.get_or_insert_with(|| format!("{}: {why}", path.display()));
                }
                other => return other,
            }
        }
        if self.inotify.is_none() {
            self.inotify = Some(Inotify::open()?);
        }
        self.inotify.as_mut().map_or(Ok(false), |inotify| inotify.watch(path, interest))
    }

    /// Waits until something is there, at most `timeout`. True when there is.
    ///
    /// # Errors
    /// When the kernel breaks the watch.
    pub fn wait(&mut self, timeout: Duration) -> io::Result<bool> {
        match (&self.fanotify, &mut self.inotify) {
            (Some(fanotify), None) => fanotify.wait(timeout),
            (None, Some(inotify)) => inotify.wait(timeout),
            (Some(fanotify), Some(inotify)) => {
                // Both at once is the rare case (one foreign file system): a tenth of a second late is good enough.
                let short = timeout.min(Duration::from_millis(100));
                Ok(fanotify.wait(short)? || inotify.wait(Duration::ZERO)?)
            }
            (None, None) => Ok(false),
        }
    }

    /// Hands over what is there, in the kernel's order for each means.
    ///
    /// # Errors
    /// When the kernel breaks the watch.
    pub fn drain(&mut self, take: &mut dyn FnMut(Noticed)) -> io::Result<()> {
        if let Some(fanotify) = &mut self.fanotify {
            fanotify.drain(take)?;
        }
        if let Some(inotify) = &mut self.inotify {
            inotify.drain(take);
        }
        Ok(())
    }
}
