//! The archive for those who ask it: a pool of readers, absent while its disk refuses.

use std::sync::Mutex;

use bartizan_model::Unpoisoned as _;
use bartizan_store::{Lent, Reader, Readers, StoreError, Who};
use bartizan_sys::umask;

/// The readers.
#[derive(Debug, Default)]
pub(crate) struct Archives(Mutex<Option<Readers>>);

impl Archives {
    pub(crate) fn new(reader: Option<Reader>) -> Self {
        Self(Mutex::new(reader.map(Readers::new)))
    }

    /// Others from now on, or none.
    pub(crate) fn replace(&self, reader: Option<Reader>) {
        *self.0.lock().unpoisoned() = reader.map(Readers::new);
    }

    pub(crate) fn is_away(&self) -> bool {
        self.0.lock().unpoisoned().is_none()
    }

    fn readers(&self) -> Result<Readers, StoreError> {
        self.0.lock().unpoisoned().clone().ok_or(StoreError::Away)
    }

    /// A connection to the archive for a question of `who`. Nobody has more than half of them: the others go on.
    pub(crate) fn lend(&self, who: &str) -> Result<Lent, StoreError> {
        // The name of a peer is `uid 0 (pid 4711)`: more processes of one account get no more than one.
        let account = who.split(" (").next().unwrap_or(who).to_owned();
        let is_trusted = account == format!("uid {}", umask::own_uid()) || account == "uid 0";
        self.readers()?.lend(&Who { account, is_trusted })
    }

    /// Asks the archive what takes milliseconds; no search stands before it.
    pub(crate) fn ask<T>(&self, ask: impl FnOnce(&Reader) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.readers()?.brief(ask)
    }
}
