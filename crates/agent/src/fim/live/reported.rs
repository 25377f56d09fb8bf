//! Which differences from the baseline were reported already, kept in the data directory: a restart of the agent repeats none.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use bartizan_integrity::{Change, Content};
use bartizan_model::HostText;
use bartizan_sys::digest::read_bounded;
use bartizan_sys::replace_file::{self, Outlives};

/// The file in the data directory.
const FILE: &str = "integrity-reported.json";
/// Most paths that are remembered; what is beyond may be reported twice.
const MAX_PATHS: usize = 16_384;
/// Longest file that is read, in bytes: so many paths of the longest kind are not expected.
const LONGEST: u64 = 16 << 20;

/// Paths that differ, and how.
#[derive(Debug)]
pub(super) struct Reported {
    file: PathBuf,
    states: BTreeMap<HostText, String>,
    unsaved: bool,
}

impl Reported {
    /// What an earlier run reported; what cannot be read was not reported.
    pub(super) fn load(data: &Path) -> Self {
        let file = data.join(FILE);
        let read = read_bounded(&file, LONGEST).ok();
        let states: Vec<(HostText, String)> = read.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        Self { file, states: states.into_iter().take(MAX_PATHS).collect(), unsaved: false }
    }

    /// Whether this is news.
    pub(super) fn is_news(&mut self, change: &Change) -> bool {
        let state = state(change);
        if self.states.get(&change.path) == Some(&state) {
            return false;
        }
        if self.states.len() < MAX_PATHS || self.states.contains_key(&change.path) {
            self.states.insert(change.path.clone(), state);
            self.unsaved = true;
        }
        true
    }

    /// It is as the baseline knows it; whether another state was reported.
    pub(super) fn is_back(&mut self, path: &HostText) -> bool {
        let was_reported = self.states.remove(path).is_some();
        self.unsaved |= was_reported;
        was_reported
    }

    /// All that differs at this path and below is this.
    pub(super) fn settle(&mut self, top: &HostText, differs: &dyn Fn(&HostText) -> bool) {
        let before = self.states.len();
        self.states.retain(|path, _| !super::super::roots::covers(top, path) || differs(path));
        self.unsaved |= self.states.len() != before;
    }

    /// Writes it, if there is something new.
    ///
    /// # Errors
    /// What the disk says; it is tried again with the next change.
    pub(super) fn save(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.unsaved) {
            return Ok(());
        }
        let states: Vec<_> = self.states.iter().collect();
        replace_file::replace(&self.file, &serde_json::to_vec(&states)?, 0o600, Outlives::Power)
    }
}

/// Two states of a file are the same when both read the same: how it differs, and what it holds.
fn state(change: &Change) -> String {
    let hash = match change.after.as_ref().map(|after| &after.content) {
        Some(Content::Hash(hash) | Content::Sparse(hash)) => blake3::Hash::from_bytes(*hash).to_hex().chars().take(16).collect(),
        _ => String::new(),
    };
    format!("{} {hash}", change.sentence())
}
