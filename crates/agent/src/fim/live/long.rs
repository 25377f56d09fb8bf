//! Long files are read by a thread of their own, one after the other: no other change waits until a disk image is hashed.
//!
//! Their ends are judged before they come here; here all of them is compared. Owners take turns (start-time fair queueing: Goyal, Vin and Cheng,
//! SIGCOMM 1996), so that who writes many long files delays another's by one of them; the files of one owner are read oldest first.

use std::collections::{HashMap, VecDeque};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use super::pace::Pace;
use crate::fim::report::Report;
use crate::fim::scan::{FimError, Part, Ways, look_again};
use bartizan_integrity::{Finding, YaraRules};
use bartizan_model::{HostText, Process};
use bartizan_store::Baseline;

/// Files longer than so many bytes are long: one is read in a tenth of a second from memory, in half a second from a disk.
pub(super) const MAX_AT_ONCE: u64 = 64 << 20;
/// Long files that wait; beyond, the owner of most of them has one less.
const MAX_WAITING: usize = 4096;
/// Longest that one file is read; what is longer is left to the next scan, and said.
const PATIENCE: Duration = Duration::from_secs(60);

/// A long file that was touched, and by whom.
#[derive(Debug, Clone)]
pub(super) struct LongFile {
    pub(super) path: PathBuf,
    /// Whose it is.
    pub(super) owner: u32,
    pub(super) by: Option<Arc<Process>>,
    pub(super) certain: bool,
    /// Nobody saw it when it happened; at most, who made the directory is known.
    pub(super) late: Option<Option<Arc<Process>>>,
    /// What its ends showed, which was reported at once.
    pub(super) told: Vec<Finding>,
}

/// What became of it; `None`: the baseline has another version by now.
pub(super) type Looked = Result<Option<Report>, FimError>;

/// Those that wait, and the one that is read.
#[derive(Debug, Default)]
pub(super) struct LongFiles {
    /// Oldest first, each with its turn.
    waiting: VecDeque<(u64, LongFile)>,
    /// The turn of the one that was begun last.
    turn: u64,
    /// The last turn that an owner with files waiting has.
    last: HashMap<u32, u64>,
    pace: Pace<()>,
    under_way: Option<(LongFile, Receiver<Looked>)>,
}

impl LongFiles {
    /// Waits for its turn; the last one who touched a path is who is named. Says which file finds no room.
    pub(super) fn push(&mut self, file: LongFile) -> Option<PathBuf> {
        if let Some((_, known)) = self.waiting.iter_mut().find(|(_, known)| known.path.as_os_str() == file.path.as_os_str()) {
            *known = file;
            return None;
        }
        let turn = self.last.get(&file.owner).map_or(self.turn, |last| (last + 1).max(self.turn));
        self.last.insert(file.owner, turn);
        self.waiting.push_back((turn, file));
        if self.waiting.len() <= MAX_WAITING {
            return None;
        }
        let mut of_each: HashMap<u32, usize> = HashMap::new();
        self.waiting.iter().for_each(|(_, file)| *of_each.entry(file.owner).or_default() += 1);
        let (owner, _) = of_each.into_iter().max_by_key(|(_, many)| *many)?;
        let newest = self.waiting.iter().rposition(|(_, file)| file.owner == owner)?;
        self.waiting.remove(newest).map(|(_, file)| file.path)
    }

    /// A long file was read: the longer it is, the later again.
    pub(super) fn read(&mut self, path: &Path, bytes: u64, now: Instant) {
        self.pace.read(path, bytes, now);
    }

    /// Begins to read the next one, if none is read just now.
    pub(super) fn begin(&mut self, data: &Path, version: u64, yara: &YaraRules) {
        if self.under_way.is_some() {
            return;
        }
        let Some((turn, file)) = self.next(Instant::now()) else { return };
        let (sender, receiver) = sync_channel(1);
        let (data, path, yara) = (data.to_owned(), HostText::from(file.path.as_os_str().as_bytes()), yara.clone());
        let read = move || {
            // Who gave up waiting ends with the agent.
            let _ = sender.send(looked(&data, version, &path, &yara));
        };
        match std::thread::Builder::new().name("long-file".to_owned()).spawn(read) {
            Ok(_) => self.under_way = Some((file, receiver)),
            // Another time.
            Err(_) => self.waiting.push_front((turn, file)),
        }
    }

    /// Whose turn it is: the earliest, and of those the one that waits longest.
    fn next(&mut self, now: Instant) -> Option<(u64, LongFile)> {
        let free = self.waiting.iter().enumerate().filter(|(_, (_, file))| self.pace.is_free(&file.path, now));
        let (place, _) = free.min_by_key(|(_, (turn, _))| *turn)?;
        let (turn, file) = self.waiting.remove(place)?;
        self.turn = self.turn.max(turn);
        self.last.retain(|_, last| *last >= self.turn);
        Some((turn, file))
    }

    /// The one that was read, once it is.
    pub(super) fn done(&mut self) -> Option<(LongFile, Looked)> {
        let looked = match self.under_way.as_ref()?.1.try_recv() {
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => Err(FimError::Over),
            Ok(looked) => looked,
        };
        self.under_way.take().map(|(file, _)| (file, looked))
    }

    /// Whether something waits or is read.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_none()
    }

    /// How many wait or are read.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + usize::from(self.under_way.is_some())
    }

    /// All that were not read, at the end.
    pub(super) fn rest(&mut self) -> Vec<PathBuf> {
        let under_way = self.under_way.take().map(|(file, _)| file.path);
        std::mem::take(&mut self.waiting).into_iter().map(|(_, file)| file.path).chain(under_way).collect()
    }
}

fn looked(data: &Path, version: u64, path: &HostText, yara: &YaraRules) -> Looked {
    let baseline = Baseline::read(data)?;
    let Some((newest, _)) = baseline.verify()?.filter(|(newest, _)| newest.number == version) else { return Ok(None) };
    let ways = Ways { yara, longest: None, until: Some(Instant::now() + PATIENCE) };
    look_again(&baseline, &newest, (Part::Below(path), ways), chrono::Utc::now(), &|| false).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fim::{Adds, Ask, Excluded, Writing, scan};
    use std::fs;

    fn file(path: &str, owner: u32) -> LongFile {
        LongFile { path: path.into(), owner, by: None, certain: false, late: None, told: Vec::new() }
    }

    fn next(files: &mut LongFiles) -> String {
        files.next(Instant::now()).map(|(_, file)| file.path.display().to_string()).unwrap_or_default()
    }

    #[test]
    fn who_writes_many_long_files_starves_nobody() {
        let mut files = LongFiles::default();
        let mut flood = 0;
        let mut more = |files: &mut LongFiles| {
            flood += 1;
            assert_eq!(files.push(file(&format!("/w/a{flood}"), 33)), None);
        };
        (0..100).for_each(|_| more(&mut files));
        assert_eq!(next(&mut files), "/w/a1", "of one owner the oldest is first");
        files.push(file("/w/z1", 1000));
        files.push(file("/w/z2", 1000));
        let read: Vec<String> = (0..5)
            .map(|_| {
                more(&mut files);
                // Touched again, it keeps its place.
                files.push(file("/w/a2", 33));
                next(&mut files)
            })
            .collect();
        assert!(read.iter().position(|path| path == "/w/z1") < Some(2), "{read:?}");
        assert!(read.iter().position(|path| path == "/w/z2") < Some(4), "{read:?}");
        // Owners who come one after the other (a user namespace has thousands) do not overtake one that waits.
        files.push(file("/w/z3", 1000));
        let mut waited = 0;
        while next(&mut files) != "/w/z3" {
            waited += 1;
            files.push(file(&format!("/w/other{waited}"), 100_000 + waited));
            assert!(waited < 5, "it waits for ever");
        }
    }

    #[test]
    fn without_room_the_one_with_most_has_one_less() {
        let mut files = LongFiles::default();
        assert_eq!(files.push(file("/w/z", 1000)), None);
        for number in 1..MAX_WAITING {
            assert_eq!(files.push(file(&format!("/w/{number}"), 33)), None);
        }
        assert_eq!(files.push(file("/w/more", 33)), Some("/w/more".into()));
        assert_eq!(files.push(file("/w/z2", 1000)), Some(format!("/w/{}", MAX_WAITING - 1).into()));
        assert_eq!(files.len(), MAX_WAITING);
    }

    #[test]
    fn a_long_file_is_put_off_and_then_compared_while_others_go_on() {
        let dir = tempfile::tempdir().unwrap();
        let (data, tree) = (dir.path().join("data"), dir.path().canonicalize().unwrap().join("tree"));
        fs::create_dir(&tree).unwrap();
        let long = tree.join("long");
        fs::write(&long, vec![1u8; (MAX_AT_ONCE + 1) as usize]).unwrap();
        fs::write(tree.join("short"), "one").unwrap();
        let (baseline, now) = (Baseline::open(&data).unwrap(), chrono::Utc::now());
        let writing = Writing { by: "ann".into(), what: "baseline".into(), at: now, adds: Adds::Named };
        let ask = Ask { paths: vec![tree.clone()], full: false, excluded: Excluded::default(), writing: Some(writing), yara: None };
        let version = scan(&baseline, &ask, now, &mut |_| {}, &mut |_| true).unwrap().made.unwrap().0;
        fs::write(&long, vec![2u8; (MAX_AT_ONCE + 2) as usize]).unwrap();
        fs::write(tree.join("short"), "two").unwrap();
        let yara = YaraRules::load(&[]).0;
        let text = |path: &Path| HostText::from(path.as_os_str().as_bytes());
        let part = text(&tree);
        let ways = Ways { yara: &yara, longest: Some(MAX_AT_ONCE), until: None };
        let report = look_again(&baseline, &version, (Part::Below(&part), ways), now, &|| false).unwrap();
        let paths: Vec<&HostText> = report.changes.iter().map(|change| &change.path).collect();
        let left: Vec<&HostText> = report.long.iter().map(|long| &long.path).collect();
        assert_eq!((paths, left), (vec![&text(&tree.join("short"))], vec![&text(&long)]));

        let mut files = LongFiles::default();
        let mut read = |version| {
            files.push(LongFile { path: long.clone(), ..file("", 0) });
            files.begin(&data, version, &yara);
            let began = Instant::now();
            loop {
                match files.done() {
                    Some((_, looked)) => return looked.unwrap(),
                    None => assert!(began.elapsed() < Duration::from_secs(60), "it is never done"),
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        let report = read(version.number).unwrap();
        assert_eq!((report.changes.len(), report.changes[0].path == text(&long)), (1, true), "{report:?}");
        assert!(read(version.number + 1).is_none(), "the baseline is another by now");
        assert!(files.is_empty() && files.rest().is_empty());
    }
}
