//! Holes of a sparse file (lseek(2), `SEEK_DATA`): a log that was cut short under a program that writes on where it was begins with one.

use std::fs::File;
use std::io;

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

use super::plain_file::fill;

/// A shorter hole is read as the zero bytes that it stands for.
const LEAST: u64 = 64 << 10;
/// Bytes of a hole that are looked at before it is believed: file systems were wrong about holes before (OpenZFS issue 15526).
const PROOF: usize = 4096;

/// Where data begins behind the hole in which `from` lies; `from` itself when it lies in none, `None` when nothing but the hole follows.
///
/// # Errors
/// As lseek(2) and pread(2).
pub fn data_behind(file: &File, from: u64) -> io::Result<Option<u64>> {
    let Ok(offset) = i64::try_from(from) else { return Ok(Some(from)) };
    let data = match lseek(file, offset, Whence::SeekData) {
        Ok(data) => Some(data.unsigned_abs()),
        Err(Errno::ENXIO) => None,
        // A file system that knows of no holes.
        Err(Errno::EINVAL | Errno::EOPNOTSUPP | Errno::ENOSYS) => Some(from),
        Err(why) => return Err(why.into()),
    };
    if data.is_some_and(|data| data < from.saturating_add(LEAST)) {
        return Ok(Some(from));
    }
    let mut proof = vec![0; PROOF];
    let read = fill(file, from, &mut proof)?;
    let is_hole = proof.get(..read).unwrap_or_default().iter().all(|byte| *byte == 0);
    Ok(if is_hole { data } else { Some(from) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn a_hole_is_passed_over_and_data_never_is() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(b"data", 0).unwrap();
        assert_eq!(data_behind(&file, 2).unwrap(), Some(2));
        file.write_all_at(b"more", 1 << 30).unwrap();
        let behind = data_behind(&file, 1 << 20).unwrap();
        // A file system without holes says that all of it is data.
        assert!(behind == Some(1 << 30) || behind == Some(1 << 20), "{behind:?}");
        assert_eq!(data_behind(&file, (1 << 30) - 100).unwrap(), Some((1 << 30) - 100), "too short a hole to be passed over");
        assert_eq!(data_behind(&file, 1 << 30).unwrap(), Some(1 << 30));
        file.set_len(1 << 31).unwrap();
        let end = data_behind(&file, (1 << 30) + (1 << 20)).unwrap();
        assert!(end.is_none() || behind == Some(1 << 20), "{end:?}");
    }
}
