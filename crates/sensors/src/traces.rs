//! Who removes traces: logs and shell histories that are deleted, renamed, cut off, or led elsewhere by a link; and links that are made
//! over parts of the system.
//!
//! The kernel tells what happened and who did it; what became of the file is looked at a moment later. Writers fill logs all day:
//! between two looks their writes are one for the kernel.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::attribution::Attribution;
use super::file_class::{FileClasses, in_home};
use super::gather::{emit, gather, open, patience, source};
use super::pace::Turn;
use super::places::Places;
use super::{Collector, CollectorError, Sink, Stop};
use bartizan_model::{EventKind, FileChange, FileChangeKind, FileClass, HostText, ServiceRole, Source};
use bartizan_sys::file_attributes;
use bartizan_sys::file_watch::{FileWatch, Interest, Noticed, Touch, Touched, Toucher};

/// The hop's name in loss counts.
const HOP: &str = "fanotify-traces";
/// Between two looks.
const NAP: Duration = Duration::from_millis(400);
/// Least time from one walk over all logs and homes to the next: when a directory of logs or a home came or went, and otherwise. Any
/// user can make a directory.
const SOON: Duration = Duration::from_secs(2);
const LATER: Duration = Duration::from_secs(10);
/// Most files whose size is remembered; of others a cut to nothing is told all the same.
const MAX_KNOWN: usize = 16_384;
/// Most directories of logs watched, and how deep.
const MAX_DIRECTORIES: usize = 1024;
const DEEP: u32 = 3;
/// Directories of programs and settings in which a new link is told.
const LINKED: [&str; 5] = ["etc", "usr/bin", "usr/sbin", "usr/local/bin", "usr/local/sbin"];

/// Watches logs, histories, and links.
pub struct Traces {
    classes: FileClasses,
    places: Places,
    who: Attribution,
    sizes: HashMap<PathBuf, u64>,
}

/// What one process did to one path between two looks.
struct Deed {
    path: PathBuf,
    what: Touch,
    by: Option<Toucher>,
}

impl Traces {
    /// Below the root of the places, with this process table.
    pub fn new(places: Places, who: Attribution) -> Self {
        Self { classes: FileClasses::under(places.root()), places, who, sizes: HashMap::new() }
    }

    fn to_watch(&self) -> BTreeMap<PathBuf, Interest> {
        let root = self.places.root();
        let mut watch: BTreeMap<PathBuf, Interest> = LINKED.iter().map(|part| (root.join(part), Interest::Entries)).collect();
        watch.insert(root.join("home"), Interest::Entries);
        watch.extend(self.places.homes().into_iter().map(|home| (home, Interest::Closed)));
        let mut logs = Vec::new();
        directories(&root.join("var/log"), DEEP, &mut logs);
        watch.extend(logs.into_iter().map(|directory| (directory, Interest::Content)));
        watch.retain(|path, _| path.is_dir());
        watch
    }

    fn watch_all(&mut self, watch: &mut FileWatch, sink: &dyn Sink) {
        for (path, interest) in self.to_watch() {
            if let Err(why) = watch.watch(&path, interest) {
                tracing::warn!(path = %path.display(), %why, "logs and histories cannot be watched");
                sink.account(HOP, 0, 1);
            } else if interest == Interest::Content {
                self.learn(files_in(&path));
            }
        }
        let histories = self.places.homes().into_iter().flat_map(|home| in_home(&home));
        self.learn(histories.filter(|(_, class)| *class == FileClass::ShellHistory).map(|(path, _)| path).collect());
    }

    fn learn(&mut self, files: Vec<PathBuf>) {
        for path in files {
            if self.sizes.len() < MAX_KNOWN
                && let Ok(seen) = file_attributes::at(&path)
            {
                self.sizes.entry(path).or_insert(seen.size);
            }
        }
    }

    /// What happened to a file, and where a link leads.
    fn judge(&mut self, path: &Path, what: Touch, class: FileClass) -> Option<(FileChangeKind, Option<PathBuf>)> {
        let now = file_attributes::at(path).ok();
        let came = what.created || what.moved_in;
        if came && let Ok(target) = path.read_link() {
            self.sizes.remove(path);
            return Some((FileChangeKind::Linked, Some(target)));
        }
        if class == FileClass::System {
            return None;
        }
        let before = self.sizes.get(path).copied();
        match &now {
            Some(seen) if self.sizes.len() < MAX_KNOWN || before.is_some() => drop(self.sizes.insert(path.to_owned(), seen.size)),
            _ => drop(self.sizes.remove(path)),
        }
        if what.moved_away {
            return Some((FileChangeKind::Renamed, None));
        }
        if what.deleted {
            return Some((FileChangeKind::Deleted, None));
        }
        // A shell writes its history anew at its end, a little shorter perhaps.
        let least = |before: u64| if class == FileClass::ShellHistory { before / 2 } else { before };
        let cut = before.zip(now).is_some_and(|(before, now)| now.size < least(before) || now.size == 0 && before > 0);
        (cut && !came).then_some((FileChangeKind::Truncated, None))
    }

    /// Whether there may be logs or histories now that are not watched: a directory of logs, a home, or an account.
    fn brings_logs(&self, deed: &Deed) -> bool {
        let root = self.places.root();
        let place = deed.path.starts_with(root.join("var/log")) || deed.path.parent() == Some(&root.join("home"));
        deed.what.directory && place || deed.path == root.join("etc/passwd")
    }

    fn report(&mut self, deed: &Deed, renamed_to: Option<PathBuf>, until: Instant, source: Source, sink: &dyn Sink) {
        let Some(class) = self.classes.of(&deed.path) else { return };
        let Some((change, other)) = self.judge(&deed.path, deed.what, class) else { return };
        let (process, complete) = self.who.of(deed.by, until);
        // Packages bring their links with them.
        let unpacks = process.as_deref().is_some_and(|process| process.lineage.root(ServiceRole::PackageManager).is_some());
        if unpacks && class == FileClass::System {
            return;
        }
        let text = |path: &Path| HostText::from(path.as_os_str().as_encoded_bytes());
        let other = other.or(renamed_to.filter(|_| change == FileChangeKind::Renamed)).map(|path| text(&path));
        let file = FileChange { class: Some(class), other, ..FileChange::new(text(&deed.path), change) };
        emit(sink, EventKind::FileChange { file }, process, source, complete);
    }
}

impl Collector for Traces {
    fn name(&self) -> &'static str {
        "traces"
    }

    fn run(&mut self, sink: &dyn Sink, stop: &Stop) -> Result<(), CollectorError> {
        let mut watch = open("traces")?;
        self.places.refresh();
        self.watch_all(&mut watch, sink);
        let source = source(&watch);
        let (mut soon, mut later) = (Turn::every(SOON), Turn::every(LATER));
        let passwd = self.places.root().join("etc/passwd");
        while !stop.is_set() {
            let look = gather(&mut watch, Stop::LOOK, HOP, sink)?;
            let (deeds, gone) = folded(look.noticed);
            let until = patience();
            for (at, deed) in deeds.iter().enumerate() {
                if self.brings_logs(deed) {
                    soon.ask();
                } else if deed.what.directory {
                    later.ask();
                }
                let next = deeds.get(at + 1).filter(|next| deed.what.moved_away && next.what.moved_in && next.by == deed.by);
                self.report(deed, next.map(|next| next.path.clone()), until, source, sink);
            }
            if gone || look.overflow {
                soon.ask();
            }
            let now = Instant::now();
            if soon.is_due(now) || later.is_due(now) {
                self.places.refresh();
                self.watch_all(&mut watch, sink);
            }
            // A home is made a moment after its account.
            if deeds.iter().any(|deed| deed.path == passwd) {
                later.ask_again(now);
            }
            if gone || look.overflow || !deeds.is_empty() {
                stop.sleep(NAP);
            }
        }
        Ok(())
    }
}

/// What one process did to one path is one deed; whether directories must be looked at anew.
fn folded(noticed: Vec<Noticed>) -> (Vec<Deed>, bool) {
    let (mut deeds, mut stale) = (Vec::<Deed>::new(), false);
    let mut places: HashMap<(PathBuf, Option<u32>), usize> = HashMap::new();
    for noticed in noticed {
        let Noticed::Touched(Touched { path, what, by }) = noticed else {
            stale = true;
            continue;
        };
        let place = *places.entry((path.clone(), by.map(|by| by.pid))).or_insert(deeds.len());
        match deeds.get_mut(place) {
            Some(known) => known.what = known.what.and(what),
            None => deeds.push(Deed { path, what, by }),
        }
    }
    (deeds, stale)
}

/// A directory and those below it, so deep; links are not followed.
fn directories(directory: &Path, deep: u32, found: &mut Vec<PathBuf>) {
    if found.len() >= MAX_DIRECTORIES {
        return;
    }
    found.push(directory.to_owned());
    if deep > 0 {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        below.for_each(|entry| directories(&entry.path(), deep - 1, found));
    }
}

fn files_in(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file())).map(|entry| entry.path()).take(MAX_KNOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::super::test_bench::{Shell, about, at, beside, file, root, tree};
    use super::*;

    #[test]
    fn only_a_new_place_of_logs_has_them_all_looked_at_soon() {
        let traces = Traces::new(Places::under(Path::new("/r")), Attribution::by(|_| None));
        let brings = |path: &str, directory| {
            let what = Touch { created: true, directory, ..Touch::default() };
            traces.brings_logs(&Deed { path: path.into(), what, by: None })
        };
        for path in ["/r/var/log/app", "/r/var/log/app/old", "/r/home/ann"] {
            assert!(brings(path, true) && !brings(path, false), "{path}");
        }
        assert!(brings("/r/etc/passwd", false));
        for path in ["/r/home/ann/x", "/r/etc/x", "/r/usr/local/bin/x", "/var/log/x", "/r/var/logs"] {
            assert!(!brings(path, true), "{path}");
        }
    }

    #[test]
    fn who_removes_traces_is_told_whatever_the_way() {
        if !root() {
            return;
        }
        let root = tree(&["etc", "usr/bin", "var/log/app", "home/ann"]);
        for log in ["auth.log", "syslog", "app/error.log", "kern.log", "probe"] {
            std::fs::write(at(&root, &format!("var/log/{log}")), "line\nline\n").unwrap();
        }
        std::fs::write(at(&root, "home/ann/.bash_history"), "ls\nwho\n").unwrap();
        let mut shell = Shell::start(root.path());
        let pid = shell.pid();
        let collector = Traces::new(Places::under(root.path()), shell.table());
        let mut prober = Shell::start(root.path());
        let probe = || prober.run("echo x > var/log/probe; rm var/log/probe");
        beside(collector, probe, |seen| {
            let wait = |path: &str, change: FileChangeKind, mine: bool| {
                let found = seen.wait(&format!("{change:?} of {path}"), |event| {
                    about(event, &at(&root, path)) && file(event).is_some_and(|file| file.change == change)
                });
                assert!(!mine || found.process.as_ref().is_some_and(|process| process.pid == pid), "{found:?}");
                file(&found).cloned().unwrap()
            };
            // The shell's own redirections; then programs, a relative path, a second name, a call on the path alone.
            shell.run("echo line >> var/log/syslog; : > var/log/auth.log");
            let cut = wait("var/log/auth.log", FileChangeKind::Truncated, true);
            assert_eq!(cut.class, Some(FileClass::Log));
            shell.run("cd var; rm ./log/syslog; mv log/app/error.log log/app/x; cd ..");
            wait("var/log/syslog", FileChangeKind::Deleted, false);
            let moved = wait("var/log/app/error.log", FileChangeKind::Renamed, false);
            assert_eq!(moved.other, Some(HostText::from(at(&root, "var/log/app/x").as_os_str().as_encoded_bytes())));
            shell.run("python3 -c 'import os; os.truncate(\"var/log/kern.log\", 1)' || truncate -s 1 var/log/kern.log");
            wait("var/log/kern.log", FileChangeKind::Truncated, false);
            shell.run("ln -sf /dev/null home/ann/.bash_history; ln -s /tmp/evil usr/bin/tool");
            let link = wait("home/ann/.bash_history", FileChangeKind::Linked, false);
            assert_eq!((link.class, link.other), (Some(FileClass::ShellHistory), Some("/dev/null".into())));
            let link = wait("usr/bin/tool", FileChangeKind::Linked, false);
            assert_eq!((link.class, link.other), (Some(FileClass::System), Some("/tmp/evil".into())));
            assert_eq!(seen.count(|event| file(event).is_some_and(|file| file.path.basename() == "x")), 0, "a new name is no trace");
        });
    }
}
