//! Opening a file whose name others may have given to something else: a FIFO, a device, a link to what is not theirs.
//!
//! The path is walked name by name, by descriptor, and no link is followed by the kernel: so every link on the way is looked at, nothing
//! can be put in its place meanwhile, and kernels without openat2(2) (before 5.6) are served alike.

use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path};

use nix::fcntl::{AT_FDCWD, OFlag, openat, readlinkat};
use nix::sys::stat::Mode;

/// Links that may be on the way, as the kernel has it (MAXSYMLINKS, include/linux/namei.h).
const MAX_LINKS: usize = 40;
/// Names that may be on the way, links and all: a path has 4096 bytes at most.
const MAX_NAMES: usize = 4096;
const OTHERS_WRITE: u32 = 0o002;
const GROUP_WRITES: u32 = 0o020;

/// Why it was not opened.
#[derive(Debug, thiserror::Error)]
pub enum NotOpened {
    /// Nothing has this name.
    #[error("there is no such file")]
    Missing,
    /// Something else has it.
    #[error("it is a {0}, not a file")]
    NotAFile(&'static str),
    /// On the way is a symbolic link whose maker owns neither the host nor what it points to.
    #[error("{name} is a symbolic link made by uid {by} to a file of uid {of}: make the link as root, or name the file itself")]
    ForeignLink {
        /// The name of the link.
        name: String,
        /// Owner of the link.
        by: u32,
        /// Owner of the file.
        of: u32,
    },
    /// On the way is a symbolic link that anybody could have put there.
    #[error("{name} is a symbolic link in a directory where others may put one: name the file itself")]
    LooseLink {
        /// The name of the link.
        name: String,
    },
    /// The file has other names, and somebody else than its owner could have given it this one.
    #[error(
        "it is a hard link to a file of uid {of} in a directory of uid {by}: remove the other links, or name the file where its owner put it"
    )]
    HardLink {
        /// Owner of the directory.
        by: u32,
        /// Owner of the file.
        of: u32,
    },
    /// The kernel refuses.
    #[error("{0}")]
    Refused(io::Error),
}

impl From<io::Error> for NotOpened {
    fn from(why: io::Error) -> Self {
        match why.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Missing,
            _ => Self::Refused(why),
        }
    }
}

impl From<nix::Error> for NotOpened {
    fn from(why: nix::Error) -> Self {
        io::Error::from(why).into()
    }
}

/// Opens a file for reading. Nothing else is opened, not even for a moment: opening a device may do something. A symbolic link is followed
/// only if root or the owner of the file made it, where others could not; a file with several names only where its owner or root names files.
///
/// # Errors
/// [`NotOpened`].
pub fn open(path: &Path) -> Result<(File, Metadata), NotOpened> {
    let (place, found) = locate(path)?;
    let kind = found.file_type();
    if !kind.is_file() {
        return Err(NotOpened::NotAFile(match () {
            () if kind.is_dir() => "directory",
            () if kind.is_fifo() => "FIFO",
            () if kind.is_socket() => "socket",
            () => "device",
        }));
    }
    let file = File::open(format!("/proc/self/fd/{}", place.as_raw_fd())).map_err(NotOpened::Refused)?;
    Ok((file, found))
}

/// Where a path leads, whatever lies there, as a place (`O_PATH`): nothing is opened. The same rules for links and second names.
///
/// # Errors
/// [`NotOpened`], of which `NotAFile` stands for the root directory alone.
pub fn locate(path: &Path) -> Result<(File, Metadata), NotOpened> {
    let Walked { place, directory, links } = walk(path)?;
    let found = place.metadata()?;
    for link in links {
        link.is_to_be_followed(&found)?;
    }
    let (by, of) = (directory.metadata()?, found.uid());
    if !found.is_dir() && found.nlink() > 1 && others_name_files(&by, of) {
        return Err(NotOpened::HardLink { by: by.uid(), of });
    }
    Ok((place, found))
}

/// Whether somebody else than root and this owner may give files a name there. A group that may write is taken for the owner's own, unless
/// the owner is root.
fn others_name_files(directory: &Metadata, owner: u32) -> bool {
    let group = owner == 0 && directory.gid() != 0 && directory.mode() & GROUP_WRITES != 0;
    (directory.uid() != 0 && directory.uid() != owner) || directory.mode() & OTHERS_WRITE != 0 || group
}

/// A link that was on the way.
struct Link {
    name: OsString,
    owner: u32,
    /// Somebody else may have put it where it is: others write to the directory, or it was put there under a second name.
    loose: bool,
}

impl Link {
    fn is_to_be_followed(&self, found: &Metadata) -> Result<(), NotOpened> {
        let name = || self.name.to_string_lossy().escape_debug().to_string();
        match self.owner {
            by if by != 0 && by != found.uid() => Err(NotOpened::ForeignLink { name: name(), by, of: found.uid() }),
            _ if self.loose => Err(NotOpened::LooseLink { name: name() }),
            _ => Ok(()),
        }
    }
}

/// Where a path leads, without anything having been opened but as a place (`O_PATH`).
struct Walked {
    place: File,
    directory: File,
    links: Vec<Link>,
}

fn walk(path: &Path) -> Result<Walked, NotOpened> {
    let mut waiting = Vec::new();
    push(&mut waiting, path);
    let mut at = place(AT_FDCWD, OsString::from(if path.is_absolute() { "/" } else { "." }))?;
    let (mut links, mut names) = (Vec::new(), 0);
    while let Some(name) = waiting.pop() {
        names += 1;
        if links.len() > MAX_LINKS || names > MAX_NAMES {
            return Err(NotOpened::Refused(io::Error::from_raw_os_error(libc::ELOOP)));
        }
        let next = place(at.as_fd(), name.clone())?;
        let found = next.metadata()?;
        if found.file_type().is_symlink() {
            let directory = at.metadata()?;
            let loose = directory.mode() & OTHERS_WRITE != 0 || found.nlink() > 1;
            links.push(Link { name, owner: found.uid(), loose });
            let target = readlinkat(&next, "")?;
            let target = Path::new(&target);
            if target.is_absolute() {
                at = place(AT_FDCWD, OsString::from("/"))?;
            }
            push(&mut waiting, target);
        } else if waiting.is_empty() {
            return Ok(Walked { place: next, directory: at, links });
        } else {
            at = next;
        }
    }
    Err(NotOpened::NotAFile("directory"))
}

/// Puts the names of a path on top of those that are still to be walked.
fn push(waiting: &mut Vec<OsString>, path: &Path) {
    let names = path.components().rev().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    waiting.extend(names);
}

fn place(directory: impl AsFd, name: OsString) -> Result<File, NotOpened> {
    let fd: OwnedFd = openat(directory, name.as_os_str(), OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())?;
    Ok(File::from(fd))
}

/// BLAKE3, in hex, of the first `length` bytes of a file, or of as many as it has; and how many those were.
///
/// # Errors
/// When it cannot be read.
pub fn beginning(file: &File, length: usize) -> io::Result<(String, usize)> {
    let mut bytes = vec![0; length];
    let read = fill(file, 0, &mut bytes)?;
    Ok((blake3::hash(bytes.get(..read).unwrap_or_default()).to_hex().to_string(), read))
}

/// Reads from `offset` on until `room` is full or the file ends: how much.
pub(super) fn fill(file: &File, offset: u64, room: &mut [u8]) -> io::Result<usize> {
    use std::os::unix::fs::FileExt;
    let mut read = 0;
    while let Some(room) = room.get_mut(read..).filter(|room| !room.is_empty()) {
        match file.read_at(room, offset + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            Err(why) => return Err(why),
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};

    fn said(path: &Path) -> String {
        open(path).map(|_| "opened".to_owned()).unwrap_or_else(|why| why.to_string())
    }

    #[test]
    fn only_a_file_is_opened_and_a_strangers_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("log"), "x").unwrap();
        nix::unistd::mkfifo(&at("fifo"), Mode::S_IRWXU).unwrap();
        symlink("/dev/null", at("device")).unwrap();
        symlink("log", at("link")).unwrap();
        symlink("nowhere", at("nothing")).unwrap();
        symlink("loop", at("loop")).unwrap();
        let told = ["log", "fifo", "device", "link", "nothing", "log/x", "./link"].map(|name| said(&at(name)));
        let missing = "there is no such file";
        let wanted = ["opened", "it is a FIFO, not a file", "it is a device, not a file", "opened", missing, missing, "opened"];
        assert_eq!(told, wanted);
        assert_eq!(said(dir.path()), "it is a directory, not a file");
        assert!(said(&at("loop")).contains("Too many levels of symbolic links"), "{}", said(&at("loop")));
        if lchown(at("link"), Some(1234), None).is_ok() {
            assert!(said(&at("link")).starts_with("link is a symbolic link made by uid 1234 to a file of uid 0"), "{}", said(&at("link")));
            chown(at("log"), Some(1234), None).unwrap();
            assert_eq!(said(&at("link")), "opened", "its own");
        }
    }

    #[test]
    fn no_link_on_the_way_leads_elsewhere_than_root_or_the_owner_of_the_file_wants() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("theirs")).unwrap();
        fs::write(at("secret"), "x").unwrap();
        if chown(at("theirs"), Some(1234), None).is_err() {
            return eprintln!("skipped: not root");
        }
        // Root's link leads to a name of a stranger, and that is a link to what is root's.
        symlink(at("secret"), at("theirs/log")).unwrap();
        lchown(at("theirs/log"), Some(1234), None).unwrap();
        symlink(at("theirs/log"), at("link")).unwrap();
        assert!(said(&at("link")).starts_with("log is a symbolic link made by uid 1234"), "{}", said(&at("link")));
        // A directory on the way is a stranger's link.
        symlink(dir.path(), at("theirs/logs")).unwrap();
        lchown(at("theirs/logs"), Some(1234), None).unwrap();
        assert!(said(&at("theirs/logs/secret")).starts_with("logs is a symbolic link"), "{}", said(&at("theirs/logs/secret")));
        // Root's own link, where anybody may put links, or under a second name that a stranger gave to it.
        fs::create_dir(at("open")).unwrap();
        symlink(at("secret"), at("open/log")).unwrap();
        assert_eq!(said(&at("open/log")), "opened");
        fs::set_permissions(at("open"), Permissions::from_mode(0o1777)).unwrap();
        assert!(said(&at("open/log")).starts_with("log is a symbolic link in a directory where others"), "{}", said(&at("open/log")));
        symlink(at("secret"), at("roots")).unwrap();
        fs::hard_link(at("roots"), at("theirs/again")).unwrap();
        assert!(said(&at("theirs/again")).starts_with("again is a symbolic link in a directory"), "{}", said(&at("theirs/again")));
    }

    #[test]
    fn a_second_name_that_a_stranger_may_have_given_to_a_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("theirs")).unwrap();
        fs::write(at("secret"), "x").unwrap();
        if chown(at("theirs"), Some(1234), None).is_err() {
            return eprintln!("skipped: not root");
        }
        fs::hard_link(at("secret"), at("theirs/log")).unwrap();
        assert!(said(&at("theirs/log")).starts_with("it is a hard link to a file of uid 0 in a directory of uid 1234"));
        assert_eq!(said(&at("secret")), "opened", "root names files there");
        chown(at("secret"), Some(1234), None).unwrap();
        assert_eq!(said(&at("theirs/log")), "opened", "its owner names files there");
        for (mode, gid, wanted) in [(0o775, 4321, false), (0o777, 0, false), (0o775, 0, true), (0o755, 4321, true)] {
            chown(at("secret"), Some(0), None).unwrap();
            chown(dir.path(), None, Some(gid)).unwrap();
            fs::set_permissions(dir.path(), Permissions::from_mode(mode)).unwrap();
            assert_eq!(said(&at("secret")) == "opened", wanted, "{mode:o} {gid}");
        }
        fs::remove_file(at("theirs/log")).unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).unwrap();
        assert_eq!(said(&at("secret")), "opened", "it has one name only");
    }

    #[test]
    fn the_beginning_is_that_of_what_is_there() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "abcdef").unwrap();
        let (hash, length) = beginning(file.as_file(), 4).unwrap();
        assert_eq!((hash, length), (blake3::hash(b"abcd").to_hex().to_string(), 4));
        assert_eq!(beginning(file.as_file(), 1024).unwrap().1, 6);
    }
}
