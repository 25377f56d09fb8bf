//! Directories read below a descriptor: names, what each is, and what it holds, though somebody swaps names meanwhile.
//!
//! No link is followed and nothing but a regular file is opened, not even for a moment: each name is first taken as a place (`O_PATH`).

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Instant;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawDir, Statx, StatxFlags, fstatfs, openat, readlinkat, statx};

pub use super::file_systems::FileSystem;
use super::holes;
use super::plain_file::fill;
use super::xattrs;

/// Bytes of one getdents64(2).
const NAMES: usize = 32 << 10;
/// Bytes of one read.
const READ: usize = 128 << 10;
/// A file with this much less on disk than its size is read as a sparse one.
const SPARSE: u64 = 1 << 20;
/// How often a file that changes while it is read is read again.
const ATTEMPTS: usize = 3;

/// What stat(2) tells of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Type and permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size in bytes.
    pub size: u64,
    /// Bytes on disk.
    pub stored: u64,
    /// Last change of content, nanoseconds since 1970.
    pub modified: i64,
    /// Last change of anything, nanoseconds since 1970.
    pub changed: i64,
    /// Inode number.
    pub inode: u64,
    /// Names of the inode.
    pub links: u32,
    /// Device on which it lies.
    pub on: u64,
    /// The device that it is, if it is one.
    pub is: u64,
}

impl Facts {
    fn of(found: &Statx) -> Self {
        let nanos = |at: rustix::fs::StatxTimestamp| at.tv_sec.saturating_mul(1_000_000_000).saturating_add(i64::from(at.tv_nsec));
        let device = |major: u32, minor: u32| u64::from(major) << 32 | u64::from(minor);
        Self {
            mode: u32::from(found.stx_mode),
            uid: found.stx_uid,
            gid: found.stx_gid,
            size: found.stx_size,
            stored: found.stx_blocks.saturating_mul(512),
            modified: nanos(found.stx_mtime),
            changed: nanos(found.stx_ctime),
            inode: found.stx_ino,
            links: found.stx_nlink,
            on: device(found.stx_dev_major, found.stx_dev_minor),
            is: device(found.stx_rdev_major, found.stx_rdev_minor),
        }
    }

    /// The device on which it lies, as one number: `st_dev` of stat(2).
    pub fn device(&self) -> u64 {
        libc::makedev((self.on >> 32) as u32, self.on as u32)
    }

    /// The type alone, as in `S_IFMT` of stat(2).
    pub fn kind(&self) -> u32 {
        self.mode & libc::S_IFMT
    }
}

/// What a file held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// BLAKE3 of the content; of a sparse file, of its blocks that are not zeros.
    pub hash: [u8; 32],
    /// It was read as a sparse file.
    pub sparse: bool,
    /// What it was when that was read.
    pub facts: Facts,
    /// BLAKE3 of as many bytes from the beginning as were asked for.
    pub beginning: Option<[u8; 32]>,
    /// The content itself, when it is not longer than asked for.
    pub bytes: Option<Vec<u8>>,
    /// Of a longer one, how it begins and how it ends, with a line break in between.
    pub ends: Option<Vec<u8>>,
}

/// Why a file was not read.
#[derive(Debug)]
pub enum Unread {
    /// It is not a regular file any more.
    NotAFile,
    /// It changed each time that it was read.
    Changing,
    /// Its end was not reached in time.
    Late,
    /// The kernel refuses.
    Refused(io::Error),
}

impl From<io::Error> for Unread {
    fn from(why: io::Error) -> Self {
        Self::Refused(why)
    }
}

/// What is wanted of a file besides its hash.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    /// The hash of so many bytes from the beginning.
    pub beginning: Option<u64>,
    /// The content, if it is not longer than so many bytes.
    pub bytes: usize,
    /// Otherwise so many bytes of its two ends together, if not 0.
    pub ends: usize,
    /// Reading ends here, wherever it is.
    pub until: Option<Instant>,
}

impl Wanted {
    fn in_time(&self) -> Result<(), Unread> {
        if self.until.is_some_and(|until| Instant::now() >= until) { Err(Unread::Late) } else { Ok(()) }
    }
}

/// An open directory.
#[derive(Debug)]
pub struct Folder {
    fd: OwnedFd,
}

impl Folder {
    /// Opens the directory at this path; links on the way are followed, for a person named it.
    ///
    /// # Errors
    /// When it is no directory or the kernel refuses.
    pub fn open(path: &Path) -> io::Result<Self> {
        let name = CString::new(path.as_os_str().as_bytes())?;
        Ok(Self { fd: openat(CWD, name.as_c_str(), OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())? })
    }

    /// Opens a directory in it; a link is none.
    ///
    /// # Errors
    /// When it is no directory or the kernel refuses.
    pub fn child(&self, name: &CStr) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self { fd: openat(&self.fd, name, flags, Mode::empty())? })
    }

    /// All names in it, in the order of their bytes.
    ///
    /// # Errors
    /// When the kernel stops telling them.
    pub fn names(&self) -> io::Result<Vec<CString>> {
        let mut buffer = vec![MaybeUninit::uninit(); NAMES];
        let mut entries = RawDir::new(self.fd.as_fd(), &mut buffer);
        let mut names = Vec::new();
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            if !matches!(name.to_bytes(), b"." | b"..") {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// What this name is; of a link, the link itself.
    ///
    /// # Errors
    /// When it is gone or the kernel refuses.
    pub fn facts(&self, name: &CStr) -> io::Result<Facts> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        Ok(Facts::of(&statx(&self.fd, name, flags, StatxFlags::BASIC_STATS)?))
    }

    /// Where a link leads.
    ///
    /// # Errors
    /// When it is none or the kernel refuses.
    pub fn target(&self, name: &CStr) -> io::Result<Vec<u8>> {
        Ok(readlinkat(&self.fd, name, Vec::new())?.into_bytes())
    }

    /// The extended attributes of this name, a link's own, by name. A file system without any is well.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn attributes(&self, name: &CStr) -> io::Result<Vec<(CString, Vec<u8>)>> {
        // The way through the descriptor: no directory on it can be swapped, and the name itself is not followed.
        let path = [format!("/proc/self/fd/{}/", self.fd.as_raw_fd()).as_bytes(), name.to_bytes()].concat();
        let path = CString::new(path)?;
        xattrs::at(&path)
    }

    /// Opens a regular file in it for reading.
    ///
    /// # Errors
    /// [`Unread`], without `Changing` and `Late`.
    pub fn file(&self, name: &CStr) -> Result<File, Unread> {
        let place = openat(&self.fd, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).map_err(io::Error::from)?;
        if !File::from(place.try_clone()?).metadata()?.is_file() {
            return Err(Unread::NotAFile);
        }
        let path = CString::new(format!("/proc/self/fd/{}", place.as_raw_fd())).map_err(io::Error::from)?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = openat(CWD, path.as_c_str(), flags | OFlags::NOATIME, Mode::empty())
            .or_else(|_| openat(CWD, path.as_c_str(), flags, Mode::empty()))
            .map_err(io::Error::from)?;
        Ok(File::from(file))
    }

    /// Reads a regular file to the end that it had when it was opened, again when it changed meanwhile; bytes that were added behind that
    /// end are no change.
    ///
    /// # Errors
    /// [`Unread`].
    pub fn read(&self, name: &CStr, wanted: Wanted) -> Result<Read, Unread> {
        let file = self.file(name)?;
        for _ in 0..ATTEMPTS {
            let before = facts(&file)?;
            let read = read_once(&file, before, wanted)?;
            let after = facts(&file)?;
            let grew = after.size > before.size && read_to_the_same(&file, &read, wanted.until)?;
            if (after.modified, after.size) == (before.modified, before.size) || grew {
                return Ok(read);
            }
        }
        Err(Unread::Changing)
    }

    /// How a regular file begins and how it ends, as it is just now: `most` bytes together with a line break in between, or all of a shorter one.
    ///
    /// # Errors
    /// [`Unread`], without `Changing` and `Late`.
    pub fn ends(&self, name: &CStr, most: usize) -> Result<Vec<u8>, Unread> {
        let file = self.file(name)?;
        let size = facts(&file)?.size;
        if size > most as u64 {
            return Ok(ends(&file, size, most)?.unwrap_or_default());
        }
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(most)];
        let read = fill(&file, 0, &mut bytes)?;
        bytes.truncate(read);
        Ok(bytes)
    }

    /// What kind of file system this is, when files of it are made up by the kernel or lie on another host.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn file_system(&self) -> io::Result<FileSystem> {
        Ok(FileSystem::of_number(fstatfs(&self.fd)?.f_type as u64 & 0xffff_ffff))
    }

    /// Its own device number.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn device(&self) -> io::Result<u64> {
        Ok(Facts::of(&statx(&self.fd, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)?).on)
    }
}

fn facts(file: &File) -> io::Result<Facts> {
    Ok(Facts::of(&statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)?))
}

/// Whether the first bytes are still those that were read, after something was added behind them.
fn read_to_the_same(file: &File, read: &Read, until: Option<Instant>) -> Result<bool, Unread> {
    let again = read_once(file, read.facts, Wanted { until, ..Wanted::default() })?;
    Ok(again.hash == read.hash)
}

fn read_once(file: &File, facts: Facts, wanted: Wanted) -> Result<Read, Unread> {
    if facts.size >= facts.stored.saturating_add(SPARSE) {
        let ends = ends(file, facts.size, wanted.ends)?;
        return Ok(Read { hash: sparse(file, facts.size, wanted)?, sparse: true, facts, beginning: None, bytes: None, ends });
    }
    let keep = facts.size <= wanted.bytes as u64;
    let (mut bytes, mut hasher) = (Vec::new(), blake3::Hasher::new());
    // The beginning of a file that was empty is nothing, and known before the first byte.
    let mut beginning = (wanted.beginning == Some(0)).then(|| *hasher.finalize().as_bytes());
    let mut room = vec![0u8; usize::try_from(facts.size).unwrap_or(READ).clamp(1, READ)];
    let mut at = 0u64;
    while at < facts.size {
        wanted.in_time()?;
        let left = usize::try_from(facts.size - at).unwrap_or(READ).min(room.len());
        // A hash of the beginning ends in the midst of what is read.
        let until = wanted.beginning.filter(|end| *end > at).map_or(left, |end| usize::try_from(end - at).unwrap_or(left).min(left));
        let Some(part) = room.get_mut(..until) else { break };
        let read = fill(file, at, part)?;
        if read == 0 {
            break;
        }
        let part = room.get(..read).unwrap_or_default();
        hasher.update(part);
        if keep {
            bytes.extend_from_slice(part);
        }
        at += read as u64;
        if wanted.beginning == Some(at) {
            beginning = Some(*hasher.finalize().as_bytes());
        }
    }
    let ends = if keep { None } else { ends(file, facts.size, wanted.ends)? };
    Ok(Read { hash: *hasher.finalize().as_bytes(), sparse: false, facts, beginning, bytes: keep.then_some(bytes), ends })
}

/// The first and the last bytes of a file, with a line break in between: `most` together, or all of a shorter one.
fn ends(file: &File, size: u64, most: usize) -> io::Result<Option<Vec<u8>>> {
    let half = most.saturating_sub(1) / 2;
    if half == 0 {
        return Ok(None);
    }
    let (mut both, mut room) = (Vec::with_capacity(most), vec![0u8; half]);
    let read = fill(file, 0, &mut room)?;
    both.extend_from_slice(room.get(..read).unwrap_or_default());
    both.push(b'\n');
    let read = fill(file, size.saturating_sub(half as u64).max(read as u64), &mut room)?;
    both.extend_from_slice(room.get(..read).unwrap_or_default());
    Ok(Some(both))
}

/// Each block that is not all zeros, with its number: the same whether zeros are written or left out.
fn sparse(file: &File, size: u64, wanted: Wanted) -> Result<[u8; 32], Unread> {
    const BLOCK: u64 = 64 << 10;
    let mut hasher = blake3::Hasher::new_derive_key("bartizan sparse file 1");
    hasher.update(&size.to_le_bytes());
    let mut room = vec![0u8; BLOCK as usize];
    let mut at = 0u64;
    while at < size {
        wanted.in_time()?;
        match holes::data_behind(file, at)? {
            None => break,
            Some(data) if data >= at + BLOCK => {
                at = data / BLOCK * BLOCK;
                continue;
            }
            Some(_) => {}
        }
        let read = fill(file, at, &mut room)?;
        let part = room.get(..read).unwrap_or_default();
        if part.iter().any(|byte| *byte != 0) {
            hasher.update(&at.to_le_bytes());
            hasher.update(part);
        }
        at += BLOCK;
    }
    Ok(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::FileExt;
    use std::os::unix::fs::symlink;

    fn name(text: &str) -> CString {
        CString::new(text).unwrap()
    }

    #[test]
    fn only_files_are_read_and_no_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("file"), "abc").unwrap();
        fs::create_dir(at("folder")).unwrap();
        symlink("file", at("link")).unwrap();
        symlink("folder", at("linked")).unwrap();
        nix::unistd::mkfifo(&at("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        assert_eq!(folder.names().unwrap(), ["fifo", "file", "folder", "link", "linked"].map(name));
        let read = |what: &str| folder.read(&name(what), Wanted { beginning: Some(2), bytes: 3, ..Wanted::default() });
        let found = read("file").unwrap();
        assert_eq!(found.hash, *blake3::hash(b"abc").as_bytes());
        assert_eq!(found.beginning, Some(*blake3::hash(b"ab").as_bytes()));
        assert_eq!(found.bytes.as_deref(), Some(&b"abc"[..]));
        let empty = folder.read(&name("file"), Wanted { beginning: Some(0), ..Wanted::default() }).unwrap();
        assert_eq!(empty.beginning, Some(*blake3::hash(b"").as_bytes()));
        for other in ["fifo", "folder", "link"] {
            assert!(matches!(read(other), Err(Unread::NotAFile)), "{other}");
        }
        assert!(folder.child(&name("linked")).is_err());
        assert_eq!(folder.target(&name("link")).unwrap(), b"file");
        assert_eq!(folder.facts(&name("link")).unwrap().kind(), libc::S_IFLNK);
        assert_eq!(Folder::open(Path::new("/proc")).unwrap().file_system().unwrap(), FileSystem::Kernel);
    }

    #[test]
    fn a_terabyte_of_holes_is_hashed_at_once_and_is_the_same_as_written_zeros() {
        let dir = tempfile::tempdir().unwrap();
        let make = |name: &str, size: u64, zeros: u64| {
            let file = File::create(dir.path().join(name)).unwrap();
            file.set_len(size).unwrap();
            file.write_all_at(b"data", 200_000).unwrap();
            file.write_all_at(&vec![0; zeros as usize], 400_000).unwrap();
        };
        make("holes", 1 << 40, 0);
        make("zeros", 1 << 40, 300_000);
        make("longer", (1 << 40) + 1, 0);
        let folder = Folder::open(dir.path()).unwrap();
        let hash = |what: &str| folder.read(&name(what), Wanted::default()).unwrap();
        let began = std::time::Instant::now();
        assert!(hash("holes").sparse);
        assert_eq!(hash("holes").hash, hash("zeros").hash);
        assert_ne!(hash("holes").hash, hash("longer").hash);
        assert!(began.elapsed().as_secs() < 5);
    }

    #[test]
    fn of_a_long_file_both_ends_are_told() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("long"), [&b"begins"[..], &[b'.'; 300_000], b"ends"].concat()).unwrap();
        let holes = File::create(dir.path().join("holes")).unwrap();
        holes.write_all_at(b"begins", 0).unwrap();
        holes.write_all_at(b"ends", (4 << 20) - 4).unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        for (what, filler, sparse) in [("long", ".", false), ("holes", "\0", true)] {
            let found = folder.read(&name(what), Wanted { ends: 21, ..Wanted::default() }).unwrap();
            let wanted = format!("begins{}\n{}ends", filler.repeat(4), filler.repeat(6));
            assert_eq!((found.ends.as_deref(), found.bytes, found.sparse), (Some(wanted.as_bytes()), None, sparse));
            let whole = folder.read(&name("long"), Wanted { bytes: 1 << 20, ends: 21, ..Wanted::default() }).unwrap();
            assert_eq!((whole.bytes.map(|bytes| bytes.len()), whole.ends), (Some(300_010), None));
            assert_eq!(folder.ends(&name(what), 21).unwrap(), wanted.as_bytes());
            let until = Some(std::time::Instant::now());
            assert!(matches!(folder.read(&name(what), Wanted { until, ..Wanted::default() }), Err(Unread::Late)), "{what}");
        }
        assert_eq!(folder.ends(&name("long"), 1 << 20).unwrap().len(), 300_010, "a short one is told whole");
    }

    #[test]
    fn attributes_are_those_of_the_name_itself() {
        let dir = tempfile::tempdir().unwrap();
        let file = File::create(dir.path().join("file")).unwrap();
        if super::super::xattrs::set(&file, c"user.mark", b"here").is_err() {
            return eprintln!("skipped: no extended attributes here");
        }
        symlink("file", dir.path().join("link")).unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        assert_eq!(folder.attributes(&name("file")).unwrap(), [(name("user.mark"), b"here".to_vec())]);
        assert_eq!(folder.attributes(&name("link")).unwrap(), []);
    }
}
