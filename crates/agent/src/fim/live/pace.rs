//! A file that changes all the time is not read all the time: the longer it is, the longer until it is read again.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Bytes of one file that are read in a second, in the long run.
const BYTES_A_SECOND: u64 = 8 << 20;
/// Longest that a file waits for its turn.
const LONGEST: Duration = Duration::from_secs(300);
/// Most files whose turn is remembered; beyond, all are read at once again.
const MAX_FILES: usize = 4096;

/// When each file may be read again, and which of them wait for it.
#[derive(Debug)]
pub(super) struct Pace<T> {
    free_at: HashMap<PathBuf, Instant>,
    waiting: HashMap<PathBuf, T>,
}

impl<T> Default for Pace<T> {
    fn default() -> Self {
        Self { free_at: HashMap::new(), waiting: HashMap::new() }
    }
}

impl<T> Pace<T> {
    /// A file of so many bytes was read.
    pub(super) fn read(&mut self, path: &Path, bytes: u64, now: Instant) {
        let pause = Duration::from_millis(bytes.saturating_mul(1000) / BYTES_A_SECOND).min(LONGEST);
        if pause >= Duration::from_millis(10) {
            self.free_at.insert(path.to_owned(), now + pause);
        }
        if self.free_at.len() > MAX_FILES {
            self.free_at.retain(|_, free| *free > now);
        }
        if self.free_at.len() > MAX_FILES {
            self.free_at.clear();
        }
    }

    /// Takes what may be read now; the rest waits for its turn.
    pub(super) fn admit(&mut self, path: PathBuf, what: T, now: Instant) -> Option<(PathBuf, T)> {
        if !self.is_free(&path, now) && self.waiting.len() < MAX_FILES {
            self.waiting.insert(path, what);
            return None;
        }
        Some((path, what))
    }

    /// Whether it may be read now.
    pub(super) fn is_free(&self, path: &Path, now: Instant) -> bool {
        self.free_at.get(path).is_none_or(|free| *free <= now)
    }

    /// All that wait, at the end.
    pub(super) fn rest(&mut self) -> Vec<PathBuf> {
        self.waiting.drain().map(|(path, _)| path).collect()
    }

    /// Those whose turn has come.
    pub(super) fn due(&mut self, now: Instant) -> Vec<(PathBuf, T)> {
        let due: Vec<PathBuf> = self.waiting.keys().filter(|path| self.is_free(path, now)).cloned().collect();
        due.into_iter().filter_map(|path| self.waiting.remove_entry(&path)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_that_changes_all_the_time_is_read_now_and_then() {
        let (mut pace, now) = (Pace::<i32>::default(), Instant::now());
        let path = PathBuf::from("/w/long");
        assert!(pace.admit(path.clone(), 1, now).is_some());
        pace.read(&path, 80 << 20, now);
        pace.read(Path::new("/w/short"), 100, now);
        assert_eq!(pace.admit(path.clone(), 2, now + Duration::from_secs(1)), None);
        assert_eq!(pace.admit(path.clone(), 3, now + Duration::from_secs(2)), None, "and once is enough");
        assert!(pace.admit("/w/short".into(), 4, now).is_some());
        assert!(pace.due(now + Duration::from_secs(9)).is_empty());
        assert_eq!(pace.due(now + Duration::from_secs(11)), [(path, 3)]);
        assert!(pace.due(now + Duration::from_secs(12)).is_empty());
    }
}
