//! One name in one directory: what it is, whose, and what it holds; and how many of them become bytes.

use serde::{Deserialize, Serialize};

/// Longest value of an extended attribute that is kept as it is, in bytes; of a longer one the hash.
const LONGEST_VALUE: usize = 512;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A FIFO (named pipe).
    Fifo,
    /// A UNIX socket.
    Socket,
    /// A character device, with its device number.
    Character(u64),
    /// A block device, with its device number.
    Block(u64),
}

impl Kind {
    /// The noun.
    pub fn noun(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Link => "symbolic link",
            Self::Fifo => "FIFO",
            Self::Socket => "socket",
            Self::Character(_) => "character device",
            Self::Block(_) => "block device",
        }
    }
}

/// What it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// Nothing that could be read: directories, pipes, devices.
    None,
    /// BLAKE3 of a file.
    Hash([u8; 32]),
    /// BLAKE3 of the blocks of a sparse file that are not all zeros, with their places: holes of a terabyte are not read.
    Sparse([u8; 32]),
    /// Where a symbolic link leads.
    Target(Vec<u8>),
    /// It changed each time that it was read.
    Changing,
    /// The kernel did not let us read it: the error number (errno(3)).
    Unreadable(i32),
}

/// One extended attribute (xattr(7)): file capabilities, access control lists, labels of SELinux.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    /// Its name, `security.capability`.
    pub name: Vec<u8>,
    /// Its value; of one longer than 512 bytes `blake3:` and the hash in hex.
    pub value: Vec<u8>,
}

impl Attribute {
    /// An attribute as the kernel tells it.
    pub fn new(name: &[u8], value: Vec<u8>) -> Self {
        let short = value.len() <= LONGEST_VALUE;
        let value = if short { value } else { format!("blake3:{}", blake3::hash(&value).to_hex()).into_bytes() };
        Self { name: name.to_owned(), value }
    }
}

/// One name in one directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The name, without a slash.
    pub name: Vec<u8>,
    /// What it stands for.
    pub kind: Kind,
    /// Permission bits with set-uid, set-gid and sticky (0 to 0o7777).
    pub mode: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size in bytes.
    pub size: u64,
    /// Last change of content (mtime), nanoseconds since 1970. Anybody may set it.
    pub modified: i64,
    /// Last change of anything (ctime), nanoseconds since 1970. The kernel sets it.
    pub changed: i64,
    /// Inode number.
    pub inode: u64,
    /// Names of this inode.
    pub links: u32,
    /// What it holds.
    pub content: Content,
    /// Extended attributes, by name.
    pub attributes: Vec<Attribute>,
    /// It had not changed for a while when it was read: an equal ctime then proves that it did not change since. A file that was written
    /// a moment before may be written again without a new ctime (granularity of clocks; pages mapped for writing).
    pub settled: bool,
}

impl Entry {
    /// Whether nothing that the kernel tells without opening it is another, so that what it holds need not be read again.
    pub fn is_untouched(&self, now: &Self) -> bool {
        let of = |entry: &Self| {
            (entry.kind, entry.mode, entry.uid, entry.gid, entry.size, entry.modified, entry.changed, entry.inode, entry.links)
        };
        let read = !matches!(self.content, Content::Changing | Content::Unreadable(_));
        self.settled && read && of(self) == of(now)
    }
}

/// Bytes that no version of ours wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotEntries;

/// The entries of one directory as bytes.
pub fn encode(entries: &[Entry]) -> Vec<u8> {
    // Into memory it cannot fail.
    postcard::to_stdvec(entries).unwrap_or_default()
}

/// The other way.
///
/// # Errors
/// When these bytes are no entries.
pub fn decode(bytes: &[u8]) -> Result<Vec<Entry>, NotEntries> {
    postcard::from_bytes(bytes).map_err(|_| NotEntries)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn file(name: &str, holds: &[u8]) -> Entry {
        Entry {
            name: name.into(),
            kind: Kind::File,
            mode: 0o644,
            uid: 0,
            gid: 0,
            size: holds.len() as u64,
            modified: 1_000,
            changed: 1_000,
            inode: 7,
            links: 1,
            content: Content::Hash(*blake3::hash(holds).as_bytes()),
            attributes: Vec::new(),
            settled: true,
        }
    }

    #[test]
    fn entries_come_back_as_they_were_and_hostile_bytes_are_refused() {
        let mut odd = file("a\n\x1b[2J", b"x");
        odd.attributes = vec![Attribute::new(b"user.long", vec![7; 5_000]), Attribute::new(b"user.short", vec![0, 255])];
        odd.content = Content::Target(b"/nowhere".to_vec());
        let entries = vec![file("b", b""), odd];
        let bytes = encode(&entries);
        assert_eq!(decode(&bytes), Ok(entries));
        assert!(bytes.len() < 400, "a long value is kept as its hash: {} bytes", bytes.len());
        for cut in 0..bytes.len() {
            assert_eq!(decode(&bytes[..cut]), Err(NotEntries), "cut at {cut}");
        }
        assert_eq!(decode(&[0xff; 64]), Err(NotEntries));
    }

    #[test]
    fn what_was_read_a_moment_after_a_change_is_read_again() {
        let old = file("a", b"x");
        assert!(old.is_untouched(&old));
        assert!(!Entry { settled: false, ..old.clone() }.is_untouched(&old));
        assert!(!old.is_untouched(&Entry { changed: 1_001, ..old.clone() }), "mtime restored: ctime tells");
        assert!(!Entry { content: Content::Unreadable(13), ..old.clone() }.is_untouched(&old));
    }
}
