//! Long files are read by a thread of their own, one after the other: no other change waits until a disk image is hashed.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

use crate::fim::report::Report;
use crate::fim::scan::{FimError, Part, Ways, look_again};
use bartizan_integrity::YaraRules;
use bartizan_model::{HostText, Process};
use bartizan_store::Baseline;

/// Files longer than so many bytes are long: one is read in a tenth of a second from memory, in half a second from a disk.
pub(super) const MAX_AT_ONCE: u64 = 64 << 20;
/// Long files that wait; beyond, the next scan finds what changed.
const MAX_WAITING: usize = 4096;

/// A long file that was touched, and by whom.
#[derive(Debug)]
pub(super) struct LongFile {
    pub(super) path: PathBuf,
    pub(super) by: Option<Arc<Process>>,
    pub(super) certain: bool,
    /// Nobody saw it when it happened; at most, who made the directory is known.
    pub(super) late: Option<Option<Arc<Process>>>,
}

/// What became of it; `None`: the baseline has another version by now.
pub(super) type Looked = Result<Option<Report>, FimError>;

/// Those that wait, and the one that is read.
#[derive(Debug, Default)]
pub(super) struct LongFiles {
    waiting: BTreeMap<PathBuf, LongFile>,
    under_way: Option<(LongFile, Receiver<Looked>)>,
}

impl LongFiles {
    /// Waits for its turn; the last one who touched a path is who is named.
    pub(super) fn push(&mut self, file: LongFile) {
        if self.waiting.len() >= MAX_WAITING && !self.waiting.contains_key(&file.path) {
            tracing::warn!(path = %HostText::from(file.path.as_os_str().as_bytes()), "too many long files changed: not compared before the next scan");
            return;
        }
        self.waiting.insert(file.path.clone(), file);
    }

    /// Begins to read the next one, if none is read just now.
    pub(super) fn begin(&mut self, data: &Path, version: u64, yara: &YaraRules) {
        if self.under_way.is_some() {
            return;
        }
        let Some((_, file)) = self.waiting.pop_first() else { return };
        let (sender, receiver) = sync_channel(1);
        let (data, path, yara) = (data.to_owned(), HostText::from(file.path.as_os_str().as_bytes()), yara.clone());
        let read = move || {
            // Who gave up waiting ends with the agent.
            let _ = sender.send(looked(&data, version, &path, &yara));
        };
        match std::thread::Builder::new().name("long-file".to_owned()).spawn(read) {
            Ok(_) => self.under_way = Some((file, receiver)),
            // Another time.
            Err(_) => self.push(file),
        }
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

    /// All that were not read, at the end.
    pub(super) fn rest(&mut self) -> Vec<PathBuf> {
        let under_way = self.under_way.take().map(|(file, _)| file.path);
        std::mem::take(&mut self.waiting).into_keys().chain(under_way).collect()
    }
}

fn looked(data: &Path, version: u64, path: &HostText, yara: &YaraRules) -> Looked {
    let baseline = Baseline::read(data)?;
    let Some((newest, _)) = baseline.verify()?.filter(|(newest, _)| newest.number == version) else { return Ok(None) };
    let ways = Ways { yara, longest: None };
    look_again(&baseline, &newest, (Part::Below(path), ways), chrono::Utc::now(), &|| false).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fim::{Adds, Ask, Excluded, Writing, scan};
    use std::fs;
    use std::time::{Duration, Instant};

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
        let ways = Ways { yara: &yara, longest: Some(MAX_AT_ONCE) };
        let report = look_again(&baseline, &version, (Part::Below(&part), ways), now, &|| false).unwrap();
        let paths: Vec<&HostText> = report.changes.iter().map(|change| &change.path).collect();
        assert_eq!((paths, report.long.as_slice()), (vec![&text(&tree.join("short"))], &[text(&long)][..]));

        let mut files = LongFiles::default();
        files.push(LongFile { path: long.clone(), by: None, certain: false, late: None });
        let mut read = |version| {
            files.push(LongFile { path: long.clone(), by: None, certain: false, late: None });
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
