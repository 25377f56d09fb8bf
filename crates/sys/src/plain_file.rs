//! Opening a file whose name others may have given to something else: a FIFO, a device, a link to what is not theirs.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Why it was not opened.
#[derive(Debug, thiserror::Error)]
pub enum NotOpened {
    /// Nothing has this name.
    #[error("there is no such file")]
    Missing,
    /// Something else has it.
    #[error("it is a {0}, not a file")]
    NotAFile(&'static str),
    /// A symbolic link whose maker owns neither the host nor what it points to.
    #[error("it is a symbolic link made by uid {by} to a file of uid {of}: make the link as root, or name the file itself")]
    ForeignLink {
        /// Owner of the link.
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

/// Opens a file for reading. Nothing else is opened, not even for a moment: opening a device may do something.
///
/// # Errors
/// [`NotOpened`].
pub fn open(path: &Path) -> Result<(File, Metadata), NotOpened> {
    let link = std::fs::symlink_metadata(path)?;
    let place = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(path)?;
    let found = place.metadata()?;
    let kind = found.file_type();
    if !kind.is_file() {
        return Err(NotOpened::NotAFile(match () {
            () if kind.is_dir() => "directory",
            () if kind.is_fifo() => "FIFO",
            () if kind.is_socket() => "socket",
            () => "device",
        }));
    }
    if link.file_type().is_symlink() && link.uid() != 0 && link.uid() != found.uid() {
        return Err(NotOpened::ForeignLink { by: link.uid(), of: found.uid() });
    }
    let file = File::open(format!("/proc/self/fd/{}", place.as_raw_fd())).map_err(NotOpened::Refused)?;
    Ok((file, found))
}

/// BLAKE3, in hex, of the first `length` bytes of a file, or of as many as it has; and how many those were.
///
/// # Errors
/// When it cannot be read.
pub fn beginning(file: &File, length: usize) -> io::Result<(String, usize)> {
    use std::os::unix::fs::FileExt;
    let (mut bytes, mut read) = (vec![0; length], 0);
    while let Some(room) = bytes.get_mut(read..).filter(|room| !room.is_empty()) {
        match file.read_at(room, read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            Err(why) => return Err(why),
        }
    }
    Ok((blake3::hash(bytes.get(..read).unwrap_or_default()).to_hex().to_string(), read))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{chown, lchown, symlink};

    #[test]
    fn only_a_file_is_opened_and_a_strangers_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let said = |name: &str| open(&at(name)).map(|_| "opened".to_owned()).unwrap_or_else(|why| why.to_string());
        std::fs::write(at("log"), "x").unwrap();
        nix::unistd::mkfifo(&at("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        symlink("/dev/null", at("device")).unwrap();
        symlink("log", at("link")).unwrap();
        symlink("nowhere", at("nothing")).unwrap();
        let told = ["log", "fifo", "device", "link", "nothing", "log/x"].map(said);
        let missing = "there is no such file";
        assert_eq!(told, ["opened", "it is a FIFO, not a file", "it is a device, not a file", "opened", missing, missing]);
        assert_eq!(open(dir.path()).unwrap_err().to_string(), "it is a directory, not a file");
        if lchown(at("link"), Some(1234), None).is_ok() {
            assert!(said("link").starts_with("it is a symbolic link made by uid 1234 to a file of uid 0"), "{}", said("link"));
            chown(at("log"), Some(1234), None).unwrap();
            assert_eq!(said("link"), "opened", "its own");
        }
    }

    #[test]
    fn the_beginning_is_that_of_what_is_there() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abcdef").unwrap();
        let (hash, length) = beginning(file.as_file(), 4).unwrap();
        assert_eq!((hash, length), (blake3::hash(b"abcd").to_hex().to_string(), 4));
        assert_eq!(beginning(file.as_file(), 1024).unwrap().1, 6);
    }
}
