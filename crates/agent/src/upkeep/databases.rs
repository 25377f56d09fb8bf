//! Whether the database files are still those that were opened: what is written into one that is gone, nobody will find.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::troubles::Troubles;
use bartizan_store::ledger::Ledger;

const LEDGER: &str = "ledger.db";

/// The database files as they were opened.
#[derive(Debug)]
pub(super) struct Databases {
    directory: PathBuf,
    /// Name and inode.
    files: BTreeMap<&'static str, u64>,
}

impl Databases {
    /// Those that are there now.
    pub(super) fn in_directory(directory: &Path) -> Self {
        let mut databases = Self { directory: directory.to_owned(), files: BTreeMap::new() };
        ["archive.db", LEDGER].into_iter().for_each(|name| databases.note(name));
        databases
    }

    /// Notes which file a database is, when it is there.
    pub(super) fn note(&mut self, name: &'static str) {
        if let Ok(found) = std::fs::metadata(self.directory.join(name)) {
            self.files.insert(name, found.ino());
        }
    }

    /// The same for a ledger that came back from memory to its disk.
    pub(super) fn note_ledger(&mut self, ledger: &Ledger) {
        if !self.files.contains_key(LEDGER) && ledger.trouble().is_none() {
            self.note(LEDGER);
        }
    }

    /// Reports a database whose file is gone or is another one.
    pub(super) fn check(&self, troubles: &Troubles) {
        for (name, inode) in &self.files {
            let found = std::fs::metadata(self.directory.join(name)).map(|metadata| metadata.ino()).ok();
            let trouble = (found != Some(*inode))
                .then(|| format!("{name} was removed or replaced under the running agent: its records end with it; restart the agent"));
            troubles.report(name, trouble);
        }
    }
}
