//! How large the file system is that holds a place (statvfs(3)).

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
