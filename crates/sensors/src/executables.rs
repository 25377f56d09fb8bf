//! Reads what processes execute: its SHA-256 and the package it came with, each content once, when nobody is in a hurry.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::digest_book::{Learnt, Look};
use super::{Collector, CollectorError, ProcessCache, Sink, Stop};
use bartizan_model::Process;
use bartizan_sys::exe_hash::{Content, Executable, HashError, Wanted};
use bartizan_sys::packages::Packages;
use bartizan_sys::sched;

/// Longest wait, so that a stop is seen within half a second.
const MAX_WAIT: Duration = Stop::LOOK;
/// While paused.
const NAP: Duration = Duration::from_millis(100);
/// What became known is given to living processes together: one walk through the table for many.
const TOGETHER: usize = 64;
/// Or after this long.
const GIVE_EVERY: Duration = Duration::from_millis(250);

/// Reading pauses for four times as long as it took, so that it never takes more than a fifth of a core.
const REST: u32 = 4;
/// As soon as there is this much to rest for.
const REST_AFTER: Duration = Duration::from_millis(5);

/// Makes reading slow on purpose: nobody waits for a digest.
#[derive(Debug, Default)]
struct Pace {
    worked: Cell<Duration>,
}

impl Pace {
    /// So much was read without a pause.
    fn worked(&self, time: Duration) {
        let worked = self.worked.get() + time;
        if worked >= REST_AFTER {
            std::thread::sleep((worked * REST).min(NAP));
        }
        self.worked.set(if worked >= REST_AFTER { Duration::ZERO } else { worked });
    }
}

/// The thread that reads executables.
pub(super) struct Executables {
    cache: Arc<ProcessCache>,
    packages: Packages,
    learnt: Vec<(Wanted, Learnt)>,
    given: Instant,
    pace: Pace,
}

impl Executables {
    /// For this cache, with the packages of the tree that begins at `root`.
    pub(super) fn new(cache: Arc<ProcessCache>, root: &Path) -> Self {
        Self { cache, packages: Packages::under(root), learnt: Vec::new(), given: Instant::now(), pace: Pace::default() }
    }

    /// One executable: reads it unless its content turns out to be known.
    fn look_into(&mut self, wanted: Wanted, stop: &Stop) {
        let enrichment = Arc::clone(self.cache.enrichment());
        let outcome = match self.read(&wanted, stop) {
            // The first one to run it ended; perhaps another still does.
            Err(why @ (HashError::Gone(_) | HashError::Replaced)) => match self.another(&wanted) {
                Some(other) => self.read(&other, stop),
                None => Err(why),
            },
            outcome => outcome,
        };
        match outcome {
            Ok((learnt, fresh)) => {
                if fresh {
                    enrichment.learn(&learnt);
                }
                if wanted.content != learnt.content {
                    // Without a moment of change nothing may be said of later processes; living ones surely run it.
                    enrichment.digests().later(wanted.content);
                }
                self.learnt.push((wanted, learnt));
            }
            Err(HashError::Stopped) => {
                enrichment.digests().forget(wanted.content);
                enrichment.missed();
            }
            Err(why) => {
                tracing::debug!(pid = wanted.pid, exe = %wanted.path, %why, "no digest of an executable");
                enrichment.digests().later(wanted.content);
            }
        }
    }

    /// Another process that runs the same file.
    fn another(&self, wanted: &Wanted) -> Option<Wanted> {
        let living = self.cache.living().into_iter();
        let other =
            living.filter(|process| process.pid != wanted.pid).find(|process| Content::from(&process.exe_file) == wanted.content)?;
        Some(Wanted { pid: other.pid, start: other.key.start, path: other.exe.clone(), content: wanted.content })
    }

    /// What is known of it now, and whether that was not known before.
    fn read(&mut self, wanted: &Wanted, stop: &Stop) -> Result<(Learnt, bool), HashError> {
        let mut executable = Executable::open(wanted)?;
        let content = executable.content;
        if let Look::Told(learnt) = self.cache.enrichment().digests().look(content, Instant::now) {
            return Ok((learnt.clone(), false));
        }
        let enrichment = Arc::clone(self.cache.enrichment());
        let begun = Cell::new(Instant::now());
        let sha256 = executable.sha256(wanted, &|| {
            self.pace.worked(begun.get().elapsed());
            begun.set(Instant::now());
            !stop.is_set() && !enrichment.hashing_is_paused()
        })?;
        let package = if executable.is_the_hosts(&wanted.path) { self.packages.owner(&wanted.path) } else { None };
        Ok((Learnt { content, sha256, package }, true))
    }

    /// Gives living processes what became known since the last time.
    fn give(&mut self) {
        if self.learnt.is_empty() {
            return;
        }
        let learnt = std::mem::take(&mut self.learnt);
        self.given = Instant::now();
        self.cache.amend_living(|process| {
            let file = process.exe_file;
            let (_, found) = learnt.iter().find(|(wanted, _)| wanted.content == Content::from(&file))?;
            let known = (file.sha256, &process.package) == (Some(found.sha256), &found.package);
            (!known).then(|| with(process, found))
        });
    }
}

fn with(process: &Process, learnt: &Learnt) -> Process {
    let mut process = process.clone();
    process.exe_file.sha256 = Some(learnt.sha256);
    process.exe_file.changed = learnt.content.changed;
    process.package = learnt.package.clone();
    process
}

impl Collector for Executables {
    fn name(&self) -> &'static str {
        "executables"
    }

    fn run(&mut self, _sink: &dyn Sink, stop: &Stop) -> Result<(), CollectorError> {
        sched::step_far_aside();
        let enrichment = Arc::clone(self.cache.enrichment());
        while !stop.is_set() {
            if enrichment.hashing_is_paused() {
                stop.sleep(NAP);
                continue;
            }
            enrichment.catch_up(|| self.cache.living());
            let at_once = if self.learnt.is_empty() { MAX_WAIT } else { Duration::ZERO };
            let next = enrichment.next_wanted(at_once);
            let idle = next.is_none();
            if let Some(wanted) = next {
                self.look_into(wanted, stop);
            }
            if idle || self.learnt.len() >= TOGETHER || self.given.elapsed() >= GIVE_EVERY {
                self.give();
            }
        }
        self.give();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
