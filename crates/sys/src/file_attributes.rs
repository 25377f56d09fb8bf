//! The attributes of a file: mode, owner, times, capabilities, and whether it can be changed at all.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Statx, StatxAttributes, StatxFlags, StatxTimestamp, getxattr, statx};

use bartizan_model::{FileAttributes, Timestamp};

/// `struct vfs_ns_cap_data` (linux/capability.h), the longest form.
const LONGEST: usize = 24;

/// What a file is at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Which file: device as the kernel counts it (`major << 20 | minor`), and inode.
    pub file: (u32, u64),
    /// Its attributes; capabilities are asked for apart ([`capabilities`]).
    pub attributes: FileAttributes,
    /// It is an ordinary file.
    pub regular: bool,
    /// It is a directory.
    pub directory: bool,
    /// Size in bytes.
    pub size: u64,
    /// When it was made, where the file system keeps that.
    pub born: Option<Timestamp>,
}

/// Of an open file; a path alone (O_PATH) is enough.
///
/// # Errors
/// What statx(2) says.
pub fn of(file: &File) -> io::Result<Seen> {
    Ok(seen(&statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS | StatxFlags::BTIME)?))
}

/// Of what lies at a path, a link itself and not where it leads.
///
/// # Errors
/// What statx(2) says.
pub fn at(path: &Path) -> io::Result<Seen> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::STATX_DONT_SYNC;
    Ok(seen(&statx(CWD, path, flags, StatxFlags::BASIC_STATS | StatxFlags::BTIME)?))
}

fn seen(found: &Statx) -> Seen {
    let format = u32::from(found.stx_mode) & libc::S_IFMT;
    let fixed = StatxAttributes::IMMUTABLE | StatxAttributes::APPEND;
    let has_birth = StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::BTIME);
    Seen {
        file: (found.stx_dev_major << 20 | found.stx_dev_minor, found.stx_ino),
        attributes: FileAttributes {
            mode: u32::from(found.stx_mode) & 0o7777,
            uid: found.stx_uid,
            gid: found.stx_gid,
            modified: moment(&found.stx_mtime),
            capabilities: None,
            immutable: found.stx_attributes.intersects(fixed),
        },
        regular: format == libc::S_IFREG,
        directory: format == libc::S_IFDIR,
        size: found.stx_size,
        born: has_birth.then(|| moment(&found.stx_btime)),
    }
}

fn moment(at: &StatxTimestamp) -> Timestamp {
    Timestamp::from_timestamp(at.tv_sec, at.tv_nsec).unwrap_or_default()
}

/// The permitted set of capabilities that the file at `path` gives to whoever runs it, links followed.
pub fn capabilities(path: &Path) -> Option<u64> {
    let mut value = [0u8; LONGEST];
    let length = getxattr(path, c"security.capability", value.as_mut_slice()).ok()?;
    permitted(value.get(..length)?)
}

/// `le32 magic_etc`, then a pair of `le32 permitted, inheritable` for each 32 bits.
fn permitted(value: &[u8]) -> Option<u64> {
    let word = |at: usize| value.get(at..)?.first_chunk().map(|bytes| u64::from(u32::from_le_bytes(*bytes)));
    Some(word(4)? | word(12).unwrap_or(0) << 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_in_all_their_forms() {
        let two = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(permitted(&two), Some(0x80_0000_2000));
        assert_eq!(permitted(two.get(..12).unwrap()), Some(0x2000), "the first form has 32 bits");
        assert_eq!((permitted(&two[..6]), permitted(&[])), (None, None));
    }

    #[test]
    fn attributes_are_those_of_stat() {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "12345").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o4711)).unwrap();
        let (seen, stat) = (at(&path).unwrap(), std::fs::metadata(&path).unwrap());
        assert_eq!(seen, of(&File::open(&path).unwrap()).unwrap());
        assert_eq!((seen.attributes.mode, seen.size, seen.file.1, seen.regular), (0o4711, 5, stat.ino(), true));
        assert_eq!(seen.attributes.modified.timestamp(), stat.mtime());
        assert!(at(directory.path()).unwrap().directory);
    }
}
