//! How large the file system is that holds a place, and how much of it is free (statvfs(3)).

use std::io;
use std::path::Path;

/// Its size in bytes.
///
/// # Errors
/// As statvfs(3).
pub fn total(place: &Path) -> io::Result<u64> {
    let found = nix::sys::statvfs::statvfs(place)?;
    Ok(found.blocks().saturating_mul(found.fragment_size()))
}

/// Bytes of it that anybody may use; all of them when the kernel does not tell.
pub fn free(place: &Path) -> u64 {
    nix::sys::statvfs::statvfs(place).map_or(u64::MAX, |found| found.blocks_available().saturating_mul(found.fragment_size()))
}
