//! Touches in every directory that somebody wants watched: what, and by whom. What changed is for others to find out.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::attribution::Attribution;
use super::gather::{gather, open, patience};
use super::settling::Settling;
use super::{Collector, CollectorError, Sink, Stop};
use bartizan_model::Process;
use bartizan_sys::file_watch::{FileWatch, Interest, Noticed, Touched};
use bartizan_sys::tree::{FileSystem, Folder};

/// The hop's name in loss counts.
const HOP: &str = "fanotify-files";
/// Between two looks at places that came or went.
const REFRESH: Duration = Duration::from_millis(200);

/// Somebody who wants to know what is touched. No call may block.
pub trait Changes: Send + Sync {
    /// What is to be watched, and a number that is another when that is; empty: nothing.
    fn places(&self) -> (u64, Vec<PathBuf>);
    /// Whether a directory and all below it is left out.
    fn is_left_out(&self, path: &Path) -> bool;
    /// Something happened to a path.
    fn touched(&self, touched: FileTouched);
    /// Anything may have happened at this path and below; `by`: who made it a moment ago.
    fn unseen(&self, path: PathBuf, by: Option<Arc<Process>>);
    /// So many directories are watched, and so many the kernel refused to watch.
    fn watches(&self, directories: u64, refused: u64);
}

/// One path that was touched.
#[derive(Debug, Clone)]
pub struct FileTouched {
    /// Which.
    pub path: PathBuf,
    /// By whom, where that is known.
    pub by: Option<Arc<Process>>,
    /// Whether that is certain.
    pub certain: bool,
}

/// The collector of touches.
pub struct WatchedFiles {
    changes: Arc<dyn Changes>,
    who: Attribution,
}

impl WatchedFiles {
    /// For somebody who wants to know.
    pub fn new(changes: Arc<dyn Changes>, who: Attribution) -> Self {
        Self { changes, who }
    }
}

impl Collector for WatchedFiles {
    fn name(&self) -> &'static str {
        "files"
    }

    fn run(&mut self, sink: &dyn Sink, stop: &Stop) -> Result<(), CollectorError> {
        while !stop.is_set() {
            let (number, places) = self.changes.places();
            if places.is_empty() {
                self.changes.watches(0, 0);
                stop.sleep(Stop::LOOK);
                continue;
            }
            let round = Round {
                changes: &*self.changes,
                who: &self.who,
                watch: open("files")?,
                places: places.into_iter().collect(),
                directories: 0,
                refused: 0,
                settling: Settling::default(),
                stale: false,
            };
            round.until(number, sink, stop)?;
        }
        Ok(())
    }
}

/// One set of places, until there is another one.
struct Round<'a> {
    changes: &'a dyn Changes,
    who: &'a Attribution,
    watch: FileWatch,
    places: BTreeSet<PathBuf>,
    directories: u64,
    refused: u64,
    settling: Settling,
    /// Places came or went.
    stale: bool,
}

impl Round<'_> {
    /// Watches first and has everything looked at then, so that nothing falls between.
    fn until(mut self, number: u64, sink: &dyn Sink, stop: &Stop) -> Result<(), CollectorError> {
        self.watch_all(stop);
        self.look_everywhere();
        let mut refreshed = Instant::now();
        while !stop.is_set() && self.changes.places().0 == number {
            let busy = !self.settling.is_empty() || self.stale;
            let look = gather(&mut self.watch, if busy { Duration::from_millis(20) } else { Stop::LOOK }, HOP, sink)?;
            let until = patience();
            for noticed in look.noticed {
                match noticed {
                    Noticed::Touched(touched) => self.touched(touched, until, stop),
                    Noticed::Gone(path) => {
                        self.directories = self.directories.saturating_sub(1);
                        self.stale |= self.is_on_the_way(&path);
                    }
                    Noticed::Overflow => {}
                }
            }
            for touched in self.settling.take(Instant::now()) {
                let (by, certain) = self.who.of(touched.by, until);
                self.changes.touched(FileTouched { path: touched.path, by, certain });
            }
            if look.overflow {
                self.watch_all(stop);
                self.look_everywhere();
            } else if self.stale && refreshed.elapsed() >= REFRESH {
                (self.stale, refreshed) = (false, Instant::now());
                self.watch_all(stop);
            }
            self.changes.watches(self.directories, self.refused);
        }
        Ok(())
    }

    fn look_everywhere(&self) {
        self.places.iter().for_each(|place| self.changes.unseen(place.clone(), None));
        self.changes.watches(self.directories, self.refused);
    }

    /// A new directory is watched, and looked into: what lies in it already was made before we could watch.
    fn touched(&mut self, touched: Touched, until: Instant, stop: &Stop) {
        let Touched { path, what, by } = &touched;
        if what.directory && (what.created || what.moved_in) {
            if self.is_covered(path) && !self.changes.is_left_out(path) {
                self.watch_below(path, stop);
                let (maker, _) = self.who.of(*by, until);
                self.changes.unseen(path.clone(), maker);
            } else if self.is_on_the_way(path) {
                let (maker, _) = self.who.of(*by, until);
                // Only these: whoever makes and removes such a directory would otherwise keep us busy with all places.
                let below: Vec<PathBuf> = self.places.range(path.clone()..).take_while(|place| place.starts_with(path)).cloned().collect();
                for place in below {
                    self.watch_place(&place, stop);
                    self.changes.unseen(place, maker.clone());
                }
            }
        }
        if self.is_covered(path) && !self.changes.is_left_out(path) {
            self.settling.add(touched, Instant::now());
        }
    }

    fn is_covered(&self, path: &Path) -> bool {
        path.ancestors().any(|above| self.places.contains(above))
    }

    /// Whether a place lies there or below.
    fn is_on_the_way(&self, path: &Path) -> bool {
        self.places.range(path.to_owned()..).next().is_some_and(|place| place.starts_with(path))
    }

    fn watch_all(&mut self, stop: &Stop) {
        (self.directories, self.refused) = (0, 0);
        self.places.clone().iter().for_each(|place| self.watch_place(place, stop));
    }

    /// A directory with all below it, a file by its directory, one that is not there by the nearest that is.
    fn watch_place(&mut self, place: &Path, stop: &Stop) {
        let there = place.ancestors().skip(1).find(|above| above.is_dir()).map(Path::to_owned);
        if let Some(above) = there.filter(|above| !self.is_covered(above)) {
            // Of a file its writes count, of what else lies beside it nothing.
            let direct = place.parent() == Some(&above) && !place.is_dir();
            self.watch_one(&above, if direct { Interest::Closed } else { Interest::Entries });
        }
        if place.symlink_metadata().is_ok_and(|found| found.is_dir()) {
            self.watch_below(place, stop);
        }
    }

    /// A directory and all below it; no link is followed, and what lies on another host is left out as a scan leaves it out.
    fn watch_below(&mut self, top: &Path, stop: &Stop) {
        let device = |path: &Path| path.symlink_metadata().ok().map(|found| found.dev());
        let mut waiting = vec![(top.to_owned(), device(top))];
        while let Some((directory, above)) = waiting.pop() {
            if stop.is_set() {
                return;
            }
            // A link in its place is somebody else's name for another directory.
            if !directory.symlink_metadata().is_ok_and(|found| found.is_dir()) {
                continue;
            }
            let own = device(&directory);
            let local = || Folder::open(&directory).and_then(|folder| folder.file_system()).is_ok_and(|kind| kind == FileSystem::Local);
            if own != above && !local() {
                continue;
            }
            self.watch_one(&directory, Interest::Closed);
            let entries = std::fs::read_dir(&directory).into_iter().flatten().flatten();
            let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path());
            waiting.extend(below.filter(|path| !self.changes.is_left_out(path)).map(|path| (path, own)));
        }
    }

    fn watch_one(&mut self, directory: &Path, interest: Interest) {
        match self.watch.watch(directory, interest) {
            Ok(_) => self.directories += 1,
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => {}
            Err(_) => self.refused += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::super::test_bench::{Seen, Shell, root, tree};
    use super::*;

    #[derive(Default)]
    struct Told {
        places: Vec<PathBuf>,
        touched: Mutex<Vec<(PathBuf, Option<u32>)>>,
        unseen: Mutex<Vec<PathBuf>>,
    }

    impl Changes for Told {
        fn places(&self) -> (u64, Vec<PathBuf>) {
            (1, self.places.clone())
        }
        fn is_left_out(&self, path: &Path) -> bool {
            path.ends_with("cache")
        }
        fn touched(&self, touched: FileTouched) {
            self.touched.lock().unwrap().push((touched.path, touched.by.map(|by| by.pid)));
        }
        fn unseen(&self, path: PathBuf, _by: Option<Arc<Process>>) {
            self.unseen.lock().unwrap().push(path);
        }
        fn watches(&self, _directories: u64, _refused: u64) {}
    }

    #[test]
    fn what_is_touched_in_a_place_is_told_with_who_and_nothing_else_is() {
        if !root() {
            return;
        }
        let dir = tree(&["www/a", "www/cache", "home", "other"]);
        let at = |name: &str| dir.path().join(name);
        let told = Arc::new(Told { places: vec![at("www"), at("home/ann/.ssh"), at("other/file")], ..Told::default() });
        let mut shell = Shell::start(dir.path());
        let pid = shell.pid();
        let collector = WatchedFiles::new(Arc::clone(&told) as Arc<dyn Changes>, shell.table());
        let wait_until_ready = || {
            // It is ready when it had everything looked at.
            let begun = Instant::now();
            while told.unseen.lock().unwrap().len() < 3 {
                assert!(begun.elapsed() < Duration::from_secs(5));
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        let wait = |path: &str| {
            let path = at(path);
            let until = Instant::now() + Duration::from_secs(5);
            loop {
                if let Some((_, by)) = told.touched.lock().unwrap().iter().find(|(touched, _)| *touched == path) {
                    break *by;
                }
                assert!(Instant::now() < until, "{} was not told: {:?}", path.display(), told.touched.lock().unwrap());
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        let stop = Stop::default();
        let seen = Seen::default();
        std::thread::scope(|scope| {
            let mut collector = collector;
            let (told_to_end, seen) = (stop.clone(), &seen);
            scope.spawn(move || collector.run(seen, &told_to_end).unwrap());
            wait_until_ready();
            shell.run("echo x > www/a/page; mkdir www/new; echo x > www/cache/x; echo y > other/beside; echo z > other/file");
            assert_eq!(wait("www/a/page"), Some(pid));
            assert_eq!(wait("other/file"), Some(pid));
            wait("www/new");
            shell.run("mkdir -p home/ann/.ssh; sleep 0.3; echo k > www/new/late; echo k > home/ann/.ssh/authorized_keys");
            assert_eq!(wait("www/new/late"), Some(pid));
            assert_eq!(wait("home/ann/.ssh/authorized_keys"), Some(pid));
            stop.set();
        });
        let touched = told.touched.lock().unwrap();
        assert!(!touched.iter().any(|(path, _)| path.ends_with("beside") || path.starts_with(at("www/cache/x"))), "{touched:?}");
        assert!(told.unseen.lock().unwrap().contains(&at("home/ann/.ssh")));
    }
}
