//! Long files: what their ends show is reported at once, all of them is compared in turn.

use std::collections::{BTreeSet, HashMap};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use super::{By, Late, Work, by_path, text};
use crate::fim::live::long::LongFile;
use crate::fim::live::telling::by_its_ends;
use crate::fim::report::Report;
use bartizan_model::{HostText, Unpoisoned as _};
use bartizan_sensors::FileTouched;

/// Why a long file is not compared while the agent runs.
const TOO_LONG: &str = "its ends are judged, but it cannot be read within 60 s: the next `fim scan` compares all of it";
const NO_ROOM: &str = "its ends are judged, but too many long files wait: the next `fim scan` compares all of it";

impl Work<'_> {
    /// Dangerous ends are reported now; the whole waits for a thread of its own.
    pub(super) fn put_off(&mut self, report: &Report, who: &dyn Fn(&HostText) -> By, late: Late<'_>) {
        let dangers = by_path(report.dangers.iter().filter(|_| !report.long.is_empty()).cloned());
        let mut left_out = Vec::new();
        for long in &report.long {
            let (by, certain) = who(&long.path);
            let told = dangers.get(&long.path).cloned().unwrap_or_default();
            if self.reported.is_news_by_ends(&long.path, long.ends, &told) {
                self.danger(by_its_ends(long, &told, self.version()), (by.clone(), certain), late);
            }
            let path = PathBuf::from(std::ffi::OsStr::from_bytes(long.path.as_bytes()));
            let late = late.map(|maker| maker.cloned());
            let without_room = self.long.push(LongFile { path, owner: long.now.uid, by, certain, late, told });
            left_out.extend(without_room.map(|path| text(&path)));
        }
        left_out.into_iter().for_each(|path| self.not_compared(path, NO_ROOM));
        self.live.long_waiting.store(self.long.len() as u64, Relaxed);
    }

    fn not_compared(&self, path: HostText, why: &str) {
        let why = format!("not compared: {why}");
        if self.live.unjudged.lock().unpoisoned().note(&path, &why) {
            self.unjudged(vec![(path, why)], &|_| (None, false));
        }
    }

    /// Takes over the long file that was read, and has the next one read.
    pub(super) fn read_long_files(&mut self) {
        if let Some((file, looked)) = self.long.done() {
            match looked {
                Ok(Some(report)) if !report.long.is_empty() => self.not_compared(text(&file.path), TOO_LONG),
                Ok(Some(report)) => self.long_file(file, report),
                // It is compared with the version that is now.
                Ok(None) => self.again(&file.path),
                Err(why) => self.not_compared(text(&file.path), &format!("{why}; it is compared when it changes again")),
            }
        }
        let version = self.version();
        self.long.begin(&self.live.data, version, &self.yara);
        self.live.long_waiting.store(self.long.len() as u64, Relaxed);
    }

    fn long_file(&mut self, file: LongFile, mut report: Report) {
        let LongFile { path, by, certain, late, told, .. } = file;
        let top = text(&path);
        if let Ok(found) = path.symlink_metadata() {
            self.long.read(&path, found.len(), Instant::now());
        }
        // What was reported of its ends is not news of the whole.
        report.dangers.retain(|danger| danger.path != top || !told.contains(&danger.finding));
        match &late {
            Some(maker) => {
                let differs: BTreeSet<HostText> = report.changes.iter().map(|change| change.path.clone()).collect();
                self.reported.settle(&top, &|path| differs.contains(path));
                self.account(&report, &|path| *path == top, &|_| (None, false));
                self.judge(report, &|_| (None, false), Some(maker.as_ref()));
            }
            None => {
                let by = HashMap::from([(top, FileTouched { path, by, certain })]);
                self.compared(report, &by);
            }
        }
    }
}
