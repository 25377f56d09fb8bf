//! How far a scan is, counted by its threads and shown by whoever asked for it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bartizan_model::{HostText, Unpoisoned as _};

/// What the threads count.
#[derive(Debug, Default)]
pub(super) struct Counter {
    pub(super) files: AtomicU64,
    pub(super) directories: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) read_files: AtomicU64,
    pub(super) read_bytes: AtomicU64,
    at: Mutex<Vec<u8>>,
}

impl Counter {
    /// A thread begins with this directory, all of it or one name.
    pub(super) fn enters(&self, path: &[u8], whole: bool) {
        self.directories.fetch_add(u64::from(whole), Relaxed);
        let mut at = self.at.lock().unpoisoned();
        at.clear();
        at.extend_from_slice(path);
    }

    pub(super) fn progress(&self) -> Progress {
        Progress {
            files: self.files.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            at: HostText::from(self.at.lock().unpoisoned().as_slice()),
        }
    }
}

/// How far a scan is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Names looked at that are no directories.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// The directory that was begun last.
    pub at: HostText,
}
