//! The files that keep logins, rotated ones too; each is read again only when it has changed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::login_record::{RECORD, Record, Source, host, parse};
use bartizan_model::Unpoisoned as _;
use bartizan_store::wtmpdb;

/// The end of a file that is looked at: about 10,000 logins.
const TAIL: u64 = 4 << 20;
/// Rotated files looked at, newest first.
const MAX_FILES: usize = 16;
/// Where wtmpdb(8) keeps logins: Debian's place, and upstream's.
const DATABASES: [&str; 2] = ["var/log/wtmp.db", "var/lib/wtmpdb/wtmp.db"];
/// Accounts and far ends that are taken from it, newest first.
const MAX_OF_DATABASE: usize = 4096;
/// What logrotate(8) may compress a file to.
const ENDINGS: [&str; 5] = [".gz", ".xz", ".bz2", ".zst", ".lz4"];

/// What the files say.
#[derive(Debug, Default)]
pub(super) struct Logins {
    /// Of utmp: who is logged in now.
    pub(super) live: Vec<Record>,
    /// Of wtmp and its rotated files, or of wtmpdb, oldest first.
    pub(super) past: Vec<Record>,
    /// Past logins of which only a host's name is kept.
    pub(super) named: Vec<Record>,
    /// What could not be read, and why.
    pub(super) troubles: Vec<(String, String)>,
}

/// Inode, length, moment of change: what tells that a file is still the same.
type Stamp = (u64, u64, i64, i64);

/// One file as it was read.
#[derive(Debug, Clone)]
struct Kept {
    stamp: Stamp,
    /// Of each account and source the newest, the oldest of those first.
    records: Arc<Vec<Record>>,
    /// Only its end was read, which begins at this moment.
    cut: Option<u64>,
}

/// A database of wtmpdb(8) as it was read.
#[derive(Debug, Clone)]
struct Database {
    file: PathBuf,
    stamp: Stamp,
    records: Arc<Vec<Record>>,
    /// There are more accounts and far ends than are taken from it.
    more: bool,
}

/// Everything since this moment, in seconds of the epoch.
pub(super) fn read(since: u64) -> Logins {
    read_below(Path::new("/"), since)
}

/// Who is logged in now.
pub(super) fn live() -> Vec<Record> {
    let mut logins = Logins::default();
    logins.read_live(Path::new("/"));
    logins.live
}

fn read_below(root: &Path, since: u64) -> Logins {
    let mut logins = Logins::default();
    logins.read_live(root);
    for file in past(root, since, &mut logins) {
        let Some(kept) = logins.take(&file) else { continue };
        if kept.cut.is_some_and(|begins| begins > since) {
            logins.troubles.push((format!("older logins in {}", file.display()), "it is larger than what is looked at".to_owned()));
        }
        logins.past.extend(kept.records.iter().cloned());
    }
    DATABASES.iter().for_each(|file| logins.read_database(&root.join(file), since));
    logins.past.sort_by_key(|record| record.seconds);
    logins
}

/// wtmp and what logrotate(8) made of it since, oldest first: `wtmp.1`, `wtmp-20261101`.
fn past(root: &Path, since: u64, logins: &mut Logins) -> Vec<PathBuf> {
    let directory = root.join("var/log");
    let mut files: Vec<(i64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_rotated = name.strip_prefix("wtmp").is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-']) && rest != ".db");
        let Some(changed) = entry.metadata().ok().filter(|_| is_rotated).map(|metadata| metadata.mtime()) else { continue };
        if u64::try_from(changed).unwrap_or(0) < since {
            continue;
        }
        if ENDINGS.iter().any(|ending| name.ends_with(ending)) {
            let what = format!("logins in {}", directory.join(&name).display().to_string().escape_debug());
            logins.troubles.push((what, "it is compressed; `nocompress` for wtmp in logrotate.conf keeps it readable".to_owned()));
            continue;
        }
        files.push((changed, entry.path()));
    }
    files.sort();
    if files.len() > MAX_FILES {
        logins.troubles.push(("older logins".to_owned(), format!("there are more than {MAX_FILES} files of them")));
        files.drain(..files.len() - MAX_FILES);
    }
    files.into_iter().map(|(_, path)| path).collect()
}

impl Logins {
    fn read_live(&mut self, root: &Path) {
        // The second is the first under another name, on most hosts.
        let files = ["run/utmp", "var/run/utmp"].map(|file| root.join(file));
        if let Some(kept) = files.iter().find_map(|file| self.take(file)) {
            self.live.extend(kept.records.iter().cloned());
        }
    }

    fn read_database(&mut self, file: &Path, since: u64) {
        let Ok(stamp) = stamp(file) else { return };
        let what = |which: &str| format!("{which} in {}", file.display());
        match database(file, stamp, since) {
            Ok(Database { records, more, .. }) => {
                if more {
                    self.troubles.push((what("older logins"), format!("there are more than {MAX_OF_DATABASE} accounts and far ends")));
                }
                let (named, past): (Vec<_>, Vec<_>) = records.iter().cloned().partition(|record| matches!(record.source, Source::Named(_)));
                self.named.extend(named);
                self.past.extend(past);
            }
            Err(why) => self.troubles.push((what("logins"), why)),
        }
    }

    /// A file's records; `None` when it is not there. Some hosts keep none.
    fn take(&mut self, file: &Path) -> Option<Kept> {
        match kept(file) {
            Ok(kept) => Some(kept),
            Err(why) if why.kind() == io::ErrorKind::NotFound => None,
            Err(why) => {
                self.troubles.push((format!("logins in {}", file.display()), why.to_string()));
                None
            }
        }
    }
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let metadata = fs::metadata(path)?;
    Ok((metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec()))
}

/// What a database of wtmpdb(8) says. Only services of root write to it, so an address there is no claim.
fn database(file: &Path, stamp: Stamp, since: u64) -> Result<Database, String> {
    static READ: Mutex<Option<Database>> = Mutex::new(None);
    let mut read = READ.lock().unpoisoned();
    if let Some(known) = read.as_ref().filter(|known| known.file == file && known.stamp == stamp) {
        return Ok(known.clone());
    }
    let (logins, more) = wtmpdb::past_logins(file, since, MAX_OF_DATABASE).map_err(|why| why.to_string())?;
    let record = |login: wtmpdb::PastLogin| {
        let source = match host(&login.host) {
            Source::Claimed(addr) => Source::Server(addr),
            source @ (Source::Server(_) | Source::Named(_) | Source::Here) => source,
        };
        Record { pid: 0, user: login.user, seconds: login.seconds, source }
    };
    let records = Arc::new(newest(logins.into_iter().map(record).collect()));
    Ok(read.insert(Database { file: file.to_owned(), stamp, records, more }).clone())
}

fn kept(path: &Path) -> io::Result<Kept> {
    static READ: Mutex<BTreeMap<PathBuf, Kept>> = Mutex::new(BTreeMap::new());
    let stamp = stamp(path)?;
    let mut read = READ.lock().unpoisoned();
    if let Some(kept) = read.get(path).filter(|kept| kept.stamp == stamp) {
        return Ok(kept.clone());
    }
    let (bytes, is_cut) = tail(path)?;
    let all: Vec<Record> = bytes.chunks_exact(RECORD).filter_map(parse).collect();
    let cut = all.first().filter(|_| is_cut).map(|oldest| oldest.seconds);
    let kept = Kept { stamp, records: Arc::new(newest(all)), cut };
    if read.len() >= 2 * MAX_FILES {
        read.clear();
    }
    read.insert(path.to_owned(), kept.clone());
    Ok(kept)
}

/// Of each account, source and process the newest; those without a source say nothing.
fn newest(all: Vec<Record>) -> Vec<Record> {
    let mut newest: BTreeMap<(Vec<u8>, Source, u32), Record> = BTreeMap::new();
    for record in all.into_iter().filter(|record| record.source != Source::Here) {
        // Only what a process wrote of itself depends on its life.
        let pid = if matches!(record.source, Source::Server(_)) { 0 } else { record.pid };
        let known = newest.entry((record.user.clone(), record.source.clone(), pid)).or_insert_with(|| record.clone());
        if known.seconds < record.seconds {
            *known = record;
        }
    }
    let mut records: Vec<Record> = newest.into_values().collect();
    records.sort_by_key(|record| record.seconds);
    records
}

/// The last [`TAIL`] bytes, beginning at a whole record, and whether there was more.
fn tail(file: &Path) -> io::Result<(Vec<u8>, bool)> {
    let mut file = File::open(file)?;
    let length = file.metadata()?.len();
    let whole = length - length % RECORD as u64;
    let start = whole.saturating_sub(TAIL - TAIL % RECORD as u64);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(whole - start).read_to_end(&mut bytes)?;
    Ok((bytes, start > 0))
}

#[cfg(test)]
mod tests {
    use super::super::login_record::tests::record;
    use super::*;

    fn host(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, bytes) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        dir
    }

    #[test]
    fn logins_survive_the_rotation_of_their_file() {
        let login = |seconds, last| record(7, 1, "ann", "", seconds, &[192, 0, 2, last]);
        let dir = host(&[
            ("var/log/wtmp", login(900, 3)),
            ("var/log/wtmp.1", login(800, 2)),
            ("var/log/wtmp-20261101", login(700, 1)),
            ("var/log/wtmp.2.gz", vec![1, 2, 3]),
            ("var/log/wtmpdb", login(600, 9)),
            ("run/utmp", [record(2, 0, "reboot", "", 1, &[]), record(7, 5, "ann", "203.0.113.5 via mosh [5]", 950, &[])].concat()),
        ]);
        let read = read_below(dir.path(), 0);
        let seconds: Vec<u64> = read.past.iter().map(|record| record.seconds).collect();
        assert_eq!(seconds, [700, 800, 900]);
        assert_eq!(read.live.len(), 1);
        assert!(read.troubles.len() == 1 && read.troubles[0].1.contains("compressed"), "{:?}", read.troubles);
        fs::write(dir.path().join("var/log/wtmp"), [login(900, 3), login(901, 4)].concat()).unwrap();
        assert_eq!(read_below(dir.path(), 0).past.len(), 4, "a changed file is read anew");
        assert_eq!(read_below(dir.path(), u64::MAX).past.len(), 0, "nothing changed since then");
    }

    #[test]
    fn logins_are_read_where_a_database_keeps_them() {
        let database = concat!(env!("CARGO_MANIFEST_DIR"), "/../store/testdata/wtmp.db");
        for place in DATABASES {
            let dir = host(&[(place, fs::read(database).unwrap())]);
            let read = read_below(dir.path(), 0);
            let sources: Vec<&Source> = read.past.iter().map(|record| &record.source).collect();
            let server = |addr: &str| Source::Server(addr.parse().unwrap());
            assert_eq!(sources, [&server("2001:db8::7"), &server("192.0.2.7")], "{place}, and not read as a file of wtmp");
            assert_eq!(read.named.iter().map(|record| record.user.as_slice()).collect::<Vec<_>>(), [b"bob"]);
            assert_eq!(read.troubles, []);
        }
        let dir = host(&[("var/log/wtmp.db", b"no database".to_vec())]);
        assert_eq!(read_below(dir.path(), 0).troubles.len(), 1, "what cannot be read is said");
    }
}
