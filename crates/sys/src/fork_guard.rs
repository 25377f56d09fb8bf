//! Writing a file of ours and starting a child take turns. Between fork and exec a child holds every descriptor that we hold;
//! if it is the last to let go of a file, the kernel tells whoever watches that file that the *child* closed it (fput(), and
//! with it `FAN_CLOSE_WRITE`), and our own writing looks like somebody else's.

use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use bartizan_model::Unpoisoned as _;

/// A child is started after this time even though a file is still being written: a disk that hangs must not keep us from
/// acting.
const PATIENCE: Duration = Duration::from_millis(250);

#[derive(Debug, Default)]
struct Turns {
    writing: usize,
    starting: usize,
    /// When a file was written while a child was started, last.
    overlapped: Option<Instant>,
}

impl Turns {
    fn note_overlap(&mut self) {
        if self.writing > 0 && self.starting > 0 {
            self.overlapped = Some(Instant::now());
        }
    }
}

static TURNS: Mutex<Turns> = Mutex::new(Turns { writing: 0, starting: 0, overlapped: None });
static CHANGED: Condvar = Condvar::new();

/// While it lives, no child of ours is started: held when a file that was written is closed, at the latest. Who writes long takes it only then.
#[derive(Debug)]
#[must_use]
pub struct Writing(());

/// Waits until the children that are being started have become their programs.
pub fn writing() -> Writing {
    let (mut turns, _) = CHANGED.wait_timeout_while(TURNS.lock().unpoisoned(), PATIENCE, |turns| turns.starting > 0).unpoisoned();
    turns.writing += 1;
    turns.note_overlap();
    Writing(())
}

impl Drop for Writing {
    fn drop(&mut self) {
        let mut turns = TURNS.lock().unpoisoned();
        turns.note_overlap();
        turns.writing = turns.writing.saturating_sub(1);
        CHANGED.notify_all();
    }
}

/// Starts a child by `start`, which returns when the child has become its program (spawn of the standard library does).
pub(super) fn start<T>(start: impl FnOnce() -> T) -> T {
    let (mut turns, _) = CHANGED.wait_timeout_while(TURNS.lock().unpoisoned(), PATIENCE, |turns| turns.writing > 0).unpoisoned();
    turns.starting += 1;
    turns.note_overlap();
    drop(turns);
    let started = start();
    let mut turns = TURNS.lock().unpoisoned();
    turns.note_overlap();
    turns.starting = turns.starting.saturating_sub(1);
    CHANGED.notify_all();
    started
}

/// Whether a file was written while a child was being started, at most so long ago: on a host too busy to wait for turns. A process
/// that nobody knows and that closed a file of ours then may have been that child.
pub fn overlapped_within(time: Duration) -> bool {
    let turns = TURNS.lock().unpoisoned();
    (turns.writing > 0 && turns.starting > 0) || turns.overlapped.is_some_and(|at| at.elapsed() < time)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use crate::child;
    use crate::file_watch::{FileWatch, Interest, Noticed};
    use crate::replace_file::{Outlives, replace};

    #[test]
    fn a_child_that_is_just_being_started_is_not_taken_for_who_wrote_our_files() {
        let dir = tempfile::tempdir().unwrap();
        let mut watch = FileWatch::open().unwrap();
        if !watch.tells_who() {
            return eprintln!("skipped: needs CAP_SYS_ADMIN for fanotify");
        }
        watch.watch(dir.path(), Interest::Closed).unwrap();
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        child::ask(OsStr::new("/bin/true"), &[] as &[&str], Duration::from_secs(5)).unwrap();
                    }
                });
            }
            for round in 0..1_000_u32 {
                replace(&dir.path().join("record"), &round.to_le_bytes(), 0o600, Outlives::Us).unwrap();
            }
            over.store(true, Ordering::Relaxed);
        });
        let mut by_others = Vec::new();
        while watch.wait(Duration::ZERO).unwrap() {
            watch
                .drain(&mut |noticed| match noticed {
                    Noticed::Touched(touched) => by_others.push(touched),
                    Noticed::Gone(_) | Noticed::Overflow => {}
                })
                .unwrap();
        }
        assert!(by_others.is_empty(), "{} of 1000: {:?}", by_others.len(), by_others.first());
    }

    #[test]
    fn a_child_that_could_not_wait_for_its_turn_is_remembered() {
        let writing = super::writing();
        child::ask(OsStr::new("/bin/true"), &[] as &[&str], Duration::from_secs(5)).unwrap();
        drop(writing);
        assert!(super::overlapped_within(Duration::from_secs(5)));
        assert!(!super::overlapped_within(Duration::ZERO));
    }
}
