//! A scan from its question to its report: threads that visit directories, one writer.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use super::counter::{Counter, Progress};
use super::excluded::Excluded;
use super::look::Depth;
use super::queue::Queue;
use super::report::{Gathered, Report};
use super::roots::{Root, covers, joined};
use super::rows::Rows;
use super::visit::{Found, Job, Visitor, Way};
use bartizan_integrity::YaraRules;
use bartizan_model::{HostText, Timestamp};
use bartizan_store::{Baseline, BaselineVersion, StoreError};
use bartizan_sys::sched;

/// Threads that read, at most: more gain nothing on the disks of small hosts.
const THREADS: usize = 4;
/// Findings that wait for the writer.
const WAITING: usize = 256;
/// Between two reports of progress.
const EVERY: Duration = Duration::from_millis(100);

/// What is asked of a scan.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Files and directories; none: what the baseline covers.
    pub paths: Vec<PathBuf>,
    /// Read every file, also those whose metadata is what the baseline knows.
    pub full: bool,
    /// Paths left out, besides those that the baseline leaves out.
    pub excluded: Excluded,
    /// Make a new version of the baseline.
    pub writing: Option<Writing>,
    /// What is new or changed is judged by these too; `None`: by its structure alone.
    pub yara: Option<YaraRules>,
}

/// What a new version says of itself.
#[derive(Debug, Clone)]
pub struct Writing {
    /// Who makes it.
    pub by: String,
    /// What is done, for a person.
    pub what: String,
    /// When.
    pub at: Timestamp,
    /// What it may add.
    pub adds: Adds,
}

/// What a new version may add to what the baseline covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adds {
    /// Nothing: changes are accepted.
    Nothing,
    /// What a person named; it must be there.
    Named,
    /// Places where changes matter: one that is not there is recorded as absent, so that its coming is a change.
    Places,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum FimError {
    /// The baseline cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing to compare with.
    #[error("there is no baseline yet; make one with `bartizan fim scan --baseline`")]
    NoBaseline,
    /// The agent ends while it looks.
    #[error("given up: the agent ends")]
    Over,
    /// A path that the baseline does not cover.
    #[error("{0} is not in the baseline; `bartizan fim scan --baseline PATH` adds it")]
    NotCovered(HostText),
    /// A path that cannot be used.
    #[error("{}: {why}; name a file or directory that is there", path.escaped())]
    Path {
        /// Which.
        path: HostText,
        /// Why not.
        why: std::io::Error,
    },
}

/// Looks at files, compares them with the baseline, and makes a new version if that is asked and `accepts` says so of what was found: exactly
/// that becomes the version. `show` is called ten times a second.
///
/// # Errors
/// [`FimError`]; the baseline is as it was then.
pub fn scan(
    baseline: &Baseline,
    ask: &Ask,
    now: Timestamp,
    show: &mut dyn FnMut(&Progress),
    accepts: &mut dyn FnMut(&Report) -> bool,
) -> Result<Report, FimError> {
    let began = Instant::now();
    let against = baseline.verify()?.map(|(version, _)| version);
    if against.is_none() && ask.writing.is_none() {
        return Err(FimError::NoBaseline);
    }
    let roots = roots(ask, against.as_ref())?;
    let covered: Vec<HostText> = roots.iter().map(Root::text).collect();
    let left_out = against.as_ref().map_or(&[][..], |version| &version.excluded);
    let excluded = Excluded::new([left_out, ask.excluded.patterns()].concat());
    let (counter, given_up) = (Counter::default(), AtomicBool::new(false));
    let nanos = now.timestamp_nanos_opt().unwrap_or(i64::MAX);
    let visitor = Visitor {
        depth: Depth { full: ask.full, contents: ask.writing.is_some(), longest: None, until: None, now: nanos },
        excluded: &excluded,
        counter: &counter,
        compares: against.is_some(),
        yara: ask.yara.as_ref(),
        writes: ask.writing.is_some(),
        given_up: &given_up,
    };
    let mut new = ask.writing.as_ref().map(|_| Rows::begin(baseline, &covered)).transpose()?;
    let mut found = Gathered::default();
    let haste = Haste::Aside;
    walk(baseline, &visitor, (jobs(&roots), haste), &mut |one| found.take(one, new.as_mut()), &mut || show(&counter.progress()))?;
    let mut report = found.report(covered, against, &counter, began.elapsed());
    report.not_kept = new.as_ref().map_or(0, Rows::not_kept);
    if let (Some(rows), Some(writing)) = (new, &ask.writing)
        && accepts(&report)
    {
        let made = rows.commit(writing, report.against.as_ref(), &report.roots, &excluded, &counter.progress())?;
        report.made = Some(made);
    }
    Ok(report)
}

/// Looks again at a part of what a version covers that was verified before: names in directories, or a directory and what is below.
///
/// # Errors
/// What the database says.
pub(super) fn look_again(
    baseline: &Baseline,
    against: &BaselineVersion,
    (part, ways): (Part<'_>, Ways<'_>),
    now: Timestamp,
    is_over: &dyn Fn() -> bool,
) -> Result<Report, FimError> {
    let (began, given_up) = (Instant::now(), AtomicBool::new(false));
    let (jobs, haste) = match part {
        Part::Names(names) => (named(names), Haste::Now),
        Part::Below(path) => (jobs(&[Root::known(path)]), Haste::Aside),
    };
    let (excluded, counter) = (Excluded::new(against.excluded.clone()), Counter::default());
    let depth = Depth {
        full: false,
        contents: false,
        longest: ways.longest,
        until: ways.until,
        now: now.timestamp_nanos_opt().unwrap_or(i64::MAX),
    };
    let visitor = Visitor {
        depth,
        excluded: &excluded,
        counter: &counter,
        compares: true,
        yara: Some(ways.yara),
        writes: false,
        given_up: &given_up,
    };
    let mut found = Gathered::default();
    let mut look_up = || given_up.store(is_over(), Relaxed);
    walk(baseline, &visitor, (jobs, haste), &mut |one| found.take(one, None), &mut look_up)?;
    // Half a look says of what it did not reach that it is gone.
    if given_up.load(Relaxed) {
        return Err(FimError::Over);
    }
    Ok(found.report(Vec::new(), Some(against.clone()), &counter, began.elapsed()))
}

/// How it is looked at again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ways<'a> {
    /// What is new or changed is judged by these.
    pub(super) yara: &'a YaraRules,
    /// Of a file longer than so many bytes only the ends are read.
    pub(super) longest: Option<u64>,
    /// A file is not read for longer than until then.
    pub(super) until: Option<Instant>,
}

/// What is looked at again.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part<'a> {
    /// These paths, and nothing below them.
    Names(&'a [PathBuf]),
    /// This path, and all that is below it.
    Below(&'a HostText),
}

/// A job for each directory with the names that are asked for.
fn named(paths: &[PathBuf]) -> Vec<Job> {
    let mut names: BTreeMap<&Path, Vec<CString>> = BTreeMap::new();
    for path in paths {
        if let (Some(parent), Some(name)) = (path.parent(), path.file_name())
            && let Ok(name) = CString::new(name.as_bytes())
        {
            names.entry(parent).or_default().push(name);
        }
    }
    let job = |(parent, names): (&Path, Vec<CString>)| Job {
        path: parent.as_os_str().as_bytes().to_vec(),
        way: Way::Path,
        only: Some(names),
        depth: 0,
    };
    names.into_iter().map(job).collect()
}

/// Who may be kept waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Haste {
    /// The scan: everybody else goes first.
    Aside,
    /// Nobody: a change that happened a moment ago is looked at.
    Now,
}

/// Threads visit directories; what they find is taken by this one.
fn walk(
    baseline: &Baseline,
    visitor: &Visitor<'_>,
    (jobs, haste): (Vec<Job>, Haste),
    take: &mut dyn FnMut(Found) -> Result<(), StoreError>,
    show: &mut dyn FnMut(),
) -> Result<(), FimError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS);
    let threads = if haste == Haste::Now { 1 } else { threads };
    let readers = (0..threads).map(|_| baseline.reader()).collect::<Result<Vec<_>, _>>()?;
    let queue = Queue::new(jobs);
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(WAITING);
        for reader in readers {
            let (sender, queue) = (sender.clone(), &queue);
            scope.spawn(move || {
                if haste == Haste::Aside {
                    sched::step_far_aside();
                }
                queue.work(|job, more| visitor.visit(job, &reader, &sender, more));
            });
        }
        drop(sender);
        let mut shown = Instant::now();
        loop {
            match receiver.recv_timeout(EVERY) {
                Ok(found) => take(found).inspect_err(|_| visitor.given_up.store(true, Relaxed))?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            if shown.elapsed() >= EVERY {
                shown = Instant::now();
                show();
            }
        }
    })
}

fn roots(ask: &Ask, against: Option<&BaselineVersion>) -> Result<Vec<Root>, FimError> {
    let known = against.map_or(&[][..], |version| &version.roots);
    if ask.paths.is_empty() {
        return Ok(known.iter().map(Root::known).collect());
    }
    let mut roots = Vec::new();
    for path in &ask.paths {
        let text = HostText::from(path.as_os_str().as_bytes());
        // What a person names to be looked at is followed wherever it leads; what is accepted is not.
        let root = match ask.writing.as_ref().map(|writing| writing.adds) {
            None | Some(Adds::Named) => Root::named(path),
            Some(Adds::Nothing | Adds::Places) => Root::placed(path),
        };
        let root = root.map_err(|why| FimError::Path { path: text.clone(), why })?;
        let covered = known.iter().any(|known| covers(known, &root.text()));
        match ask.writing.as_ref().map_or(Adds::Nothing, |writing| writing.adds) {
            Adds::Nothing if !covered => return Err(FimError::NotCovered(root.text())),
            Adds::Named if !covered && root.directory.is_none() => {
                return Err(FimError::Path { path: text, why: std::io::Error::from(std::io::ErrorKind::NotFound) });
            }
            Adds::Nothing | Adds::Named | Adds::Places => roots.push(root),
        }
    }
    let texts: Vec<HostText> = roots.iter().map(Root::text).collect();
    let kept = joined(&texts, &[]);
    roots.sort_by_key(Root::text);
    roots.dedup();
    roots.retain(|root| kept.contains(&root.text()));
    Ok(roots)
}

/// A root is looked at as a name in its parent, and a directory is looked into.
fn jobs(roots: &[Root]) -> Vec<Job> {
    let mut jobs = Vec::new();
    for root in roots {
        if let (Some(parent), Some(name)) = (root.path.parent(), root.path.file_name())
            && let Ok(name) = CString::new(name.as_bytes())
        {
            jobs.push(Job { path: parent.as_os_str().as_bytes().to_vec(), way: Way::Path, only: Some(vec![name]), depth: 0 });
        }
        if root.directory == Some(true) {
            jobs.push(Job { path: root.text().as_bytes().to_vec(), way: Way::Path, only: None, depth: 0 });
        }
    }
    jobs
}
