//! A directory that is gone when its owner is.

use std::io;
use std::path::{Path, PathBuf};

/// A private directory below /tmp, removed with everything in it when dropped.
#[derive(Debug)]
pub struct Directory(PathBuf);

impl Directory {
    /// A new one, 0700, with a name that nobody can guess or have made before (mkdtemp(3)).
    ///
    /// # Errors
    /// When /tmp cannot be written to.
    pub fn new(prefix: &str) -> io::Result<Self> {
        Ok(Self(nix::unistd::mkdtemp(Path::new("/tmp").join(format!("{prefix}-XXXXXX")).as_path())?))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What cannot be removed is below /tmp and private; nobody is left to be told.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
