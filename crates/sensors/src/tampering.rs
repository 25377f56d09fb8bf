//! Who touches the guard itself: its records, settings, unit and program, by any process but its own.
//!
//! Only by fanotify, which knows who: below it our own writing could not be told from others'. The journals and locks
//! of SQLite are opened for writing by whoever only reads, so their closing says nothing; the database itself is not.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::attribution::Attribution;
use super::gather::{emit, gather, open, patience};
use super::guarding::is_own;
use super::{Collector, CollectorError, Sink, Stop};
use bartizan_model::{Alarm, AlarmKind, EventKind, ExeFile, HostText, Loss, Process, Source};
use bartizan_sys::file_watch::{FileWatch, Interest, Noticed, Touch, Touched};
use bartizan_sys::fork_guard;
use bartizan_sys::proc_files::exe_file;

/// The hop's name in loss counts.
const HOP: &str = "fanotify-tampering";
/// Alarms told within [`WINDOW`]; the rest is counted: a removed directory is one deed, however many files it had.
const MAX_TOLD: usize = 32;
const WINDOW: Duration = Duration::from_secs(10);
/// How long after such an overlap the kernel's word of it may still wait to be read.
const BUSY: Duration = Duration::from_secs(5);
/// Directories watched below the data directory: evidence has one for each action.
const MAX_DIRECTORIES: usize = 1024;
/// Where systemd looks for units and what changes them (systemd.unit(5)).
const UNIT_DIRECTORIES: [&str; 7] = [
    "etc/systemd/system",
    "etc/systemd/system/multi-user.target.wants",
    "etc/systemd/system.control",
    "run/systemd/system",
    "run/systemd/system.control",
    "usr/lib/systemd/system",
    "usr/local/lib/systemd/system",
];
const UNIT: &str = "bartizan.service";
/// Files beside a configuration that lies in a directory of others.
const SETTINGS: [&str; 3] = ["agent.toml", "policy.toml", "keymap.toml"];
/// What the package installs beside the program.
const SCRIPT: &str = "bartizan-emergency";
/// Name of the lock that a second agent opens before it finds out that there is a first.
const LOCK: &str = "agent.lock";
/// The transient units that undo an action in our place.
const UNDOERS: &str = "bartizan-expiry-";

/// Watches the installation.
pub struct Tampering {
    data: PathBuf,
    settings: PathBuf,
    program: Option<PathBuf>,
    root: PathBuf,
    /// The file that we run.
    own: Option<ExeFile>,
    who: Attribution,
}

impl Tampering {
    /// Over this data directory, this agent.toml, this program, and the units below `root`.
    pub fn new(data: &Path, settings: &Path, program: Option<PathBuf>, root: &Path, who: Attribution) -> Self {
        Self {
            data: data.to_owned(),
            settings: settings.to_owned(),
            program,
            root: root.to_owned(),
            own: exe_file(std::process::id()),
            who,
        }
    }

    /// Which directories to watch now; those that do not exist are left out.
    fn to_watch(&self) -> BTreeSet<PathBuf> {
        let mut found: BTreeSet<PathBuf> = below(&self.data, 2).into_iter().take(MAX_DIRECTORIES).collect();
        found.extend(self.settings.parent().map(Path::to_owned));
        found.extend(self.program.as_deref().and_then(Path::parent).map(Path::to_owned));
        for directory in UNIT_DIRECTORIES {
            let directory = self.root.join(directory);
            found.insert(directory.join(format!("{UNIT}.d")));
            found.insert(directory);
        }
        found.retain(|path| path.is_dir());
        found
    }

    fn watch_all(&self, watch: &mut FileWatch, sink: &dyn Sink) {
        for path in self.to_watch() {
            // Each write of ours would wake us: a writer counts when it closes the file.
            if let Err(why) = watch.watch(&path, Interest::Closed) {
                tracing::warn!(path = %path.display(), %why, "a part of the installation cannot be watched");
                sink.account(HOP, 0, 1);
            }
        }
    }

    /// As what a touch counts, if as anything.
    fn classify(&self, path: &Path, what: Touch) -> Option<AlarmKind> {
        let name = path.file_name().unwrap_or_default();
        let moved = what.deleted || what.moved_away || what.moved_in;
        if path.starts_with(&self.data) {
            let opened_by_readers = [OsStr::new(LOCK)].contains(&name)
                || [b"-wal".as_slice(), b"-shm"].iter().any(|end| name.as_encoded_bytes().ends_with(end));
            return (moved || !opened_by_readers).then_some(AlarmKind::DataTouched);
        }
        let text = name.to_str().unwrap_or_default();
        let parent = path.parent()?;
        let own_directory = parent.file_name() == Some(OsStr::new("bartizan"));
        let is_settings = self.settings.parent() == Some(parent) && (own_directory || SETTINGS.contains(&text) || self.settings == path);
        let is_program =
            self.program.as_deref() == Some(path) || (text == SCRIPT && self.program.as_deref().and_then(Path::parent) == Some(parent));
        let is_unit = text == UNIT || text == format!("{UNIT}.d") || parent.file_name() == Some(OsStr::new(&format!("{UNIT}.d")));
        (is_settings || is_program || is_unit).then_some(AlarmKind::InstallationTouched)
    }

    /// Whether this is a standing watchdog that an earlier run left and that goes on for us: our own program in that part.
    /// Whoever put another program there was told of.
    fn is_watchdog(&self, process: &Process) -> bool {
        let path = process.exe.as_bytes();
        let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
        let ours = self.program.as_ref().is_some_and(|program| program.as_os_str().as_bytes() == path);
        ours && process.argv.get(1).is_some_and(|part| *part == *"watchdog")
    }

    /// Whether these are our own data changed by our own commands (`fim approve`, `rules import`): root runs the very file that we run, and
    /// nothing is loaded into it. A copy is another file. Who is root can run ours anyway; the databases are sealed and chained for that.
    fn is_own_command(&self, kind: AlarmKind, process: &Process) -> bool {
        // The kernel neither gives the number of a file that runs to another nor lets anybody write to it. Some file systems tell the sensor
        // another device than stat(2): then a process that still lives is asked again.
        let is = |own: &ExeFile, it: ExeFile| it.inode != 0 && (own.device, own.inode) == (it.device, it.inode);
        let same = |own: &ExeFile| is(own, process.exe_file) || exe_file(process.pid).is_some_and(|now| is(own, now));
        let loads = process.environment.iter().any(|variable| variable.name.as_bytes().starts_with(b"LD_"));
        kind == AlarmKind::DataTouched && process.euid == 0 && !loads && self.own.as_ref().is_some_and(same)
    }

    /// Whether whoever touched this does it in our place: a process of ours, or a timer that undoes an action and takes
    /// its note away. A note's remover may have ended before it could be named; then nobody is accused.
    fn is_excused(&self, kind: AlarmKind, path: &Path, process: Option<&Arc<Process>>) -> bool {
        let is_note = path.starts_with(self.data.join("expiry"));
        match process {
            None => is_note,
            Some(process) => {
                let undoes = |unit: &str| unit.starts_with(UNDOERS);
                is_own(process)
                    || self.is_watchdog(process)
                    || self.is_own_command(kind, process)
                    || (is_note && process.unit.as_deref().is_some_and(undoes))
            }
        }
    }
}

impl Collector for Tampering {
    fn name(&self) -> &'static str {
        "tampering"
    }

    fn run(&mut self, sink: &dyn Sink, stop: &Stop) -> Result<(), CollectorError> {
        let mut watch = open("tampering")?;
        if !watch.tells_who() {
            // Said among the blind spots; nothing to do until the next start.
            while !stop.is_set() {
                stop.sleep(Stop::LOOK);
            }
            return Ok(());
        }
        self.watch_all(&mut watch, sink);
        let mut bound = Bound { told: 0, begun: Instant::now() };
        while !stop.is_set() {
            let look = gather(&mut watch, Stop::LOOK, HOP, sink)?;
            let until = patience();
            let touches = folded(look.noticed);
            let stale = look.overflow || touches.iter().any(|touched| touched.what.directory);
            for touched in touches {
                self.tell(&touched, until, &mut bound, sink);
            }
            if stale {
                self.watch_all(&mut watch, sink);
            }
        }
        Ok(())
    }
}

impl Tampering {
    fn tell(&self, touched: &Touched, until: Instant, bound: &mut Bound, sink: &dyn Sink) {
        let Some(kind) = self.classify(&touched.path, touched.what) else { return };
        let (process, complete) = self.who.of(touched.by, until);
        if self.is_excused(kind, &touched.path, process.as_ref()) {
            return;
        }
        // On a host so busy that a child of ours was started while we wrote, an unknown process may be that child: nobody is
        // accused, and it is counted as not seen.
        if process.is_none() && only_closed(touched.what) && fork_guard::overlapped_within(BUSY) {
            sink.account(HOP, 0, 1);
            return;
        }
        if bound.allows() {
            emit(sink, alarm(kind, touched), process, Source::Fanotify, complete);
        } else {
            sink.account(HOP, 0, 1);
            emit(sink, EventKind::Loss { loss: Loss::new(HOP, 1) }, None, Source::Agent, false);
        }
    }
}

/// Whether a file was closed by somebody who had it open for writing, and nothing else happened to it.
fn only_closed(what: Touch) -> bool {
    what.closed && !(what.created || what.deleted || what.moved_in || what.moved_away || what.attributes)
}

/// How many alarms were told lately.
struct Bound {
    told: usize,
    begun: Instant,
}

impl Bound {
    fn allows(&mut self) -> bool {
        if self.begun.elapsed() >= WINDOW {
            (self.told, self.begun) = (0, Instant::now());
        }
        self.told += 1;
        self.told <= MAX_TOLD
    }
}

/// What one process did to one path within a look is one deed. The kernel's queue bounds how many there are.
fn folded(noticed: Vec<Noticed>) -> Vec<Touched> {
    let mut touches: Vec<Touched> = Vec::new();
    let mut places: HashMap<(PathBuf, Option<u32>), usize> = HashMap::new();
    for noticed in noticed {
        let touched = match noticed {
            Noticed::Touched(touched) => touched,
            Noticed::Gone(path) => {
                let what = Touch { deleted: true, directory: true, ..Touch::default() };
                Touched { path, what, by: None }
            }
            Noticed::Overflow => continue,
        };
        let place = *places.entry((touched.path.clone(), touched.by.map(|by| by.pid))).or_insert(touches.len());
        match touches.get_mut(place) {
            Some(known) => known.what = known.what.and(touched.what),
            None => touches.push(touched),
        }
    }
    touches
}

fn alarm(what: AlarmKind, touched: &Touched) -> EventKind {
    let path = HostText::from(touched.path.as_os_str().as_encoded_bytes());
    let did = match touched.what {
        Touch { deleted: true, .. } => "removed",
        Touch { moved_away: true, .. } => "moved away",
        Touch { moved_in: true, .. } => "put another file in the place of",
        Touch { written: true, .. } | Touch { closed: true, .. } => "wrote to",
        Touch { created: true, .. } => "made",
        _ => "changed the attributes of",
    };
    let detail = format!("{did} {}", path.escaped()).into();
    EventKind::Alarm { alarm: Alarm { what, detail, action: None, path: Some(path) } }
}

/// A directory and those below it, so deep; links are not followed.
fn below(directory: &Path, deep: u32) -> Vec<PathBuf> {
    let mut found = vec![directory.to_owned()];
    if deep > 0 {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten().take(MAX_DIRECTORIES);
        // What is mounted there (our cgroup hierarchy on some hosts) is changed by whoever works with it.
        let device = |path: &Path| path.symlink_metadata().map(|found| found.dev()).ok();
        let here = device(directory);
        let is_ours = |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir()) && device(&entry.path()) == here;
        let directories = entries.filter(is_ours);
        found.extend(directories.flat_map(|entry| below(&entry.path(), deep - 1)));
    }
    found
}
