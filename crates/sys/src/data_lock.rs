//! One agent for one data directory: two that write the same databases would give one number to two events.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// Name of the file that is locked. It holds nothing and may stay.
const FILE: &str = "agent.lock";

/// Holds the directory as long as it lives; the kernel lets go when the process ends, however it ends.
#[derive(Debug)]
pub struct DataLock(#[allow(dead_code)] Option<Flock<File>>); // held, never read

impl DataLock {
    /// As [`DataLock::take`], from an agent that ends just now too.
    ///
    /// # Errors
    /// As there.
    pub fn take_within(directory: &Path, patience: Duration) -> io::Result<Option<Self>> {
        let until = Instant::now() + patience;
        loop {
            match Self::take(directory)? {
                None if Instant::now() < until => std::thread::sleep(Duration::from_millis(20)),
                taken => return Ok(taken),
            }
        }
    }

    /// Takes the directory; `None` when another agent has it.
    ///
    /// # Errors
    /// When the file cannot be made or locked.
    pub fn take(directory: &Path) -> io::Result<Option<Self>> {
        let path = directory.join(FILE);
        // A pipe in its place is locked too, and waited for by nobody.
        let mut options = OpenOptions::new();
        options.mode(0o600).custom_flags(libc::O_NONBLOCK);
        let file = options.clone().write(true).create(true).truncate(false).open(&path);
        // Read-only, or without an inode to give: what is there can be locked all the same, the directory too.
        let file = file.or_else(|_| options.read(true).open(&path)).or_else(|_| File::open(directory));
        // Where there is no directory and none can be made, nobody can work in it either.
        let Ok(file) = file else { return if directory.exists() { file.map(|_| None) } else { Ok(Some(Self(None))) } };
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(Self(Some(lock)))),
            Err((_, Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, error)) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_agent() {
        let directory = tempfile::tempdir().unwrap();
        let first = DataLock::take(directory.path()).unwrap();
        assert!(first.is_some() && DataLock::take(directory.path()).unwrap().is_none());
        drop(first);
        assert!(DataLock::take(directory.path()).unwrap().is_some());
    }
}
