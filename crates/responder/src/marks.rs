//! An empty file below the runtime directory for each action that is meant to be live.
//!
//! Taking one away needs no room on any disk. So what is ended while the ledger cannot be written stays ended: the next
//! start finds a row that says "live" and no file, and applies nothing. The emergency script takes them away too.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bartizan_sys::fork_guard;

/// In the runtime directory; the emergency script knows it too.
const DIRECTORY: &str = "wanted";

/// The directory of these files.
#[derive(Debug)]
pub(super) struct Marks(PathBuf);

impl Marks {
    pub(super) fn below(runtime: &Path) -> Self {
        Self(runtime.join(DIRECTORY))
    }

    /// Whether they were kept before, by this start or an earlier one since the directory was made.
    pub(super) fn are_kept(&self) -> bool {
        self.0.is_dir()
    }

    /// Keeps them from here on, for these: all in one rename, so that nobody finds the directory half filled.
    pub(super) fn begin(&self, names: &[String]) -> io::Result<()> {
        let fresh = self.0.with_extension("new");
        match fs::remove_dir_all(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&fresh)?;
        names.iter().try_for_each(|name| touch(&fresh.join(name)))?;
        fs::rename(fresh, &self.0)
    }

    pub(super) fn set(&self, name: &str) -> io::Result<()> {
        if !self.are_kept() {
            self.begin(&[])?;
        }
        touch(&self.0.join(name))
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        self.0.join(name).exists()
    }

    /// Harmless when there is none. What cannot be taken away is told by the ledger alone.
    pub(super) fn remove(&self, name: &str) {
        let _ = fs::remove_file(self.0.join(name));
    }

    /// Takes those away that end in `suffix` and are none of `names`: their rows are over.
    pub(super) fn retain(&self, suffix: &str, names: &BTreeSet<String>) {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        let over = entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| name.ends_with(suffix));
        over.filter(|name| !names.contains(name)).for_each(|name| self.remove(&name));
    }

    /// Nothing is meant to be live any more, of whichever ledger.
    pub(super) fn remove_all(&self) {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        entries.for_each(|entry| drop(fs::remove_file(entry.path())));
    }
}

fn touch(path: &Path) -> io::Result<()> {
    let _alone = fork_guard::writing();
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map(drop),
    }
}
