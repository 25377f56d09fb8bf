//! Locks of whole files as fcntl(2) has them: other programs take the same ones, and the kernel tells who holds one.

use std::fs::File;
use std::io;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

/// Who has the lock once it is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// This process: any close of the file by it gives the lock away, and [`held_by`] names it.
    Process,
    /// The open file: no other close gives it away.
    OpenFile,
}

/// Takes the lock for writing; `false` when another has it.
///
/// # Errors
/// When the file system refuses.
pub fn try_take(file: &File, holder: Holder) -> io::Result<bool> {
    let lock = whole();
    let taken = fcntl(
        file,
        match holder {
            Holder::Process => FcntlArg::F_SETLK(&lock),
            Holder::OpenFile => FcntlArg::F_OFD_SETLK(&lock),
        },
    );
    match taken {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES | Errno::EINTR) => Ok(false),
        Err(why) => Err(why.into()),
    }
}

/// The pid of the process that holds the lock; 0 when that lives in another pid namespace.
pub fn held_by(file: &File) -> Option<u32> {
    let mut lock = whole();
    fcntl(file, FcntlArg::F_GETLK(&mut lock)).ok()?;
    (i32::from(lock.l_type) != libc::F_UNLCK).then(|| u32::try_from(lock.l_pid).unwrap_or(0))
}

/// For writing, over the whole file.
fn whole() -> libc::flock {
    libc::flock { l_type: libc::F_WRLCK as libc::c_short, l_whence: libc::SEEK_SET as libc::c_short, l_start: 0, l_len: 0, l_pid: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_who_opened_the_file_do_not_both_get_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let open = || File::options().write(true).open(file.path()).unwrap();
        let (first, second) = (open(), open());
        assert!(try_take(&first, Holder::OpenFile).unwrap());
        assert!(!try_take(&second, Holder::OpenFile).unwrap());
        // The kernel names nobody for a lock of an open file.
        assert_eq!(held_by(&second), Some(0));
        drop(first);
        assert_eq!(held_by(&second), None);
        assert!(try_take(&second, Holder::Process).unwrap());
    }
}
