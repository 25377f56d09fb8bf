//! Extended attributes of an open file: labels of SELinux, access control lists.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// Longest list and longest value (XATTR_LIST_MAX, XATTR_SIZE_MAX in linux/limits.h).
const MOST: usize = 64 << 10;

/// The names of all of them. A file system without any is well.
///
/// # Errors
/// When the file system does not tell.
pub fn names(file: &File) -> io::Result<Vec<CString>> {
    let mut names = vec![0u8; MOST];
    // SAFETY: the buffer is ours, writable, and as long as we say.
    let got = unsafe { libc::flistxattr(file.as_raw_fd(), names.as_mut_ptr().cast(), names.len()) };
    let Ok(length) = usize::try_from(got) else {
        let why = io::Error::last_os_error();
        return if is_unsupported(&why) { Ok(Vec::new()) } else { Err(why) };
    };
    names.truncate(length);
    let names = names.split_inclusive(|byte| *byte == 0).filter_map(|name| CStr::from_bytes_with_nul(name).ok());
    Ok(names.filter(|name| !name.is_empty()).map(CStr::to_owned).collect())
}

/// What one holds.
///
/// # Errors
/// When there is none of this name.
pub fn value(file: &File, name: &CStr) -> io::Result<Vec<u8>> {
    let mut value = vec![0u8; MOST];
    // SAFETY: the name ends with a zero; the buffer is ours, writable, and as long as we say.
    let got = unsafe { libc::fgetxattr(file.as_raw_fd(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    value.truncate(usize::try_from(got).map_err(|_| io::Error::last_os_error())?);
    Ok(value)
}

/// Sets one.
///
/// # Errors
/// When the file system refuses; [`is_unsupported`] tells whether it has no such thing.
pub fn set(file: &File, name: &CStr, value: &[u8]) -> io::Result<()> {
    // SAFETY: the name ends with a zero; the value is as long as we say.
    match unsafe { libc::fsetxattr(file.as_raw_fd(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Gives all of one file to another.
///
/// # Errors
/// When one cannot be read or set.
pub fn copy(from: &File, to: &File) -> io::Result<()> {
    names(from)?.iter().try_for_each(|name| set(to, name, &value(from, name)?))
}

/// The file system has no such thing.
pub fn is_unsupported(why: &io::Error) -> bool {
    why.raw_os_error() == Some(libc::ENOTSUP)
}
