//! Which differences from the baseline were reported already, kept in the data directory: a restart of the agent repeats none.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use bartizan_integrity::{Change, Content, Finding};
use bartizan_model::HostText;
use bartizan_sys::digest::read_bounded;
use bartizan_sys::replace_file::{self, Outlives};

/// The file in the data directory.
const FILE: &str = "integrity-reported.json";
/// Most paths that are remembered; what is beyond may be reported twice.
const MAX_PATHS: usize = 16_384;
/// Longest file that is read, in bytes: so many paths of the longest kind are not expected.
const LONGEST: u64 = 16 << 20;

/// How a path differs; empty: nothing of the kind was reported.
#[derive(Debug, Default, PartialEq, Eq)]
struct State {
    whole: String,
    /// Of a long file whose ends were judged before all of it was read.
    ends: String,
}

/// As it is in the file.
#[derive(Serialize, Deserialize)]
struct Row(HostText, String, #[serde(default)] String);

/// Paths that differ, and how.
#[derive(Debug)]
pub(super) struct Reported {
    file: PathBuf,
    states: BTreeMap<HostText, State>,
    unsaved: bool,
}

impl Reported {
    /// What an earlier run reported; what cannot be read was not reported.
    pub(super) fn load(data: &Path) -> Self {
        let file = data.join(FILE);
        let read = read_bounded(&file, LONGEST).ok();
        let rows: Vec<Row> = read.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let states = rows.into_iter().take(MAX_PATHS).map(|Row(path, whole, ends)| (path, State { whole, ends }));
        Self { file, states: states.collect(), unsaved: false }
    }

    /// Whether this is news.
    pub(super) fn is_news(&mut self, change: &Change) -> bool {
        self.set(&change.path, state(change), |state| &mut state.whole)
    }

    /// Whether it is news that the ends of a long file are dangerous like this; none: they are not.
    pub(super) fn is_news_by_ends(&mut self, path: &HostText, ends: Option<[u8; 32]>, findings: &[Finding]) -> bool {
        let rules: Vec<&str> = findings.iter().map(|finding| finding.rule.as_ref()).collect();
        match ends.filter(|_| !findings.is_empty()) {
            Some(ends) => self.set(path, format!("{} {}", rules.join(","), short(&ends)), |state| &mut state.ends),
            None => {
                let known = self.states.get_mut(path).map(|state| std::mem::take(&mut state.ends));
                self.unsaved |= known.is_some_and(|known| !known.is_empty());
                self.states.retain(|_, state| *state != State::default());
                false
            }
        }
    }

    fn set(&mut self, path: &HostText, new: String, part: fn(&mut State) -> &mut String) -> bool {
        if self.states.len() >= MAX_PATHS && !self.states.contains_key(path) {
            return true;
        }
        let known = part(self.states.entry(path.clone()).or_default());
        let is_news = *known != new;
        *known = new;
        self.unsaved |= is_news;
        is_news
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
        let rows: Vec<_> = self.states.iter().map(|(path, state)| (path, &state.whole, &state.ends)).collect();
        replace_file::replace(&self.file, &serde_json::to_vec(&rows)?, 0o600, Outlives::Power)
    }
}

/// Two states of a file are the same when both read the same: how it differs, and what it holds.
fn state(change: &Change) -> String {
    let hash = match change.after.as_ref().map(|after| &after.content) {
        Some(Content::Hash(hash) | Content::Sparse(hash)) => short(hash),
        _ => String::new(),
    };
    format!("{} {hash}", change.sentence())
}

fn short(hash: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*hash).to_hex().chars().take(16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn dangerous_ends_are_reported_once_over_restarts_and_again_when_they_come_back() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), r#"[["/w/old","content changed 0011"]]"#).unwrap();
        let finding = Finding { rule: "upload".into(), technique: "T1505.003".into(), sentence: "a webshell".to_owned() };
        let (path, found) = (HostText::from("/w/long"), std::slice::from_ref(&finding));
        let mut reported = Reported::load(dir.path());
        assert!(reported.is_news_by_ends(&path, Some([1; 32]), found));
        reported.save().unwrap();
        let mut reported = Reported::load(dir.path());
        assert!(!reported.is_news_by_ends(&path, Some([1; 32]), found));
        assert!(reported.is_news_by_ends(&path, Some([2; 32]), found));
        assert!(!reported.is_news_by_ends(&path, Some([3; 32]), &[]), "they are harmless");
        assert!(reported.is_news_by_ends(&path, Some([2; 32]), found));
        assert!(reported.is_back(&"/w/old".into()), "what an earlier version wrote is read");
    }
}
