//! Changed files that were not judged, or not compared, until they are: each is counted and reported once, a few are named in the state.

use std::collections::{BTreeMap, VecDeque};

use crate::fim::report::Report;
use bartizan_model::{FilesWatched, HostText, UnjudgedFile};

/// Files that are remembered until they are judged; beyond, they are counted and reported only.
const MAX_OPEN: usize = 256;
/// Files that the state names, the latest of each kind.
const NAMED: usize = 8;
/// What a file that the YARA rules gave up on is reported as.
const GAVE_UP: &str = "not judged by all YARA rules: they were not done in time";

/// Those of now, and how many there were.
#[derive(Debug, Default)]
pub(super) struct Unjudged {
    /// Why, and how many were there before.
    open: BTreeMap<HostText, (String, u64)>,
    total: u64,
    by_ends: u64,
    latest_by_ends: VecDeque<HostText>,
}

impl Unjudged {
    /// Takes over what a look showed at the paths `looked`: those that are not judged now and were before, with a sentence each.
    pub(super) fn update(&mut self, report: &Report, looked: &dyn Fn(&HostText) -> bool) -> Vec<(HostText, String)> {
        let why = |path: &HostText, why: &str| {
            let gave_up = report.gave_up.contains(path);
            (path.clone(), if gave_up { GAVE_UP.to_owned() } else { format!("not judged: {why}") })
        };
        let now: BTreeMap<HostText, String> = report.skipped.iter().filter(|one| !one.meant).map(|one| why(&one.path, &one.why)).collect();
        self.open.retain(|path, _| now.contains_key(path) || !looked(path));
        for path in &report.by_ends {
            self.by_ends += 1;
            self.latest_by_ends.retain(|known| known != path);
            self.latest_by_ends.push_back(path.clone());
            let spare = self.latest_by_ends.len().saturating_sub(NAMED);
            self.latest_by_ends.drain(..spare);
        }
        now.into_iter().filter(|(path, why)| self.note(path, why)).collect()
    }

    /// One file is not judged; whether that is news.
    pub(super) fn note(&mut self, path: &HostText, why: &str) -> bool {
        if self.open.get(path).is_some_and(|(known, _)| known == why) {
            return false;
        }
        self.total += 1;
        if self.open.len() < MAX_OPEN || self.open.contains_key(path) {
            self.open.insert(path.clone(), (why.to_owned(), self.total));
        }
        true
    }

    /// Counts and names, into the state.
    pub(super) fn show(&self, state: &mut FilesWatched) {
        let mut latest: Vec<_> = self.open.iter().collect();
        latest.sort_unstable_by_key(|(_, (_, number))| std::cmp::Reverse(*number));
        let named = |(path, (why, _)): (&HostText, &(String, u64))| UnjudgedFile { path: path.clone(), why: why.clone() };
        state.unjudged = self.open.len() as u64;
        state.unjudged_total = self.total;
        state.unjudged_latest = latest.into_iter().take(NAMED).map(named).collect();
        state.by_ends = self.by_ends;
        state.by_ends_latest = self.latest_by_ends.iter().rev().cloned().collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_counts_are_not() {
        let (mut unjudged, mut state) = (Unjudged::default(), FilesWatched::default());
        for number in 0..MAX_OPEN + 9 {
            assert!(unjudged.note(&format!("/w/{number:04}").as_str().into(), "not judged: no time"));
        }
        assert!(!unjudged.note(&"/w/0000".into(), "not judged: no time"), "it is said once");
        unjudged.show(&mut state);
        assert_eq!((state.unjudged, state.unjudged_total), (MAX_OPEN as u64, MAX_OPEN as u64 + 9));
        assert_eq!((state.unjudged_latest.len(), state.unjudged_latest[0].path.escaped()), (NAMED, "/w/0255".to_owned()));
    }
}
