//! An empty file below the runtime directory for each action that is meant to be live.
//!
//! Taking one away needs no room on any disk. So what is ended while the ledger cannot be written stays ended: the next
//! start finds a row that says "live" and no file, and applies nothing. The emergency script takes them away too.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bartizan_sys::replace_file;

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
        replace_file::make_directory(&self.0, names)
    }

    pub(super) fn set(&self, name: &str) -> io::Result<()> {
        if !self.are_kept() {
            self.begin(&[])?;
        }
        replace_file::touch(&self.0.join(name))
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
