//! Every source gets its turn, on one thread, when the kernel says that there is more; which sources there are is looked up again and again.

use std::collections::{HashMap, HashSet};
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use super::file::FileSource;
use super::follower::Find;
use super::journal::JournalSource;
use super::kept::{self, KeptSource};
use super::row::{row, shown};
use super::{Hands, LogPlace, LogSink, Place};
use crate::Stop;
use bartizan_model::LogSource;
use bartizan_sys::growth::{Grown, Growth, Watched};
use bartizan_worker::{Launch, Parser, Refused, Worker};

/// How often every name is looked at although nothing was heard of it: directories may come, and watches be refused.
const LOOK: Duration = Duration::from_secs(10);
/// How often it is looked up which logs there are: containers come and go, configurations change.
const FIND: Duration = Duration::from_secs(30);
/// How often what is read is kept: all sources are written each time. After a crash of the agent so much may be read twice.
const KEEP: Duration = Duration::from_secs(5);
/// The same when a file is done with, which may be a whole one.
const KEEP_DONE: Duration = Duration::from_secs(1);
/// By then whatever runs here has been found, if it is found at all: places of more sources than it takes are not kept.
const SETTLED: Duration = Duration::from_secs(600);
/// How long a word about a dead child stands.
const TROUBLE: Duration = Duration::from_secs(60);
/// Before another child is tried when none could be started.
const RESTART: Duration = Duration::from_secs(5);

/// A log, and how it is read.
struct Source<P: Parser> {
    place: LogPlace<P::Source>,
    reader: Reader<P>,
}

enum Reader<P: Parser> {
    File(Box<FileSource<P>>),
    Journal(Box<JournalSource<P>>),
    Off(Box<LogSource>),
}

impl<P: Parser> Source<P>
where
    P::Source: Clone,
{
    fn of(place: LogPlace<P::Source>, kept: Option<KeptSource>, journal: &[String]) -> Self {
        let row = row(place.name.clone(), place.format.clone(), kept.as_ref());
        let source = place.source.clone();
        let reader = match (&place.off, &place.place) {
            (Some((state, why)), _) => Reader::Off(Box::new(LogSource { state: *state, trouble: Some(why.clone()), ..row })),
            (None, Place::File(path)) => Reader::File(Box::new(FileSource::new(path.clone(), source, row, kept))),
            (None, Place::Journal) => Reader::Journal(Box::new(JournalSource::new(source, journal.to_owned(), row, kept))),
        };
        Self { place, reader }
    }

    fn row(&self) -> &LogSource {
        match &self.reader {
            Reader::File(file) => &file.row,
            Reader::Journal(journal) => &journal.row,
            Reader::Off(row) => row,
        }
    }

    /// What to wait for besides files.
    fn pipe(&self) -> Option<BorrowedFd<'_>> {
        if let Reader::Journal(journal) = &self.reader { journal.pipe() } else { None }
    }

    fn keep(&self) -> Option<KeptSource> {
        match &self.reader {
            Reader::File(file) => Some(file.keep()),
            Reader::Journal(journal) => Some(journal.keep()),
            Reader::Off(_) => None,
        }
    }
}

/// One run.
pub(super) struct Round<P: Parser> {
    sources: Vec<Source<P>>,
    worker: Worker<P::Source, P::Record>,
    growth: Growth,
    directories: HashMap<PathBuf, Watched>,
    next_id: u32,
    looked: Option<Instant>,
    /// More arguments of journalctl.
    journal: Vec<String>,
    /// Of sources that are not followed now.
    left: Vec<KeptSource>,
    finding: Option<Receiver<Vec<LogPlace<P::Source>>>>,
    found: Option<Instant>,
    /// What was kept last, as its mark, and when that was looked at last.
    kept: Option<u64>,
    saved: Instant,
    /// A file was done with since.
    finished: bool,
    begun: Instant,
    stop: Stop,
    /// No child could be started: not before then.
    restart: Option<Instant>,
    /// Until when a word about the child stands.
    trouble: Option<Instant>,
}

impl<P: Parser> Round<P>
where
    P::Source: Clone + PartialEq + Send + 'static,
{
    pub(super) fn new(
        places: Vec<LogPlace<P::Source>>,
        launch: Launch,
        growth: Growth,
        kept: Vec<KeptSource>,
        journal: Vec<String>,
        stop: &Stop,
    ) -> Self {
        let (now, ending) = (Instant::now(), stop.clone());
        let mut round = Self {
            sources: Vec::new(),
            worker: Worker::new(launch).until(move || ending.is_set()),
            growth,
            directories: HashMap::new(),
            next_id: 0,
            looked: None,
            journal,
            left: kept,
            finding: None,
            found: None,
            kept: None,
            saved: now,
            finished: false,
            begun: now,
            stop: stop.clone(),
            restart: None,
            trouble: None,
        };
        round.follow(places);
        round
    }

    /// From now on these are followed. One that is followed already goes on; what is known of one that is not listed any more is kept.
    fn follow(&mut self, places: Vec<LogPlace<P::Source>>) {
        let mut before = std::mem::take(&mut self.sources);
        let mut seen = HashSet::new();
        for place in places.into_iter().filter(|place| seen.insert(place.name.clone())) {
            if let Some(at) = before.iter().position(|source| source.place == place) {
                self.sources.push(before.remove(at));
                continue;
            }
            let changed = before.iter().position(|source| source.place.name == place.name).map(|at| before.remove(at));
            let kept = changed.and_then(|source| self.leave(source));
            let kept = kept.or_else(|| self.left.iter().position(|kept| kept.name == place.name).map(|at| self.left.remove(at)));
            if let (Some(_), Some(kept)) = (&place.off, &kept) {
                self.left.push(kept.clone());
            }
            self.sources.push(Source::of(place, kept, &self.journal));
        }
        for source in before {
            let kept = self.leave(source);
            self.left.extend(kept);
        }
        kept::age(&mut self.left, if self.begun.elapsed() < SETTLED { kept::SOURCES } else { kept::LEFT });
        (self.looked, self.kept) = (None, None);
    }

    /// Lets go of a source; what is to be kept of it.
    fn leave(&mut self, mut source: Source<P>) -> Option<KeptSource> {
        let kept = source.keep();
        match &mut source.reader {
            Reader::File(file) => file.leave(&mut self.worker, &self.growth),
            Reader::Journal(journal) => journal.leave(&mut self.worker),
            Reader::Off(_) => {}
        }
        kept
    }

    /// Looks up, on a thread of its own, which logs there are: a container runtime may take its time to answer.
    pub(super) fn find(&mut self, find: &Find<P::Source>) {
        if let Some(finding) = &self.finding {
            match finding.try_recv() {
                Ok(places) => self.follow(places),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {}
            }
            (self.finding, self.found) = (None, Some(Instant::now()));
        } else if self.found.is_none_or(|found| found.elapsed() >= FIND) {
            let (answer, finding) = sync_channel(1);
            let find = Find::clone(find);
            let looking = std::thread::Builder::new().name("logs-find".to_owned()).spawn(move || {
                let _ = answer.send(find());
            });
            (self.finding, self.found) = (looking.is_ok().then_some(finding), Some(Instant::now()));
        }
    }

    /// A turn for each source. True when one has more already.
    pub(super) fn turns<K: LogSink<P::Record>>(&mut self, sink: &K) -> bool {
        let now = Instant::now();
        if self.restart.is_some_and(|restart| restart > now) {
            return false;
        }
        self.restart = None;
        if self.trouble.is_some_and(|until| until <= now) {
            self.trouble = None;
            sink.trouble(None);
        }
        if self.looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
            self.look_everywhere();
        }
        let mut more = false;
        for at in 0..self.sources.len() {
            // One source that hangs may take ten seconds: nobody waits for the others too.
            if self.stop.is_set() {
                return false;
            }
            match self.turn(at, sink) {
                Ok(has_more) => more |= has_more,
                Err(Refused::Over) => return false,
                Err(refused) => {
                    let who = self.sources.get(at).map(|source| source.row().name.as_sentence()).unwrap_or_default();
                    sink.trouble(Some(told(&refused, &who)));
                    self.trouble = Some(now + TROUBLE);
                    if let Refused::NotStarted(_) = refused {
                        self.restart = Some(now + RESTART);
                        return false;
                    }
                    more = true;
                }
            }
            self.keep_in_time(sink);
        }
        more
    }

    /// The turn of one.
    fn turn<K: LogSink<P::Record>>(&mut self, at: usize, sink: &K) -> Result<bool, Refused> {
        let Some(source) = self.sources.get_mut(at) else { return Ok(false) };
        let mut hands = Hands { worker: &mut self.worker, growth: &self.growth, sink, next_id: &mut self.next_id, stop: &self.stop };
        match &mut source.reader {
            Reader::File(file) => {
                let turn = file.turn(&mut hands);
                self.finished |= std::mem::take(&mut file.finished);
                turn
            }
            Reader::Journal(journal) => journal.turn(&mut hands),
            Reader::Off(_) => Ok(false),
        }
    }

    /// Watches the directories that are there by now, and looks at every name.
    fn look_everywhere(&mut self) {
        self.looked = Some(Instant::now());
        let parents: HashSet<PathBuf> = self.files().filter_map(|file| file.path().parent().map(PathBuf::from)).collect();
        for parent in parents {
            // The same watch, as long as it is the same directory.
            let now = self.growth.directory(&parent).ok();
            let before = self.directories.remove(&parent);
            self.directories.extend(now.map(|now| (parent, now)));
            if let Some(before) = before.filter(|before| !self.directories.values().any(|other| other == before)) {
                self.growth.forget(before);
            }
        }
        for file in self.files() {
            file.renamed = true;
            file.grow(None);
        }
    }

    /// Waits for news and takes them.
    pub(super) fn hear(&mut self, timeout: Duration) -> std::io::Result<()> {
        // Nobody reads a pipe as long as no child can be started.
        let waits = self.restart.is_some_and(|restart| restart > Instant::now());
        let pipes: Vec<_> = self.sources.iter().filter(|_| !waits).filter_map(Source::pipe).collect();
        if !self.growth.wait(&pipes, timeout)? {
            return Ok(());
        }
        let news: HashSet<Grown> = self.growth.drain()?.into_iter().collect();
        for one in news {
            match one {
                Grown::Overflow => self.look_everywhere(),
                Grown::File(watched) => self.files().for_each(|file| file.grow(Some(watched))),
                Grown::Name(watched, name) => {
                    // A directory may have several names.
                    let names = self.directories.iter().filter(|(_, other)| **other == watched);
                    let paths: Vec<PathBuf> = names.map(|(path, _)| path.join(&name)).collect();
                    let meant = |file: &&mut Box<FileSource<P>>| paths.iter().any(|path| path == file.path());
                    self.files().filter(meant).for_each(|file| file.renamed = true);
                }
                Grown::Gone(watched) => self.directories.retain(|_, other| *other != watched),
            }
        }
        if waits {
            // Whoever writes on meanwhile keeps nobody awake.
            std::thread::sleep(timeout.min(Duration::from_millis(100)));
        }
        Ok(())
    }

    fn files(&mut self) -> impl Iterator<Item = &mut Box<FileSource<P>>> {
        self.sources.iter_mut().filter_map(|source| if let Reader::File(file) = &mut source.reader { Some(file) } else { None })
    }

    /// How long nothing needs to be done, but what is due at one of these times.
    pub(super) fn due(&self, others: [Option<Instant>; 2]) -> Duration {
        let now = Instant::now();
        let sources = self.sources.iter().filter_map(|source| match &source.reader {
            Reader::File(file) => file.due(),
            Reader::Journal(journal) => journal.due(),
            Reader::Off(_) => None,
        });
        let sources = match self.restart.filter(|restart| *restart > now) {
            Some(restart) => Some(restart),
            None => sources.min(),
        };
        let due = sources.into_iter().chain(others.into_iter().flatten()).min();
        due.map_or(Stop::LOOK, |due| due.saturating_duration_since(now).max(Duration::from_millis(10))).min(Stop::LOOK)
    }

    pub(super) fn rows(&self) -> Vec<LogSource> {
        self.sources.iter().map(|source| shown(source.row())).collect()
    }

    /// There is something to keep that was not kept yet.
    fn is_unsaved(&self) -> bool {
        self.kept != Some(self.mark())
    }

    /// When it is kept.
    pub(super) fn keeps_at(&self) -> Option<Instant> {
        self.is_unsaved().then(|| self.saved + self.pause())
    }

    fn pause(&self) -> Duration {
        if self.finished { KEEP_DONE } else { KEEP }
    }

    /// Keeps it when it is time.
    pub(super) fn keep_in_time<K: LogSink<P::Record>>(&mut self, sink: &K) {
        if self.saved.elapsed() >= self.pause() {
            self.keep(sink);
        }
    }

    /// Changes when there is something to keep.
    fn mark(&self) -> u64 {
        let marks = self.sources.iter().map(|source| match &source.reader {
            Reader::File(file) => file.mark(),
            Reader::Journal(journal) => journal.row.lines,
            Reader::Off(_) => 0,
        });
        marks.fold(0, |all, mark| all.wrapping_mul(31).wrapping_add(mark))
    }

    pub(super) fn keep<K: LogSink<P::Record>>(&mut self, sink: &K) {
        if self.is_unsaved() {
            sink.keep(kept::save(&self.known()));
            self.kept = Some(self.mark());
        }
        (self.saved, self.finished) = (Instant::now(), false);
    }

    /// All that is to be kept.
    fn known(&self) -> Vec<KeptSource> {
        self.sources.iter().filter_map(Source::keep).chain(self.left.iter().cloned()).collect()
    }

    /// The places, and what a next run needs to go on from here.
    pub(super) fn end(self) -> (Vec<LogPlace<P::Source>>, Vec<KeptSource>) {
        let known = self.known();
        (self.sources.into_iter().map(|source| source.place).collect(), known)
    }
}

/// One line about a child that died.
fn told(refused: &Refused, source: &str) -> String {
    match refused {
        Refused::NotStarted(_) => format!("{refused}; no log is read; tried again every {} seconds", RESTART.as_secs()),
        Refused::Over => refused.to_string(),
        Refused::Died(_) => format!("{refused} while it read {source}; another was started: `bartizan logs` says what is set aside"),
    }
}
