//! Every source gets its turn, on one thread, when the kernel says that there is more; what came of it is told, and how far it is read kept.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::file::FileSource;
use super::journal::JournalSource;
use super::kept::{self, KeptSource};
use super::{LogPlace, LogSink, Place};
use crate::{Collector, CollectorError, Sink, Stop};
use bartizan_model::{HostText, LogSource, LogState, SetAsideLine};
use bartizan_sys::growth::{Grown, Growth, Watched};
use bartizan_worker::{Batch, Died, Launch, Parser, Refused, SAMPLES, Verdict, Worker};

/// How often every name is looked at although nothing was heard of it: directories may come, and watches be refused.
const LOOK: Duration = Duration::from_secs(10);
/// How often what is read is kept. After a crash of the agent so much may be read twice.
const KEEP: Duration = Duration::from_secs(1);
/// How often rows are told while there is always more to read.
const TELL: Duration = Duration::from_millis(500);
/// How long a word about a dead child stands.
const TROUBLE: Duration = Duration::from_secs(60);
/// Before another child is tried when none could be started.
const RESTART: Duration = Duration::from_secs(5);
/// Lines set aside that a row lists, and characters of what went wrong.
const SET_ASIDE: usize = 8;
const WORDS: usize = 300;

/// What a source needs for its turn.
pub(super) struct Hands<'a, P: Parser, K> {
    pub(super) worker: &'a mut Worker<P::Source, P::Record>,
    pub(super) growth: &'a Growth,
    pub(super) sink: &'a K,
    next_id: &'a mut u32,
}

impl<P: Parser, K> Hands<'_, P, K> {
    /// A number for a descriptor that is handed over.
    pub(super) fn id(&mut self) -> u32 {
        *self.next_id = self.next_id.wrapping_add(1);
        *self.next_id
    }
}

enum Source<P: Parser> {
    File(Box<FileSource<P>>),
    Journal(Box<JournalSource<P>>),
    Off(Box<LogSource>),
}

/// Follows logs until it is told to stop. A collector: the agent starts it again when the kernel refuses something.
pub struct LogFollower<P: Parser, K> {
    places: Vec<LogPlace<P::Source>>,
    launch: Launch,
    sink: K,
    kept: Vec<KeptSource>,
}

impl<P: Parser, K: LogSink<P::Record>> LogFollower<P, K>
where
    P::Source: Clone,
{
    /// `kept` is the text that an earlier run handed to [`LogSink::keep`] last.
    pub fn new(places: Vec<LogPlace<P::Source>>, launch: Launch, sink: K, kept: Option<&str>) -> Self {
        Self { places, launch, sink, kept: kept::load(kept) }
    }

    fn begin(&self) -> Vec<Source<P>> {
        self.places.iter().map(|place| self.source(place)).collect()
    }

    fn source(&self, place: &LogPlace<P::Source>) -> Source<P> {
        let name = match &place.place {
            Place::File(path) => HostText::from(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str())),
            Place::Journal => HostText::from("journal"),
        };
        let kept = self.kept.iter().find(|kept| kept.name == name).cloned();
        let row = row(name, place.format.clone(), kept.as_ref());
        match (&place.off, &place.place) {
            (Some(why), _) => Source::Off(Box::new(LogSource { state: LogState::Off, trouble: Some(why.clone()), ..row })),
            (None, Place::File(path)) => {
                let kept = kept.map(|kept| kept.files);
                Source::File(Box::new(FileSource::new(path.clone(), place.source.clone(), row, kept)))
            }
            (None, Place::Journal) => {
                Source::Journal(Box::new(JournalSource::new(place.source.clone(), row, kept.and_then(|kept| kept.cursor))))
            }
        }
    }
}

fn row(name: HostText, format: String, kept: Option<&KeptSource>) -> LogSource {
    let count = |of: fn(&KeptSource) -> u64| kept.map_or(0, of);
    LogSource {
        name,
        format,
        state: LogState::Missing,
        lines: count(|kept| kept.lines),
        parsed: count(|kept| kept.parsed),
        unparsed: count(|kept| kept.unparsed),
        cut: count(|kept| kept.cut),
        records: count(|kept| kept.records),
        lag: None,
        last_line: None,
        samples: Vec::new(),
        set_aside: Vec::new(),
        set_aside_count: count(|kept| kept.set_aside_count),
        trouble: None,
        troubles: 0,
    }
}

impl<P: Parser, K: LogSink<P::Record>> Collector for LogFollower<P, K>
where
    P: Send,
    P::Source: Clone + Send,
    P::Record: Send,
{
    fn name(&self) -> &'static str {
        "logs"
    }

    fn run(&mut self, _sink: &dyn Sink, stop: &Stop) -> Result<(), CollectorError> {
        let refused = |why: std::io::Error| CollectorError {
            what: "logs: watching files".to_owned(),
            why: why.to_string(),
            mend: "raise fs.inotify.max_user_instances".to_owned(),
        };
        let growth = Growth::open().map_err(refused)?;
        let mut round = Round {
            sources: self.begin(),
            worker: Worker::new(self.launch.clone()),
            growth,
            directories: HashMap::new(),
            next_id: 0,
            looked: Instant::now(),
            kept: None,
            restart: None,
            trouble: None,
        };
        let (mut told, mut saved) = (Instant::now(), Instant::now());
        while !stop.is_set() {
            let more = round.turns(&self.sink);
            if !more || told.elapsed() >= TELL {
                told = Instant::now();
                self.sink.rows(round.rows());
            }
            if saved.elapsed() >= KEEP {
                saved = Instant::now();
                round.keep(&self.sink);
            }
            let timeout = if more { Duration::ZERO } else { round.due(saved + KEEP) };
            round.hear(timeout).map_err(refused)?;
        }
        self.sink.rows(round.rows());
        round.keep(&self.sink);
        // A second run of this follower goes on from here.
        self.kept = round.sources.iter().filter_map(Source::keep).collect();
        Ok(())
    }
}

impl<P: Parser> Source<P>
where
    P::Source: Clone,
{
    fn row(&self) -> &LogSource {
        match self {
            Self::File(file) => &file.row,
            Self::Journal(journal) => &journal.row,
            Self::Off(row) => row,
        }
    }

    fn keep(&self) -> Option<KeptSource> {
        match self {
            Self::File(file) => Some(file.keep()),
            Self::Journal(journal) => Some(journal.keep()),
            Self::Off(_) => None,
        }
    }
}

/// One run.
struct Round<P: Parser> {
    sources: Vec<Source<P>>,
    worker: Worker<P::Source, P::Record>,
    growth: Growth,
    directories: HashMap<PathBuf, Watched>,
    next_id: u32,
    looked: Instant,
    /// What was kept last, as its mark.
    kept: Option<u64>,
    /// No child could be started: not before then.
    restart: Option<Instant>,
    /// Until when a word about the child stands.
    trouble: Option<Instant>,
}

impl<P: Parser> Round<P>
where
    P::Source: Clone,
{
    /// A turn for each source. True when one has more already.
    fn turns<K: LogSink<P::Record>>(&mut self, sink: &K) -> bool {
        let now = Instant::now();
        if self.restart.is_some_and(|restart| restart > now) {
            return false;
        }
        self.restart = None;
        if self.trouble.is_some_and(|until| until <= now) {
            self.trouble = None;
            sink.trouble(None);
        }
        if self.directories.is_empty() || self.looked.elapsed() >= LOOK {
            self.look_everywhere();
        }
        let mut more = false;
        for source in &mut self.sources {
            let mut hands = Hands { worker: &mut self.worker, growth: &self.growth, sink, next_id: &mut self.next_id };
            let turn = match source {
                Source::File(file) => file.turn(&mut hands),
                Source::Journal(journal) => journal.turn(&mut hands),
                Source::Off(_) => Ok(false),
            };
            match turn {
                Ok(has_more) => more |= has_more,
                Err(refused) => {
                    let who = source.row().name.as_sentence();
                    sink.trouble(Some(told(&refused, &who)));
                    self.trouble = Some(now + TROUBLE);
                    if let Refused::NotStarted(_) = refused {
                        self.restart = Some(now + RESTART);
                        return false;
                    }
                    more = true;
                }
            }
        }
        more
    }

    /// Watches the directories that are there by now, and looks at every name.
    fn look_everywhere(&mut self) {
        self.looked = Instant::now();
        for source in &mut self.sources {
            let Source::File(file) = source else { continue };
            (file.renamed, file.grown) = (true, true);
            let Some(parent) = file.path().parent().filter(|parent| !self.directories.contains_key(*parent)) else { continue };
            if let Ok(watched) = self.growth.directory(parent) {
                self.directories.insert(parent.to_owned(), watched);
            }
        }
    }

    /// Waits for news and takes them.
    fn hear(&mut self, timeout: Duration) -> std::io::Result<()> {
        let pipes: Vec<_> =
            self.sources.iter().filter_map(|source| if let Source::Journal(journal) = source { journal.pipe() } else { None }).collect();
        if !self.growth.wait(&pipes, timeout)? {
            return Ok(());
        }
        let news: HashSet<Grown> = self.growth.drain()?.into_iter().collect();
        for one in news {
            match one {
                Grown::Overflow => self.look_everywhere(),
                Grown::File(watched) => self.files().filter(|file| file.is_about(watched)).for_each(|file| file.grown = true),
                Grown::Name(watched, name) => {
                    let parent = self.directories.iter().find(|(_, other)| **other == watched).map(|(path, _)| path.clone());
                    let is_meant = |file: &FileSource<P>| {
                        file.path().parent() == parent.as_deref() && file.path().file_name() == Some(OsStr::new(&name))
                    };
                    self.files().filter(|file| is_meant(file)).for_each(|file| file.renamed = true);
                }
                Grown::Gone(watched) => self.directories.retain(|_, other| *other != watched),
            }
        }
        Ok(())
    }

    fn files(&mut self) -> impl Iterator<Item = &mut Box<FileSource<P>>> {
        self.sources.iter_mut().filter_map(|source| if let Source::File(file) = source { Some(file) } else { None })
    }

    /// How long nothing needs to be done.
    fn due(&self, keep: Instant) -> Duration {
        let now = Instant::now();
        let sources = self.sources.iter().filter_map(|source| match source {
            Source::File(file) => file.due(),
            Source::Journal(journal) => journal.due(),
            Source::Off(_) => None,
        });
        let unsaved = self.kept != Some(self.mark());
        let due = sources.chain(self.restart).chain(Some(keep).filter(|_| unsaved)).min();
        due.map_or(Stop::LOOK, |due| due.saturating_duration_since(now).max(Duration::from_millis(10))).min(Stop::LOOK)
    }

    fn rows(&self) -> Vec<LogSource> {
        self.sources.iter().map(|source| source.row().clone()).collect()
    }

    /// Changes when there is something to keep.
    fn mark(&self) -> u64 {
        let marks = self.sources.iter().map(|source| match source {
            Source::File(file) => file.mark(),
            Source::Journal(journal) => journal.row.lines,
            Source::Off(_) => 0,
        });
        marks.fold(0, |all, mark| all.wrapping_mul(31).wrapping_add(mark))
    }

    fn keep<K: LogSink<P::Record>>(&mut self, sink: &K) {
        let mark = self.mark();
        if self.kept != Some(mark) {
            sink.keep(kept::save(&self.sources.iter().filter_map(Source::keep).collect::<Vec<_>>()));
            self.kept = Some(mark);
        }
    }
}

/// One line about a child that died.
fn told(refused: &Refused, source: &str) -> String {
    match refused {
        Refused::NotStarted(_) => format!("{refused}; no log is read; tried again every {} seconds", RESTART.as_secs()),
        Refused::Died(_) => format!("{refused} while it read {source}; another was started: `bartizan logs` says what is set aside"),
    }
}

/// The child died at this place of a source.
pub(super) fn died(row: &mut LogSource, verdict: Verdict, offset: u64, died: &Died) {
    match verdict {
        Verdict::Again => {}
        Verdict::SetAside => {
            row.set_aside_count += 1;
            row.set_aside.push(SetAsideLine { offset, at: chrono::Utc::now(), why: died.0.chars().take(WORDS).collect() });
            let surplus = row.set_aside.len().saturating_sub(SET_ASIDE);
            row.set_aside.drain(..surplus);
        }
        Verdict::Waits => row.state = LogState::SetAside,
    }
    note(row, format!("{died} at byte {offset}"));
}

/// Something went wrong with a source.
pub(super) fn note(row: &mut LogSource, trouble: String) {
    if row.trouble.as_ref() != Some(&trouble) {
        row.troubles += 1;
        row.trouble = Some(trouble.chars().take(WORDS).collect());
    }
}

/// What came of one reading.
pub(super) fn tally<R: bartizan_worker::Record, K: LogSink<R>>(row: &mut LogSource, batch: Batch<R>, sink: &K) {
    if batch.lines > 0 {
        row.last_line = Some(chrono::Utc::now());
    }
    row.lines += u64::from(batch.lines);
    row.parsed += u64::from(batch.parsed);
    row.unparsed += u64::from(batch.unparsed);
    row.cut += u64::from(batch.cut);
    row.records += batch.records.len() as u64;
    row.samples.extend(batch.samples.into_iter().map(HostText::from));
    let surplus = row.samples.len().saturating_sub(SAMPLES);
    row.samples.drain(..surplus);
    batch.records.into_iter().for_each(|record| sink.take(&row.name, record));
}
