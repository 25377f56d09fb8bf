//! Extended attributes of an open file: labels of SELinux, access control lists.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;

use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fsetxattr};

/// Longest list and longest value (XATTR_LIST_MAX, XATTR_SIZE_MAX in linux/limits.h).
const MOST: usize = 64 << 10;

/// The names of all of them. A file system without any is well.
///
/// # Errors
/// When the file system does not tell.
pub fn names(file: &File) -> io::Result<Vec<CString>> {
    let mut names = vec![0u8; MOST];
    match flistxattr(file, names.as_mut_slice()).map_err(io::Error::from) {
        Ok(length) => names.truncate(length),
        Err(why) if is_unsupported(&why) => return Ok(Vec::new()),
        Err(why) => return Err(why),
    }
    let names = names.split_inclusive(|byte| *byte == 0).filter_map(|name| CStr::from_bytes_with_nul(name).ok());
    Ok(names.filter(|name| !name.is_empty()).map(CStr::to_owned).collect())
}

/// What one holds.
///
/// # Errors
/// When there is none of this name.
pub fn value(file: &File, name: &CStr) -> io::Result<Vec<u8>> {
    let mut value = vec![0u8; MOST];
    let length = fgetxattr(file, name, value.as_mut_slice())?;
    value.truncate(length);
    Ok(value)
}

/// Sets one.
///
/// # Errors
/// When the file system refuses; [`is_unsupported`] tells whether it has no such thing.
pub fn set(file: &File, name: &CStr, value: &[u8]) -> io::Result<()> {
    Ok(fsetxattr(file, name, value, XattrFlags::empty())?)
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
