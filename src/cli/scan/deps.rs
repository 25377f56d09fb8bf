//! `scan deps`: installed packages and lock files against a database of known vulnerabilities on disk.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Args;

use super::Scanned;
use super::walk::{Entry, Walk, Way};
use crate::cli::outcome::Failure;
use bartizan_model::{Finding, HostText, ScannerRun, ScannerState, Timestamp, Unpoisoned as _};
use bartizan_scan::deps::{
    Archive, Ecosystem, MAX_ADVISORY, Matcher, Matches, Package, Release, SOURCE, dpkg_packages, is_lock_file, locked_packages,
};
use bartizan_scan::findings::target_name;
use bartizan_sys::plain_file;

const REGULAR: u32 = 0o100_000;
/// Bytes of dpkg's status, of a lock file, and of the security tracker's data.
const MAX_STATUS: u64 = 64 << 20;
const MAX_LOCK: u64 = 16 << 20;
const MAX_TRACKER: u64 = 512 << 20;
/// Names that say what a larger JSON file is.
const BEGINNING: usize = 4096;
/// Lock files that are named when they could not be read; all are counted.
const MAX_NAMED: usize = 20;
const STATUS: &str = "var/lib/dpkg/status";

/// What is compared with what.
#[derive(Debug, Args)]
pub(super) struct DepsArgs {
    /// Directories with lock files; without one, what dpkg has installed here.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Database: a directory or ZIP archive of OSV advisories (osv-vulnerabilities.storage.googleapis.com/Debian/all.zip), or the JSON of
    /// Debian's security tracker. May be named several times.
    #[arg(long, value_name = "PATH")]
    db: Vec<PathBuf>,
}

impl DepsArgs {
    /// What dpkg has installed here.
    pub(super) fn of_host(db: Vec<PathBuf>) -> Self {
        Self { paths: Vec::new(), db }
    }
}

/// What the database held that could not be read.
#[derive(Default)]
struct Broken {
    count: u64,
    first: Option<(HostText, String)>,
}

struct Database<'a> {
    matcher: &'a Matcher,
    at: Timestamp,
    state: Mutex<(Matches, Broken)>,
}

/// Scans for known vulnerabilities.
pub(super) fn scan(args: &DepsArgs) -> Result<Scanned, Failure> {
    for path in args.paths.iter().chain(&args.db) {
        path.symlink_metadata().map_err(|why| Failure::usage(format!("{}: {why}", text(path)), "name what is there"))?;
    }
    let roots: Vec<PathBuf> = args.paths.iter().map(|path| path.canonicalize().unwrap_or_else(|_| path.clone())).collect();
    let name =
        if roots.is_empty() { HostText::from("this host") } else { target_name(&roots.iter().map(|path| text(path)).collect::<Vec<_>>()) };
    Ok(Scanned::new(SOURCE, name, |at, run| match compare(&roots, &args.db, at, run) {
        Ok(found) => found,
        Err((state, why)) => {
            (run.state, run.reason) = (state, why);
            (Vec::new(), 0)
        }
    }))
}

fn text(path: &Path) -> HostText {
    HostText::from(path.as_os_str().as_bytes())
}

type Cannot = (ScannerState, String);

fn compare(roots: &[PathBuf], databases: &[PathBuf], at: Timestamp, run: &mut ScannerRun) -> Result<(Vec<Finding>, u64), Cannot> {
    if databases.is_empty() {
        return Err((ScannerState::Missing, "there is no database of vulnerabilities: name one with --db".to_owned()));
    }
    let systems: Vec<PathBuf> = match roots {
        [] => vec![PathBuf::from("/")],
        roots => roots.iter().filter(|root| root.join(STATUS).is_file()).cloned().collect(),
    };
    let host = systems.first().map_or_else(Distribution::default, |root| Distribution::of(root));
    let packages = if roots.is_empty() { installed(Path::new("/")) } else { locked(roots, &systems, &host, run) };
    let packages = packages.map_err(|why| (ScannerState::Failed, why))?;
    run.looked_at.insert("packages".to_owned(), packages.len() as u64);
    if packages.is_empty() {
        run.leave_out("packages".into(), "there is no lock file that is known, and no list of dpkg", 1, true);
    }
    let matcher = Matcher::new(packages, host.release.clone()).map_err(|why| (ScannerState::Failed, why))?;
    let database = Database { matcher: &matcher, at, state: Mutex::new((matcher.begin(at), Broken::default())) };
    for path in databases {
        database.read(path).map_err(|why| (ScannerState::Failed, format!("{}: {why}", text(path))))?;
    }
    let (matches, broken) = database.state.into_inner().unpoisoned();
    run.looked_at.insert("advisories".to_owned(), matches.advisories);
    if matches.advisories == broken.count {
        let why = broken.first.map_or_else(|| "it holds none".to_owned(), |(path, why)| format!("{path}: {why}"));
        return Err((ScannerState::Failed, format!("no advisory could be read: {why}")));
    }
    if let Some((path, why)) = broken.first {
        run.leave_out(path, format!("advisories that could not be read: {why}"), broken.count, true);
    }
    for (ecosystem, count) in matcher.unknown(&matches) {
        let why = match ecosystem {
            Ecosystem::Debian => host.unknown(),
            _ => format!("no advisory of the database is about {}", ecosystem.name()),
        };
        run.leave_out(format!("packages of {}", ecosystem.name()).as_str().into(), why, count, true);
    }
    Ok(matches.finish())
}

fn limited(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let (file, _) = plain_file::open(path).map_err(|why| why.to_string())?;
    bounded(file, most)
}

fn bounded(file: File, most: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(|why| why.to_string())?;
    if bytes.len() as u64 > most { Err(format!("it is larger than {} MiB", most >> 20)) } else { Ok(bytes) }
}

/// What dpkg has installed below this root.
fn installed(root: &Path) -> Result<Vec<Package>, String> {
    let path = root.join(STATUS);
    let bytes = limited(&path, MAX_STATUS).map_err(|why| format!("{}: {why}: only packages of dpkg are known", text(&path)))?;
    Ok(dpkg_packages(&String::from_utf8_lossy(&bytes), &text(&path)))
}

/// What lock files say, and dpkg where a root of a system was named.
fn locked(roots: &[PathBuf], systems: &[PathBuf], host: &Distribution, run: &mut ScannerRun) -> Result<Vec<Package>, String> {
    let state = Mutex::new((Vec::new(), Vec::new(), 0u64));
    let way = |path: &[u8]| match path {
        _ if path.ends_with(b"/node_modules") => Way::Aside("what is installed in it is in the lock file above it"),
        _ if path.ends_with(b"/.git") => Way::Aside("it holds no lock files of its own"),
        _ => Way::In,
    };
    let one = |file: File, path: &[u8]| {
        let location = HostText::from(path);
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let read = bounded(file, MAX_LOCK).and_then(|bytes| locked_packages(name, &String::from_utf8_lossy(&bytes), &location));
        let (packages, unread, files) = &mut *state.lock().unpoisoned();
        *files += 1;
        match read {
            Ok(found) if packages.len() < bartizan_scan::deps::MAX_PACKAGES => packages.extend(found),
            Ok(_) => unread.push((location, "there are too many packages".to_owned())),
            Err(why) => unread.push((location, why)),
        }
    };
    for root in roots.iter().filter(|root| root.is_file()) {
        let (file, _) = plain_file::open(root).map_err(|why| format!("{}: {why}", text(root)))?;
        one(file, root.as_os_str().as_bytes());
    }
    let directories = roots.iter().filter(|root| root.is_dir()).map(|root| text(root)).collect();
    let walk = Walk { roots: directories, way: &way, far_aside: true, patience: None };
    let walked = walk.run(|| {
        |entry: &Entry| {
            if entry.facts.kind() == REGULAR && is_lock_file(entry.name.to_bytes()) {
                match entry.folder.file(entry.name) {
                    Ok(file) => one(file, entry.path),
                    Err(why) => state.lock().unpoisoned().1.push((HostText::from(entry.path), format!("it cannot be opened: {why:?}"))),
                }
            }
        }
    });
    let (mut packages, unread, files) = state.into_inner().unpoisoned();
    let more = unread.len().saturating_sub(MAX_NAMED) as u64;
    for (path, why) in unread.into_iter().take(MAX_NAMED) {
        run.leave_out(path, why, 1, true);
    }
    run.leave_out("more lock files".into(), "they could not be read", more, true);
    walked.account(run);
    run.looked_at.insert("lock files".to_owned(), files);
    for root in systems {
        if Distribution::of(root).release == host.release {
            packages.extend(installed(root)?);
        } else {
            run.leave_out(text(&root.join(STATUS)), "it is of another release than the first: scan it alone", 1, true);
        }
    }
    packages.sort_by(|a, b| (&a.location, &a.name, &a.version).cmp(&(&b.location, &b.name, &b.version)));
    packages.dedup();
    Ok(packages)
}

/// What os-release(5) of a system says.
#[derive(Debug, Default)]
struct Distribution {
    id: String,
    /// Empty words when it is no Debian.
    release: Release,
}

impl Distribution {
    fn of(root: &Path) -> Self {
        let read = |name: &str| limited(&root.join(name), 1 << 16);
        let words = read("etc/os-release").or_else(|_| read("usr/lib/os-release")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).into_owned();
        let field = |name: &str| {
            let value = words.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default();
            value.trim_matches(['"', '\'']).to_owned()
        };
        let id = field("ID");
        let is_debian = id == "debian";
        let release =
            if is_debian { Release { number: field("VERSION_ID"), codename: field("VERSION_CODENAME") } } else { Release::default() };
        Self { id, release }
    }

    /// Why nothing is known of its packages.
    fn unknown(&self) -> String {
        match (self.id.as_str(), self.release.number.as_str(), self.release.codename.as_str()) {
            ("", ..) => "it does not say which distribution it is (/etc/os-release)".to_owned(),
            ("debian", "", "") => "it does not say which release of Debian it is (/etc/os-release)".to_owned(),
            ("debian", "", codename) => format!("no advisory of the database is about Debian {codename}, which has no number yet"),
            ("debian", number, _) => format!("no advisory of the database is about Debian {number}"),
            (other, ..) => format!("it is {}, and advisories about Debian are not about it", HostText::from(other).escaped()),
        }
    }
}

impl Database<'_> {
    fn read(&self, path: &Path) -> Result<(), String> {
        if path.is_dir() {
            self.directory(path);
            return Ok(());
        }
        let (file, facts) = plain_file::open(path).map_err(|why| why.to_string())?;
        let mut beginning = [0; BEGINNING];
        let read = file.read_at(&mut beginning, 0).map_err(|why| why.to_string())?;
        let beginning = beginning.get(..read).unwrap_or_default();
        if beginning.starts_with(b"PK") {
            return self.archive(&file, facts.len());
        }
        let holds = |word: &[u8]| beginning.windows(word.len()).any(|part| part == word);
        if holds(b"\"affected\"") || holds(b"\"schema_version\"") || holds(b"\"modified\"") {
            return self.one(&text(path), bounded(file, MAX_ADVISORY as u64));
        }
        self.tracker(&bounded(file, MAX_TRACKER)?)
    }

    fn tracker(&self, bytes: &[u8]) -> Result<(), String> {
        let mut matches = self.matcher.begin(self.at);
        self.matcher.tracker(bytes, &mut matches)?;
        self.state.lock().unpoisoned().0.absorb(matches);
        Ok(())
    }

    /// One advisory. That one of many is broken does not end the scan.
    fn one(&self, path: &HostText, bytes: Result<Vec<u8>, String>) -> Result<(), String> {
        let mut matches = self.matcher.begin(self.at);
        let read = match bytes {
            Ok(bytes) => self.matcher.advisory(&bytes, &mut matches),
            Err(why) => {
                matches.advisories += 1;
                Err(why)
            }
        };
        let (all, broken) = &mut *self.state.lock().unpoisoned();
        all.absorb(matches);
        if let Err(why) = read {
            broken.count += 1;
            broken.first.get_or_insert((path.clone(), why));
        }
        Ok(())
    }

    fn directory(&self, path: &Path) {
        let walk = Walk { roots: vec![text(path)], way: &|_| Way::In, far_aside: false, patience: None };
        let walked = walk.run(|| {
            |entry: &Entry| {
                if entry.facts.kind() != REGULAR {
                    return;
                }
                let name = HostText::from(entry.path);
                let path = Path::new(OsStr::from_bytes(entry.path));
                if entry.path.ends_with(b".zip") || entry.path.ends_with(b".json") && entry.facts.size > MAX_ADVISORY as u64 {
                    if let Err(why) = self.read(path) {
                        let _ = self.one(&name, Err(why));
                    }
                } else if entry.path.ends_with(b".json") {
                    let bytes = entry.folder.file(entry.name).map_err(|why| format!("{why:?}"));
                    let _ = self.one(&name, bytes.and_then(|file| bounded(file, MAX_ADVISORY as u64)));
                }
            }
        });
        let cut = walked.cut.map(|why| (text(path), why));
        for (path, why) in walked.unread.into_iter().chain(cut) {
            let _ = self.one(&path, Err(why));
        }
    }

    fn archive(&self, file: &File, size: u64) -> Result<(), String> {
        let read = |at: u64, length: usize| {
            let mut bytes = vec![0; length.min(usize::try_from(size.saturating_sub(at)).unwrap_or(usize::MAX))];
            file.read_exact_at(&mut bytes, at).ok().map(|()| bytes)
        };
        let archive = Archive::open(size, &read).map_err(|why| why.to_string())?;
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    loop {
                        let place = next.fetch_add(1, Ordering::Relaxed);
                        if place >= archive.files() {
                            return;
                        }
                        let bytes = archive.file(place, &read).map_err(|why| why.to_string());
                        let _ = self.one(&format!("file {place} of the archive").into(), bytes);
                    }
                });
            }
        });
        Ok(())
    }
}
