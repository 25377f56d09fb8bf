//! One such file as it is now; put to something else whole or not at all, and put back exactly.

use std::collections::BTreeSet;
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;

use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{Mode, futimens};
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::unistd::{UnlinkatFlags, linkat, unlinkat};

use super::places::{Place, unbent};
use bartizan_sys::xattrs;

/// Files up to this size are kept.
pub const LONGEST: u64 = 1 << 20;
/// Extended attributes that are kept of one file.
const MAX_ATTRIBUTES: usize = 64;

/// Extended attributes (security labels, access lists): name and value.
pub(super) type Attributes = Vec<(String, Vec<u8>)>;

/// A file's content and everything about it that decides who may do what with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// What it holds.
    pub content: Vec<u8>,
    /// BLAKE3 of it, 64 hex digits.
    pub hash: String,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    pub(super) attributes: Attributes,
    /// Last change of the content, nanoseconds since 1970; `None`: it is now.
    pub(super) modified: Option<i64>,
}

impl Present {
    /// What a file was, with its extended attributes; `modified`: last change of the content, nanoseconds since 1970.
    pub fn new(content: Vec<u8>, (mode, uid, gid): (u32, u32, u32), attributes: Vec<(String, Vec<u8>)>, modified: i64) -> Self {
        let hash = blake3::hash(&content).to_hex().to_string();
        Self { content, hash, mode, uid, gid, attributes, modified: Some(modified) }
    }

    /// Whether the other holds the same and the same people may do the same with it; times do not count.
    pub fn is_like(&self, other: &Self) -> bool {
        let own = |all: &Attributes| all.iter().filter(|(name, _)| is_ours_to_set(name)).cloned().collect::<BTreeSet<_>>();
        (&self.hash, self.mode, self.uid, self.gid) == (&other.hash, other.mode, other.uid, other.gid)
            && own(&self.attributes) == own(&other.attributes)
    }
}

/// Labels are given by the security module of the kernel; capabilities, access lists and what users write are not.
fn is_ours_to_set(name: &str) -> bool {
    !name.starts_with("security.") || name == "security.capability"
}

/// What changes when a file does, for a cheap look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trace(u64, i64, i64, i64, i64, u64);

fn open(place: &Place) -> io::Result<Option<(File, std::fs::Metadata)>> {
    let gone = |why: &io::Error| matches!(why.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR));
    let file = match place.directory().and_then(|(dir, _)| unbent(&dir, Path::new(place.name()), OFlag::O_RDONLY | OFlag::O_NOFOLLOW)) {
        Ok(file) => file,
        Err(why) if gone(&why) => return Ok(None),
        Err(why) if why.raw_os_error() == Some(libc::ELOOP) => {
            return Err(io::Error::other("a symbolic link is on the way to it: not followed"));
        }
        Err(why) => return Err(why),
    };
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("it is no plain file"));
    }
    // What is shown and kept of it must not be somebody else's.
    if place.vouched.is_some_and(|(owner, _)| found.uid() != owner && found.nlink() > 1) {
        return Err(io::Error::other(format!("it is a hard link to a file of uid {}: remove it first", found.uid())));
    }
    // A hard link to somebody else's file, for example /etc/shadow, is not taken for the account's own.
    if place.owner.is_some_and(|owner| found.uid() != owner && (found.uid() != 0 || found.nlink() > 1)) {
        return Err(io::Error::other(format!("it belongs to uid {}, not to the account", found.uid())));
    }
    Ok(Some((file, found)))
}

pub(super) fn trace(place: &Place) -> io::Result<Option<Trace>> {
    Ok(open(place)?
        .map(|(_, found)| Trace(found.ino(), found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec(), found.size())))
}

/// What it is now; `None` when there is nothing.
pub(super) fn read(place: &Place) -> io::Result<Option<Present>> {
    let Some((mut file, found)) = open(place)? else { return Ok(None) };
    let mut content = Vec::new();
    Read::by_ref(&mut file).take(LONGEST + 1).read_to_end(&mut content)?;
    if content.len() as u64 > LONGEST {
        let what = if place.vouched.is_some() { ", and what is replaced must be kept: move it aside first" } else { "" };
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than 1 MiB{what}")));
    }
    let hash = blake3::hash(&content).to_hex().to_string();
    let attributes = attributes(&file)?;
    Ok(Some(Present { content, hash, mode: found.mode() & 0o7777, uid: found.uid(), gid: found.gid(), attributes, modified: None }))
}

fn attributes(file: &File) -> io::Result<Attributes> {
    let names = xattrs::names(file)?;
    let kept = names.iter().filter_map(|name| Some((name.to_str().ok()?.to_owned(), xattrs::value(file, name).ok()?)));
    Ok(kept.take(MAX_ATTRIBUTES).collect())
}

fn set_attributes(file: &File, attributes: &Attributes) -> io::Result<()> {
    // A directory's default access list gives a new file one that the former did not have.
    for name in xattrs::names(file)? {
        if name.to_str().is_ok_and(|name| is_ours_to_set(name) && !attributes.iter().any(|(kept, _)| kept == name)) {
            xattrs::remove(file, &name)?;
        }
    }
    for (name, value) in attributes {
        match xattrs::set(file, &CString::new(name.as_str())?, value) {
            // Where there is no such label, there is none to lose.
            Err(why) if !xattrs::is_unsupported(&why) => return Err(why),
            _ => {}
        }
    }
    Ok(())
}

/// The name under which a new content waits beside the file until it is whole. The script knows it too.
pub(super) fn waiting_name(place: &Place) -> OsString {
    beside(place, "new")
}

/// `.NAME.bartizan-TAG`: sshd, sudo and PAM pass such names over.
pub(super) fn beside(place: &Place, tag: &str) -> OsString {
    let mut name = OsString::from(".");
    name.push(place.name());
    name.push(format!(".bartizan-{tag}"));
    name
}

/// Writes the new content beside the file and calls `check` on its path.
pub(super) fn prepare(place: &Place, new: &Present, check: &dyn Fn(&Path) -> io::Result<()>) -> io::Result<()> {
    let (dir, real) = place.directory()?;
    let name = waiting_name(place);
    drop_name(&dir, &name)?;
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut file = File::from(openat(&dir, name.as_os_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR)?);
    let written = (|| {
        file.write_all(&new.content)?;
        fchown(&file, Some(new.uid), Some(new.gid))?;
        file.set_permissions(std::fs::Permissions::from_mode(new.mode))?;
        set_attributes(&file, &new.attributes)?;
        if let Some(modified) = new.modified {
            futimens(&file, &TimeSpec::UTIME_OMIT, &TimeSpec::nanoseconds(modified))?;
        }
        file.sync_all()?;
        check(&real.join(&name))
    })();
    if written.is_err() {
        drop_name(&dir, &name)?;
    }
    written
}

/// Keeps the present file under `former` and puts the prepared one in its place; at no moment is there none.
pub(super) fn put(place: &Place, former: Option<&OsStr>) -> io::Result<()> {
    let (dir, _) = place.directory()?;
    if let Some(former) = former {
        drop_name(&dir, former)?;
        linkat(&dir, place.name(), &dir, former, AtFlags::empty())?;
    }
    renameat(&dir, waiting_name(place).as_os_str(), &dir, place.name())?;
    dir.sync_all()
}

/// What became of putting it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undone {
    /// The former file is back, the very same inode.
    Back,
    /// There was none before, and there is none now.
    Absent,
    /// Nothing of ours was there.
    Nothing,
    /// Somebody changed the file since: it was left alone, and only what we had put beside it was removed.
    LeftAlone,
}

/// Puts the former file, or its absence, back, if the file still holds what we had put there: content of this hash.
pub(super) fn undo(place: &Place, former: Option<&OsStr>, hash: &str) -> io::Result<Undone> {
    let (dir, _) = match place.directory() {
        Ok(found) => found,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Undone::Nothing),
        Err(why) => return Err(why),
    };
    drop_name(&dir, &waiting_name(place))?;
    let inode = |name: &OsStr| {
        let found = nix::sys::stat::fstatat(&dir, name, AtFlags::AT_SYMLINK_NOFOLLOW).ok();
        found.map(|found| (found.st_dev, found.st_ino))
    };
    if let Some(former) = former {
        let kept = inode(former);
        if kept.is_none() {
            return Ok(Undone::Nothing);
        }
        // We died before ours took its place: one file of two names, of which a rename would leave both (rename(2)).
        if kept == inode(place.name()) {
            drop_name(&dir, former)?;
            return dir.sync_all().map(|()| Undone::Nothing);
        }
    }
    let ours = read(place).ok().flatten().is_some_and(|present| present.hash == hash);
    let done = match former {
        Some(former) if ours => renameat(&dir, former, &dir, place.name()).map(|()| Undone::Back)?,
        Some(former) => {
            drop_name(&dir, former)?;
            Undone::LeftAlone
        }
        None if ours => drop_name(&dir, place.name()).map(|()| Undone::Absent)?,
        None => Undone::Nothing,
    };
    dir.sync_all()?;
    Ok(done)
}

/// It stays: what was kept beside it goes.
pub(super) fn keep(place: &Place, former: Option<&OsStr>) -> io::Result<()> {
    let (dir, _) = place.directory()?;
    former.map_or(Ok(()), |former| drop_name(&dir, former))
}

fn drop_name(dir: &File, name: &OsStr) -> io::Result<()> {
    match unlinkat(dir, Path::new(OsStr::from_bytes(name.as_bytes())), UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(nix::errno::Errno::ENOENT) => Ok(()),
        Err(why) => Err(why.into()),
    }
}
