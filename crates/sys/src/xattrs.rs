//! Extended attributes of one file given to another: labels of SELinux, access control lists.

use std::ffi::{CStr, c_void};
use std::io;
use std::os::fd::RawFd;

/// Longest list and longest value (XATTR_LIST_MAX, XATTR_SIZE_MAX in linux/limits.h).
const MOST: usize = 64 << 10;

/// Copies all of them between two open files. A file system without any is well.
///
/// # Errors
/// When one cannot be read or set.
pub fn copy(from: RawFd, to: RawFd) -> io::Result<()> {
    let mut names = vec![0u8; MOST];
    // SAFETY: the buffer is as long as said.
    let length = unsafe { libc::flistxattr(from, names.as_mut_ptr().cast(), names.len()) };
    let Ok(length) = usize::try_from(length) else {
        let why = io::Error::last_os_error();
        return if why.raw_os_error() == Some(libc::ENOTSUP) { Ok(()) } else { Err(why) };
    };
    names.truncate(length);
    let mut value = vec![0u8; MOST];
    for name in names.split_inclusive(|byte| *byte == 0).filter_map(|name| CStr::from_bytes_with_nul(name).ok()) {
        // SAFETY: a name that ends with zero, and a buffer as long as said.
        let length = unsafe { libc::fgetxattr(from, name.as_ptr(), value.as_mut_ptr().cast::<c_void>(), value.len()) };
        let Ok(length) = usize::try_from(length) else { return Err(io::Error::last_os_error()) };
        // SAFETY: a name that ends with zero, and `length` bytes of a buffer at least that long.
        if unsafe { libc::fsetxattr(to, name.as_ptr(), value.as_ptr().cast::<c_void>(), length.min(MOST), 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
