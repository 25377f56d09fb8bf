//! The files of the baseline while the agent runs: the sensor says what is touched, a thread of its own compares, the pipeline is never waited for.
//!
//! What cannot wait in line is no loss: its directory is looked at again. Directories of a new baseline are looked at all, so what changed while
//! no agent ran is found too.

mod act;
mod long;
mod pace;
mod reported;
mod telling;
mod unjudged;
mod worker;

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::excluded::Excluded;
use bartizan_config::RuleFolders;
use bartizan_model::{FilesWatched, Process, Unpoisoned as _};
use bartizan_sensors::{Changes, FileTouched};
use bartizan_store::BaselineVersion;
use unjudged::Unjudged;
pub(crate) use worker::Comparing;

/// Touched paths that wait; with more, their directories are looked at again.
const MAX_TOUCHED: usize = 8192;
/// Directories that wait to be looked at again; with more, all places are.
const MAX_UNSEEN: usize = 1024;
/// Touched paths that are compared at once.
const AT_ONCE: usize = 512;
/// As many times touched paths are taken while directories wait; then one of these, or a flood of one user would keep all others unseen.
const TURNS: u8 = 8;

/// What the sensor and the one who compares share.
#[derive(Debug)]
pub(crate) struct Live {
    data: PathBuf,
    folders: RuleFolders,
    inbox: Mutex<Inbox>,
    came: Condvar,
    watched: Mutex<Watched>,
    directories: AtomicU64,
    refused: AtomicU64,
    reported: AtomicU64,
    long_waiting: AtomicU64,
    unjudged: Mutex<Unjudged>,
}

#[derive(Debug, Default)]
struct Inbox {
    touched: VecDeque<FileTouched>,
    /// Directories to be looked at again: since which turn, and who made it.
    unseen: BTreeMap<PathBuf, (u64, Option<Arc<Process>>)>,
    /// The turn of the next directory.
    turn: u64,
    /// Touched paths were taken so often since a directory was.
    turns: u8,
}

/// What the newest version covers.
#[derive(Debug, Default)]
struct Watched {
    version: u64,
    places: Vec<PathBuf>,
    excluded: Excluded,
}

/// What is to be done next.
#[derive(Debug)]
enum Next {
    Touched(Vec<FileTouched>),
    Unseen(PathBuf, Option<Arc<Process>>),
    Nothing,
}

impl Live {
    /// For the baseline in this data directory; `folders`: where YARA rules are.
    pub(crate) fn new(data: &Path, folders: RuleFolders) -> Self {
        Self {
            data: data.to_owned(),
            folders,
            inbox: Mutex::default(),
            came: Condvar::new(),
            watched: Mutex::default(),
            directories: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            reported: AtomicU64::new(0),
            long_waiting: AtomicU64::new(0),
            unjudged: Mutex::default(),
        }
    }

    /// How watch is kept.
    pub(crate) fn state(&self) -> FilesWatched {
        let mut state = FilesWatched {
            version: self.watched.lock().unpoisoned().version,
            directories: self.directories.load(Relaxed),
            refused: self.refused.load(Relaxed),
            reported: self.reported.load(Relaxed),
            to_look_at: self.inbox.lock().unpoisoned().unseen.len() as u64,
            long_waiting: self.long_waiting.load(Relaxed),
            ..FilesWatched::default()
        };
        self.unjudged.lock().unpoisoned().show(&mut state);
        state
    }

    /// From now on this version counts; `None`: there is no baseline.
    fn set(&self, version: Option<&BaselineVersion>) {
        let path = |text: &bartizan_model::HostText| PathBuf::from(OsStr::from_bytes(text.as_bytes()));
        *self.watched.lock().unpoisoned() = version.map_or_else(Watched::default, |version| Watched {
            version: version.number,
            places: version.roots.iter().map(path).collect(),
            excluded: Excluded::new(version.excluded.clone()),
        });
    }

    /// What waits: touched paths before directories, for what happened just now is urgent, but not for ever.
    fn next(&self, patience: Duration) -> Next {
        let mut inbox = self.inbox.lock().unpoisoned();
        if inbox.touched.is_empty() && inbox.unseen.is_empty() {
            inbox = self.came.wait_timeout(inbox, patience).unpoisoned().0;
        }
        if !inbox.touched.is_empty() && (inbox.unseen.is_empty() || inbox.turns < TURNS) {
            inbox.turns = inbox.turns.saturating_add(1);
            return Next::Touched(inbox.some());
        }
        inbox.turns = 0;
        // The one that waits longest: by name, whoever makes directories all the time would keep others unseen for ever.
        let oldest = inbox.unseen.iter().min_by_key(|(_, (turn, _))| *turn).map(|(path, _)| path.clone());
        let taken = oldest.and_then(|path| inbox.unseen.remove_entry(&path));
        taken.map_or(Next::Nothing, |(path, (_, by))| Next::Unseen(path, by))
    }

    /// Touched paths that came meanwhile.
    fn more(&self) -> Vec<FileTouched> {
        self.inbox.lock().unpoisoned().some()
    }
}

impl Changes for Live {
    fn places(&self) -> (u64, Vec<PathBuf>) {
        let watched = self.watched.lock().unpoisoned();
        (watched.version, watched.places.clone())
    }

    fn is_left_out(&self, path: &Path) -> bool {
        self.watched.lock().unpoisoned().excluded.has(path.as_os_str().as_bytes())
    }

    fn touched(&self, touched: FileTouched) {
        let mut inbox = self.inbox.lock().unpoisoned();
        if inbox.touched.len() < MAX_TOUCHED {
            inbox.touched.push_back(touched);
        } else if let Some(directory) = touched.path.parent() {
            inbox.look_at(directory.to_owned(), None, &self.watched);
        }
        self.came.notify_one();
    }

    fn unseen(&self, path: PathBuf, by: Option<Arc<Process>>) {
        self.inbox.lock().unpoisoned().look_at(path, by, &self.watched);
        self.came.notify_one();
    }

    fn watches(&self, directories: u64, refused: u64) {
        self.directories.store(directories, Relaxed);
        self.refused.store(refused, Relaxed);
    }
}

impl Inbox {
    fn some(&mut self) -> Vec<FileTouched> {
        let most = self.touched.len().min(AT_ONCE);
        self.touched.drain(..most).collect()
    }

    /// One that lies below another that waits is looked at with it.
    fn look_at(&mut self, path: PathBuf, by: Option<Arc<Process>>, watched: &Mutex<Watched>) {
        if path.ancestors().any(|above| self.unseen.contains_key(above)) {
            return;
        }
        let mut turn = self.turn;
        self.turn += 1;
        self.unseen.retain(|known, (since, _)| {
            let is_below = known.starts_with(&path);
            turn = if is_below { turn.min(*since) } else { turn };
            !is_below
        });
        self.unseen.insert(path, (turn, by));
        if self.unseen.len() > MAX_UNSEEN {
            let places = watched.lock().unpoisoned().places.clone();
            self.unseen = places.into_iter().map(|place| (place, (turn, None))).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live() -> Live {
        let nowhere = PathBuf::from("/nowhere");
        Live::new(&nowhere, RuleFolders { host: nowhere.clone(), imported: nowhere.clone() })
    }

    fn touched(path: &str) -> FileTouched {
        FileTouched { path: path.into(), by: None, certain: false }
    }

    #[test]
    fn what_finds_no_room_has_its_directory_looked_at_again() {
        let live = live();
        for number in 0..MAX_TOUCHED {
            live.touched(touched(&format!("/w/{number}")));
        }
        live.touched(touched("/w/lost/file"));
        live.touched(touched("/w/lost/other"));
        live.touched(touched("/w/lost/below/file"));
        let mut taken = Vec::new();
        loop {
            match live.next(Duration::ZERO) {
                Next::Touched(batch) => taken.push(batch.len()),
                Next::Unseen(path, None) if path == Path::new("/w/lost") => taken.push(0),
                Next::Nothing => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(taken.iter().position(|batch| *batch == 0), Some(usize::from(TURNS)), "a flood keeps nothing unseen for long");
        assert_eq!((taken.len(), taken.iter().sum()), (MAX_TOUCHED / AT_ONCE + 1, MAX_TOUCHED));
    }

    #[test]
    fn who_makes_directories_all_the_time_keeps_no_other_unseen() {
        let live = live();
        for number in 0..10 {
            live.unseen(format!("/w/a{number}").into(), None);
        }
        live.unseen("/w/z/deep".into(), None);
        let mut looks = 0;
        loop {
            live.unseen(format!("/w/b{looks:02}").into(), None);
            // What comes above it takes over its turn.
            if looks == 5 {
                live.unseen("/w/z".into(), None);
            }
            match live.next(Duration::ZERO) {
                Next::Unseen(path, None) if path == Path::new("/w/z") => break,
                other => assert!(looks < 10, "{other:?}"),
            }
            looks += 1;
        }
        assert_eq!(looks, 10);
    }

    #[test]
    fn too_many_directories_become_the_places() {
        let live = live();
        live.watched.lock().unwrap().places = vec!["/w".into(), "/etc".into()];
        for number in 0..=MAX_UNSEEN {
            live.unseen(format!("/w/{number}").into(), None);
        }
        assert_eq!(live.state().to_look_at, 2);
    }
}
