//! Touches of a file that is still being written wait here until the writer has closed it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bartizan_sys::file_watch::Touched;

/// A file that stays open is looked at after this long all the same: never closing it must not hide a change.
const LONGEST: Duration = Duration::from_secs(1);
/// A new file without a write yet is given this long for its first; links and pipes never have one.
const NEW: Duration = Duration::from_millis(100);
/// Most files that wait; one more and all are looked at now.
const MOST: usize = 4096;

/// Touches folded by file and process, in the order in which each pair first came.
#[derive(Debug, Default)]
pub(super) struct Settling {
    waiting: Vec<(Touched, Instant)>,
    index: HashMap<(PathBuf, Option<u32>), usize>,
}

fn key(touched: &Touched) -> (PathBuf, Option<u32>) {
    (touched.path.clone(), touched.by.map(|by| by.pid))
}

impl Settling {
    /// Adds a touch to what waits.
    pub(super) fn add(&mut self, touched: Touched, now: Instant) {
        let place = *self.index.entry(key(&touched)).or_insert(self.waiting.len());
        match self.waiting.get_mut(place) {
            Some((waiting, _)) => {
                waiting.what = waiting.what.and(touched.what);
                // A start time once known stays known.
                if touched.by.is_some_and(|by| by.start.is_some()) {
                    waiting.by = touched.by;
                }
            }
            None => self.waiting.push((touched, now)),
        }
    }

    /// What can be judged now: closed, never opened for writing, or waited long enough.
    pub(super) fn take(&mut self, now: Instant) -> Vec<Touched> {
        let full = self.waiting.len() > MOST;
        let ready = |(touched, since): &(Touched, Instant)| {
            let waited = now.duration_since(*since);
            let unfinished = match (touched.what.written, touched.what.created) {
                (true, _) => waited < LONGEST,
                (false, true) => waited < NEW,
                (false, false) => false,
            };
            full || !unfinished || touched.what.closed || touched.what.directory
        };
        let (done, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting).into_iter().partition(ready);
        self.index = waiting.iter().enumerate().map(|(place, (touched, _))| (key(touched), place)).collect();
        self.waiting = waiting;
        done.into_iter().map(|(touched, _)| touched).collect()
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_sys::file_watch::{Touch, Toucher};

    fn touched(path: &str, pid: u32, what: Touch) -> Touched {
        Touched { path: PathBuf::from(path), what, by: Some(Toucher { pid, start: None }) }
    }

    #[test]
    fn a_write_waits_for_its_close_but_not_for_ever() {
        let (written, closed) = (Touch { written: true, ..Touch::default() }, Touch { closed: true, ..Touch::default() });
        let mut settling = Settling::default();
        let begun = Instant::now();
        settling.add(touched("/a", 1, written), begun);
        settling.add(touched("/b", 1, written), begun);
        assert!(settling.take(begun).is_empty());
        settling.add(touched("/b", 1, closed), begun);
        settling.add(touched("/a", 2, closed), begun);
        let done = settling.take(begun);
        assert_eq!(done, [touched("/b", 1, written.and(closed)), touched("/a", 2, closed)], "another process's touch is its own");
        assert_eq!(settling.take(begun + LONGEST), [touched("/a", 1, written)]);
        assert!(settling.is_empty());
    }
}
