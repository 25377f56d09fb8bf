//! A file beyond its name: file system and handle, as fanotify reports them (name_to_handle_at(2)).

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Ask for a handle that identifies only, so that file systems which cannot open by handle answer too (Linux 6.5).
const AT_HANDLE_FID: i32 = 0x200;
/// Longest handle: MAX_HANDLE_SZ in linux/fs.h.
const LONGEST: usize = 128;
/// Bytes of `struct file_handle` before the handle itself: u32 handle_bytes, i32 handle_type.
const HEADER: usize = 8;

/// Which file: file system id, handle type and handle.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Handle {
    fsid: [u8; 8],
    handle: Box<[u8]>,
}

impl Handle {
    /// The handle of what `path` leads to, symbolic links followed.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let name = CString::new(path.as_os_str().as_bytes())?;
        // A kernel before 6.5 refuses the flag.
        let handle = ask(&name, AT_HANDLE_FID).or_else(|_| ask(&name, 0))?;
        let mut fs = MaybeUninit::<libc::statfs>::uninit();
        // SAFETY: the path is NUL-terminated, the buffer is of the right type and read only after success.
        let fs = unsafe {
            if libc::statfs(name.as_ptr(), fs.as_mut_ptr()) < 0 {
                return Err(io::Error::last_os_error());
            }
            fs.assume_init()
        };
        // SAFETY: fsid_t is two 32-bit integers without padding, and the same 8 bytes that fanotify reports.
        let fsid = unsafe { std::mem::transmute::<libc::fsid_t, [u8; 8]>(fs.f_fsid) };
        Ok(Self { fsid, handle })
    }

    /// Reads `struct fanotify_event_info_fid` after its header: fsid, handle; what follows (the name) is returned too.
    pub(super) fn read(body: &[u8]) -> Option<(Self, &[u8])> {
        let (fsid, rest) = body.split_first_chunk::<8>()?;
        let size = u32::from_ne_bytes(*rest.first_chunk::<4>()?) as usize;
        let (handle, rest) = rest.split_at_checked(HEADER.checked_add(size)?)?;
        Some((Self { fsid: *fsid, handle: handle.into() }, rest))
    }
}

impl Handle {
    /// The file system on which it lies, as statfs(2) numbers it.
    pub(super) fn file_system(&self) -> [u8; 8] {
        self.fsid
    }

    /// Opens the file as a path alone, through any open path on the same file system.
    pub(super) fn open(&self, door: &File) -> io::Result<File> {
        // As u64 for the alignment that the structure needs.
        let mut buffer = [0u64; (HEADER + LONGEST) / 8];
        if self.handle.len() > size_of_val(&buffer) {
            return Err(io::Error::from_raw_os_error(libc::EOVERFLOW));
        }
        // SAFETY: the handle fits, as just checked; the buffer outlives the call; the descriptors are open, and the new one is ours.
        unsafe {
            std::ptr::copy_nonoverlapping(self.handle.as_ptr(), buffer.as_mut_ptr().cast(), self.handle.len());
            match libc::open_by_handle_at(door.as_raw_fd(), buffer.as_mut_ptr().cast(), libc::O_PATH | libc::O_CLOEXEC) {
                found if found >= 0 => Ok(File::from_raw_fd(found)),
                _ => Err(io::Error::last_os_error()),
            }
        }
    }
}

/// `struct file_handle` as bytes, header included.
fn ask(name: &CString, flag: i32) -> io::Result<Box<[u8]>> {
    // As u64 for the alignment that the structure needs.
    let mut buffer = [0u64; (HEADER + LONGEST) / 8];
    let pointer = buffer.as_mut_ptr().cast::<libc::file_handle>();
    let mut mount = 0;
    // SAFETY: the buffer is aligned, has room for a header and LONGEST bytes as handle_bytes says, and outlives the call.
    let done = unsafe {
        (*pointer).handle_bytes = LONGEST as u32;
        libc::name_to_handle_at(libc::AT_FDCWD, name.as_ptr(), pointer, &raw mut mount, libc::AT_SYMLINK_FOLLOW | flag)
    };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    let bytes: Vec<u8> = buffer.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let size = bytes.first_chunk::<4>().map_or(0, |size| u32::from_ne_bytes(*size)) as usize;
    bytes.get(..HEADER + size).map(Box::from).ok_or_else(|| io::Error::from_raw_os_error(libc::EOVERFLOW))
}
