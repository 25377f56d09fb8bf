//! The thread that compares what was touched with the baseline, and tells what is another.

mod long_files;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::act::{Act, Actor, Acts};
use super::long::{LongFiles, MAX_AT_ONCE};
use super::pace::Pace;
use super::reported::Reported;
use super::telling::{Line, alone, lines, remark};
use super::{Live, Next};
use crate::fim::report::{Danger, Report};
use crate::fim::roots::covers;
use crate::fim::scan::{FimError, Part, Ways, look_again};
use crate::fim::yara::yara_rules;
use bartizan_integrity::{Change, Finding, LONGEST_JUDGED, What, YaraRules};
use bartizan_model::{FileChange, HostText, Process, Unpoisoned as _};
use bartizan_sensors::{Collector, CollectorError, FileTouched, Sink, Stop};
use bartizan_store::{Baseline, BaselineVersion, StoreError, baseline_file};
use bartizan_sys::packages::Packages;

/// A burst arrives whole within this: a save is a write, a rename and a change of mode.
const BURST: Duration = Duration::from_millis(10);
/// Between two looks whether somebody made a new version.
const FOLLOW: Duration = Duration::from_secs(1);
/// Wait while an act is under way.
const UNDER_WAY: Duration = Duration::from_millis(100);
/// Between two writes of what was reported.
const SAVE: Duration = Duration::from_secs(2);
/// What a write that was undone at once is reported as.
const PUT_BACK: &str = "changed and changed back at once: it matches the baseline";
const BACK: &str = "it matches the baseline again";
const GONE: &str = "it is gone again, as in the baseline";

/// Compares, as one of the agent's collectors.
pub(crate) struct Comparing(pub(crate) Arc<Live>);

impl Collector for Comparing {
    fn name(&self) -> &'static str {
        "integrity"
    }

    fn run(&mut self, sink: &dyn Sink, stop: &Stop) -> Result<(), CollectorError> {
        let mut work = Work::begin(&self.0, sink, stop);
        let mut done = Ok(());
        while !stop.is_set() && done.is_ok() {
            done = work.step();
        }
        work.end();
        if stop.is_set() {
            return Ok(());
        }
        done.map_err(|why| CollectorError {
            what: "integrity: comparing files with their baseline".to_owned(),
            why: why.to_string(),
            mend: "see `bartizan fim verify`; `bartizan fim scan --baseline` makes a new one".to_owned(),
        })
    }
}

/// Which file the baseline is in: device, inode, length, and change time in seconds and nanoseconds.
type Stamp = (u64, u64, u64, i64, i64);

/// Who did it, and whether that is certain.
type By = (Option<Arc<Process>>, bool);
/// Nobody saw it when it happened; at most, who made the directory is known.
type Late<'a> = Option<Option<&'a Arc<Process>>>;

struct Work<'a> {
    live: &'a Live,
    sink: &'a dyn Sink,
    /// The baseline as it was verified, and in which file.
    against: Option<(Baseline, BaselineVersion)>,
    stamp: Option<Stamp>,
    followed: Option<Instant>,
    reported: Reported,
    saved: Instant,
    acts: Acts,
    pace: Pace<FileTouched>,
    long: LongFiles,
    packages: Packages,
    yara: YaraRules,
    stop: &'a Stop,
}

impl<'a> Work<'a> {
    fn begin(live: &'a Live, sink: &'a dyn Sink, stop: &'a Stop) -> Self {
        Self {
            live,
            sink,
            against: None,
            stamp: None,
            followed: None,
            reported: Reported::load(&live.data),
            saved: Instant::now(),
            acts: Acts::default(),
            pace: Pace::default(),
            long: LongFiles::default(),
            packages: Packages::under(Path::new("/")),
            yara: rules(live),
            stop,
        }
    }

    fn step(&mut self) -> Result<(), FimError> {
        self.follow()?;
        if self.against.is_none() {
            // What was touched before a baseline is no change of it.
            let _none = self.live.next(Stop::LOOK.min(FOLLOW));
            return Ok(());
        }
        let wait = if self.acts.is_empty() && self.long.is_empty() { Stop::LOOK } else { UNDER_WAY };
        match self.live.next(wait) {
            Next::Touched(mut batch) => {
                self.stop.sleep(BURST);
                batch.extend(self.live.more());
                self.touched(batch)?;
            }
            Next::Unseen(path, by) => self.look_below(&path, by)?,
            Next::Nothing => {}
        }
        let due = self.pace.due(Instant::now()).into_iter().map(|(_, touched)| touched).collect();
        self.compare(due)?;
        self.read_long_files();
        for act in self.acts.over(Instant::now()) {
            self.finish(act)?;
        }
        if self.saved.elapsed() >= SAVE {
            self.saved = Instant::now();
            self.save();
        }
        Ok(())
    }

    /// What is under way is reported, and looked at again by the next run if it was not compared yet.
    fn end(&mut self) {
        for act in self.acts.all() {
            act.touched.iter().chain(&act.below).for_each(|path| self.again(path));
            let news = lines(act, self.version(), &mut self.packages);
            self.report(news);
        }
        for path in self.pace.rest().into_iter().chain(self.long.rest()) {
            self.again(&path);
        }
        self.save();
    }

    fn again(&self, path: &Path) {
        bartizan_sensors::Changes::unseen(self.live, path.to_owned(), None);
    }

    fn save(&mut self) {
        if let Err(why) = self.reported.save() {
            tracing::warn!(%why, "which differences from the baseline were reported cannot be written: a restart repeats them");
        }
    }

    fn version(&self) -> u64 {
        self.against.as_ref().map_or(0, |(_, version)| version.number)
    }

    /// Takes over the newest version, once it is verified. While somebody writes one, the last one counts.
    fn follow(&mut self) -> Result<(), FimError> {
        if self.followed.is_some_and(|followed| followed.elapsed() < FOLLOW) {
            return Ok(());
        }
        self.followed = Some(Instant::now());
        let stamp = baseline_file(&self.live.data).and_then(|file| file.symlink_metadata().ok());
        let stamp = stamp.map(|is| (is.dev(), is.ino(), is.len(), is.ctime(), is.ctime_nsec()));
        if stamp == self.stamp {
            return Ok(());
        }
        match stamp.map(|_| verified(&self.live.data)) {
            None | Some(Ok(None)) => self.against = None,
            Some(Ok(Some(against))) => self.against = Some(against),
            Some(Err(why)) if why.is_broken_baseline() => {
                self.live.set(None);
                return Err(why.into());
            }
            // Somebody writes to it just now.
            Some(Err(_)) => return Ok(()),
        }
        self.stamp = stamp;
        self.live.set(self.against.as_ref().map(|(_, version)| version));
        Ok(())
    }

    /// What a package manager touches is compared when it is done, everything else now.
    fn touched(&mut self, batch: Vec<FileTouched>) -> Result<(), FimError> {
        let now = Instant::now();
        let mut soon = Vec::new();
        for touched in batch {
            if matches!(Actor::of(touched.by.as_deref()), Actor::Packages(_)) {
                self.acts.of(touched.by.as_ref(), touched.certain, now).touched.insert(touched.path);
            } else if let Some((_, touched)) = self.pace.admit(touched.path.clone(), touched, now) {
                soon.push(touched);
            }
        }
        self.compare(soon)
    }

    /// The last one who touched a path is who is named.
    fn compare(&mut self, batch: Vec<FileTouched>) -> Result<(), FimError> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut by: HashMap<HostText, FileTouched> = HashMap::new();
        for touched in batch {
            by.insert(text(&touched.path), touched);
        }
        let paths: Vec<PathBuf> = by.values().map(|touched| touched.path.clone()).collect();
        let report = self.look(Part::Names(&paths)).inspect_err(|_| paths.iter().for_each(|path| self.again(path)))?;
        let who = |path: &HostText| by.get(path).map_or((None, false), |touched| (touched.by.clone(), touched.certain));
        self.put_off(&report, &who, None);
        let now = Instant::now();
        // Of a long one only the ends were read.
        by.iter().filter(|(path, _)| is_long(&report, path)).for_each(|(_, long)| self.pace.read(&long.path, LONGEST_JUDGED as u64, now));
        self.compared(report, &by);
        Ok(())
    }

    /// What was touched was compared.
    fn compared(&mut self, report: Report, by: &HashMap<HostText, FileTouched>) {
        let now = Instant::now();
        for change in &report.changes {
            if let (Some(touched), Some(after)) = (by.get(&change.path), &change.after) {
                self.pace.read(&touched.path, after.size, now);
            }
        }
        let differs: BTreeSet<&HostText> = report.changes.iter().flat_map(names).collect();
        let mut news = Vec::new();
        for (path, touched) in by.iter().filter(|(path, _)| !differs.contains(path) && !is_long(&report, path)) {
            // What was not reported yet need not be taken back.
            let was_reported = self.reported.is_back(path) && !self.acts.forget(path);
            let sentence = match report.touched.contains(path) {
                _ if was_reported && touched.path.symlink_metadata().is_err() => Some(GONE),
                _ if was_reported => Some(BACK),
                true => Some(PUT_BACK),
                false => None,
            };
            let file = sentence.map(|sentence| remark(path.clone(), sentence, self.version()));
            news.extend(file.map(|file| Line { file, by: touched.by.clone(), certain: touched.certain }));
        }
        self.report(news);
        let who = |path: &HostText| by.get(path).map_or((None, false), |touched| (touched.by.clone(), touched.certain));
        self.account(&report, &|path| by.contains_key(path), &who);
        self.judge(report, &who, None);
    }

    /// What could not be judged is counted, and reported the first time.
    fn account(&self, report: &Report, looked: &dyn Fn(&HostText) -> bool, who: &dyn Fn(&HostText) -> By) {
        let news = self.live.unjudged.lock().unpoisoned().update(report, looked);
        self.unjudged(news, who);
    }

    fn unjudged(&self, news: Vec<(HostText, String)>, who: &dyn Fn(&HostText) -> By) {
        let line = |(path, why): (HostText, String)| {
            tracing::warn!(%path, why, "a changed file");
            let (by, certain) = who(&path);
            Line { file: remark(path, &why, self.version()), by, certain }
        };
        let lines = news.into_iter().map(line).collect();
        self.report(lines);
    }

    /// Something may have changed there while nobody saw it: by whom is not known, at most who made the directory.
    fn look_below(&mut self, path: &Path, maker: Option<Arc<Process>>) -> Result<(), FimError> {
        if let Some(maker) = &maker
            && matches!(Actor::of(Some(maker)), Actor::Packages(_))
        {
            self.acts.of(Some(maker), true, Instant::now()).below.insert(path.to_owned());
            return Ok(());
        }
        let top = text(path);
        let report = self.look(Part::Below(&top)).inspect_err(|_| self.again(path))?;
        self.put_off(&report, &|_| (None, false), Some(maker.as_ref()));
        self.account(&report, &|path| covers(&top, path), &|_| (None, false));
        if report.is_complete() {
            let differs: BTreeSet<HostText> =
                report.changes.iter().map(|change| &change.path).chain(report.long.iter().map(|long| &long.path)).cloned().collect();
            self.reported.settle(&top, &|path| differs.contains(path));
        }
        self.judge(report, &|_| (None, false), Some(maker.as_ref()));
        Ok(())
    }

    fn look(&self, part: Part<'_>) -> Result<Report, FimError> {
        let Some((baseline, version)) = &self.against else {
            return Err(FimError::NoBaseline);
        };
        look_again(
            baseline,
            version,
            (part, Ways { yara: &self.yara, longest: Some(MAX_AT_ONCE), until: None }),
            chrono::Utc::now(),
            &|| self.stop.is_set(),
        )
    }

    /// A dangerous content is reported at once; other changes wait for the rest of their act. `late`: nobody saw it, at most who made the directory.
    fn judge(&mut self, report: Report, who: &dyn Fn(&HostText) -> By, late: Late<'_>) {
        let (dangers, now) = (by_path(report.dangers), Instant::now());
        for change in report.changes {
            if !self.reported.is_news(&change) {
                continue;
            }
            let (by, certain) = who(&change.path);
            match dangers.get(&change.path) {
                Some(findings) => self.danger(alone(&change, findings, self.version()), (by, certain), late),
                None => {
                    let by = by.or_else(|| late.flatten().cloned());
                    let act = if late.is_some() && by.is_none() { self.acts.late(now) } else { self.acts.of(by.as_ref(), certain, now) };
                    act.changes.push(change);
                }
            }
        }
    }

    fn danger(&mut self, mut file: FileChange, (by, certain): By, late: Late<'_>) {
        file.directory_by = late.flatten().cloned();
        if let Some(integrity) = &mut file.integrity {
            integrity.late = late.is_some();
            integrity.packages.extend(self.packages.owner(&file.path));
        }
        self.report(vec![Line { file, by, certain }]);
    }

    /// An act is over: what a package manager touched is compared now, and all of it is reported.
    fn finish(&mut self, mut act: Act) -> Result<(), FimError> {
        let paths: Vec<PathBuf> = std::mem::take(&mut act.touched).into_iter().collect();
        let below = std::mem::take(&mut act.below);
        let again = |work: &Self| paths.iter().chain(&below).for_each(|path| work.again(path));
        if !paths.is_empty() {
            let report = self.look(Part::Names(&paths)).inspect_err(|_| again(self))?;
            let looked: BTreeSet<HostText> = paths.iter().map(|path| text(path)).collect();
            self.account(&report, &|path| looked.contains(path), &|_| (act.by.clone(), act.certain));
            self.take(report, &mut act);
        }
        for directory in &below {
            let top = text(directory);
            let report = self.look(Part::Below(&top)).inspect_err(|_| again(self))?;
            self.account(&report, &|path| covers(&top, path), &|_| (act.by.clone(), act.certain));
            self.take(report, &mut act);
        }
        let news = lines(act, self.version(), &mut self.packages);
        self.report(news);
        Ok(())
    }

    /// News of an act that is over; a dangerous content is reported by itself, too.
    fn take(&mut self, report: Report, act: &mut Act) {
        self.put_off(&report, &|_| (act.by.clone(), act.certain), None);
        let dangers = by_path(report.dangers);
        for change in report.changes {
            if !self.reported.is_news(&change) {
                continue;
            }
            if let Some(findings) = dangers.get(&change.path) {
                self.danger(alone(&change, findings, self.version()), (act.by.clone(), act.certain), None);
            }
            act.changes.push(change);
        }
    }

    fn report(&self, news: Vec<Line>) {
        let at = chrono::Utc::now();
        for line in news {
            self.live.reported.fetch_add(1, Relaxed);
            self.sink.emit(line.event(at));
        }
    }
}

/// The rules of now; a file that is refused is named in the log.
fn rules(live: &Live) -> YaraRules {
    let (rules, refused) = yara_rules(&live.folders);
    refused.iter().for_each(|one| tracing::warn!(file = one.file, problem = one.problem, "a file of YARA rules is refused"));
    let (own, packs) = rules.counts();
    tracing::info!(own, packs, "YARA rules for new and changed files");
    rules
}

fn is_long(report: &Report, path: &HostText) -> bool {
    report.long.iter().any(|long| long.path == *path)
}

fn verified(data: &Path) -> Result<Option<(Baseline, BaselineVersion)>, StoreError> {
    let baseline = Baseline::read(data)?;
    Ok(baseline.verify()?.map(|(version, _)| (baseline, version)))
}

fn by_path(dangers: impl IntoIterator<Item = Danger>) -> BTreeMap<HostText, Vec<Finding>> {
    let mut of: BTreeMap<HostText, Vec<Finding>> = BTreeMap::new();
    for danger in dangers {
        of.entry(danger.path).or_default().push(danger.finding);
    }
    of
}

/// The path of a change, and the one from which it was moved.
fn names(change: &Change) -> impl Iterator<Item = &HostText> {
    let from = if let What::Moved { from } = &change.what { Some(from) } else { None };
    from.into_iter().chain([&change.path])
}

fn text(path: &Path) -> HostText {
    HostText::from(path.as_os_str().as_bytes())
}
