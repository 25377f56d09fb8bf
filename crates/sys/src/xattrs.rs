//! Extended attributes (xattr(7)) of an open file, or of what lies at a path: labels of SELinux, access control lists, capabilities.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;

use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fremovexattr, fsetxattr, lgetxattr, llistxattr};
use rustix::io::Errno;

/// Longest list and longest value (XATTR_LIST_MAX, XATTR_SIZE_MAX in linux/limits.h).
const MOST: usize = 64 << 10;
/// What most lists and values fit into.
const USUAL: usize = 512;
/// Bytes of all values of one file that are kept, of more only digests: tmpfs, XFS and btrfs let any user give a file far more.
const MAX_TOGETHER: usize = 256 << 10;

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
    Ok(split(&names))
}

/// All of what lies at a path, a link's own, by name. A file system without any is well.
///
/// # Errors
/// When the file system does not tell.
pub fn at(path: &CStr) -> io::Result<Vec<(CString, Vec<u8>)>> {
    let list = match usual_or_longest(|room| llistxattr(path, room)) {
        Err(Errno::NOTSUP) => return Ok(Vec::new()),
        list => list?,
    };
    let mut names = split(&list);
    names.sort_unstable();
    let (mut all, mut together) = (Vec::with_capacity(names.len()), 0);
    for name in names {
        match usual_or_longest(|room| lgetxattr(path, name.as_c_str(), room)) {
            Ok(value) => {
                together += value.len();
                // Whoever gives a file many would otherwise keep it from being looked at.
                let value = if together > MAX_TOGETHER { blake3::hash(&value).as_bytes().to_vec() } else { value };
                all.push((name, value));
            }
            // Gone since it was listed.
            Err(Errno::NODATA) => {}
            Err(why) => return Err(why.into()),
        }
    }
    Ok(all)
}

/// What a call fills in, first with the usual room.
fn usual_or_longest(mut call: impl FnMut(&mut [u8]) -> rustix::io::Result<usize>) -> rustix::io::Result<Vec<u8>> {
    let mut usual = [0u8; USUAL];
    match call(usual.as_mut_slice()) {
        Ok(length) => Ok(usual.get(..length).unwrap_or_default().to_vec()),
        Err(Errno::RANGE) => {
            let mut longest = vec![0u8; MOST];
            let length = call(longest.as_mut_slice())?;
            Ok(longest.get(..length).unwrap_or_default().to_vec())
        }
        Err(why) => Err(why),
    }
}

/// Names that each end in NUL.
fn split(list: &[u8]) -> Vec<CString> {
    let names = list.split_inclusive(|byte| *byte == 0).filter_map(|name| CStr::from_bytes_with_nul(name).ok());
    names.filter(|name| !name.is_empty()).map(CStr::to_owned).collect()
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

/// Removes one.
///
/// # Errors
/// When the file system refuses, or there is none of this name.
pub fn remove(file: &File, name: &CStr) -> io::Result<()> {
    Ok(fremovexattr(file, name)?)
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
