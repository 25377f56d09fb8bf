//! What a file is at this moment: content hash, owner, mode, without being led astray by links, pipes or size.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Files up to this size are hashed; start-up files are text of a few KiB, modules of a few hundred.
const LONGEST: u64 = 1024 * 1024;

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// BLAKE3 of the content in hex; of a symbolic link, of its target. `None` when larger than 1 MiB or neither file nor link.
    pub hash: Option<String>,
    /// Size in bytes.
    pub size: u64,
    /// Type and permission bits, as in stat(2).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Inode number.
    pub inode: u64,
    /// Last change of content, nanoseconds since 1970.
    pub modified: i64,
}

impl Digest {
    /// Whether the content is another: by hash, or by size, time and inode for what cannot be hashed.
    pub fn differs(&self, other: &Self) -> bool {
        match (&self.hash, &other.hash) {
            (Some(one), Some(two)) => one != two,
            (None, None) => (self.size, self.modified, self.inode) != (other.size, other.modified, other.inode),
            _ => true,
        }
    }

    /// Whether owner, group or mode is another.
    pub fn owned_otherwise(&self, other: &Self) -> bool {
        (self.mode, self.uid, self.gid) != (other.mode, other.uid, other.gid)
    }
}

/// What `path` is now; `None` when there is nothing.
///
/// # Errors
/// When it is there and cannot be read.
pub fn digest(path: &Path) -> io::Result<Option<Digest>> {
    match look(path) {
        Ok(found) => Ok(Some(found)),
        Err(why) if matches!(why.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(why) => Err(why),
    }
}

fn look(path: &Path) -> io::Result<Digest> {
    let found = path.symlink_metadata()?;
    if found.is_symlink() {
        let target = path.read_link()?;
        return Ok(of(&found, Some(blake3::hash(target.as_os_str().as_bytes()))));
    }
    if !found.is_file() {
        return Ok(of(&found, None));
    }
    // It may have become a pipe or a link since: do not follow, do not wait.
    let mut file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC).open(path)?;
    let found = file.metadata()?;
    let hash = if found.is_file() { hash(&mut file)? } else { None };
    Ok(of(&found, hash))
}

fn hash(file: &mut File) -> io::Result<Option<blake3::Hash>> {
    let mut hasher = blake3::Hasher::new();
    let length = io::copy(&mut file.take(LONGEST + 1), &mut hasher)?;
    Ok((length <= LONGEST).then(|| hasher.finalize()))
}

fn of(found: &std::fs::Metadata, hash: Option<blake3::Hash>) -> Digest {
    Digest {
        hash: hash.map(|hash| hash.to_hex().to_string()),
        size: found.size(),
        mode: found.mode(),
        uid: found.uid(),
        gid: found.gid(),
        inode: found.ino(),
        modified: found.mtime().saturating_mul(1_000_000_000).saturating_add(found.mtime_nsec()),
    }
}

/// Opens a plain file to read it. Links are followed; a pipe or a device, whose opening may never end, is refused.
///
/// # Errors
/// When it is not there or not a regular file.
pub fn open_plain(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok(file)
}

/// The content of a small file, at most `most` bytes; the same care as [`digest`] but links are followed.
///
/// # Errors
/// When it is not there, not a regular file, or longer.
pub fn read_bounded(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = open_plain(path)?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {most} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_pipes_and_large_files_are_not_fallen_for() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("file"), "x").unwrap();
        std::os::unix::fs::symlink("/etc/shadow", at("link")).unwrap();
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        File::create(at("large")).unwrap().set_len(LONGEST + 1).unwrap();
        let hash = |name: &str| digest(&at(name)).unwrap().unwrap().hash;
        assert_eq!(hash("file"), Some(blake3::hash(b"x").to_hex().to_string()));
        assert_eq!(hash("link"), Some(blake3::hash(b"/etc/shadow").to_hex().to_string()));
        assert_eq!((hash("pipe"), hash("large")), (None, None));
        assert_eq!(digest(&at("missing")).unwrap(), None);
    }
}
