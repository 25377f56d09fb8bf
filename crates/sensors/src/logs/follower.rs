//! Logs are followed on one thread: what comes of them is told, how the sources are too, and how far they are read is kept.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::kept::{self, KeptSource};
use super::round::Round;
use super::{LogPlace, LogSink};
use crate::{Collector, CollectorError, Sink, Stop};
use bartizan_sys::growth::Growth;
use bartizan_worker::{Launch, Parser};

/// Rows are told no more often.
const TELL: Duration = Duration::from_millis(500);

/// Says which logs there are now.
pub type Find<S> = Arc<dyn Fn() -> Vec<LogPlace<S>> + Send + Sync>;

/// Follows logs until it is told to stop. A collector: the agent starts it again when the kernel refuses something.
pub struct LogFollower<P: Parser, K> {
    places: Vec<LogPlace<P::Source>>,
    find: Option<Find<P::Source>>,
    journal: Vec<String>,
    launch: Launch,
    sink: K,
    kept: Vec<KeptSource>,
}

impl<P: Parser, K: LogSink<P::Record>> LogFollower<P, K> {
    /// `kept` is the text that an earlier run handed to [`LogSink::keep`] last.
    pub fn new(places: Vec<LogPlace<P::Source>>, launch: Launch, sink: K, kept: Option<&str>) -> Self {
        Self { places, find: None, journal: Vec::new(), launch, sink, kept: kept::load(kept) }
    }

    /// It is looked up twice a minute which logs there are; `places` are those of the beginning.
    #[must_use]
    pub fn finding(self, find: Find<P::Source>) -> Self {
        Self { find: Some(find), ..self }
    }

    /// More arguments of journalctl(1): where the journal lies (`--directory=`), if not at its usual place.
    #[must_use]
    pub fn journal(self, arguments: Vec<String>) -> Self {
        Self { journal: arguments, ..self }
    }
}

impl<P: Parser, K: LogSink<P::Record>> Collector for LogFollower<P, K>
where
    P: Send,
    P::Source: Clone + PartialEq + Send + 'static,
    P::Record: Send,
{
    fn name(&self) -> &'static str {
        "logs"
    }

    fn run(&mut self, _sink: &dyn Sink, stop: &Stop) -> Result<(), CollectorError> {
        let growth = Growth::open().map_err(refused)?;
        let (places, kept) = (std::mem::take(&mut self.places), std::mem::take(&mut self.kept));
        let mut round = Round::new(places, self.launch.clone(), growth, kept, self.journal.clone(), stop);
        let followed = self.follow(&mut round, stop);
        // However it ended, the next run goes on from here.
        self.sink.rows(round.rows());
        round.keep(&self.sink);
        (self.places, self.kept) = round.end();
        followed.map_err(refused)
    }
}

impl<P: Parser, K: LogSink<P::Record>> LogFollower<P, K>
where
    P::Source: Clone + PartialEq + Send + 'static,
{
    fn follow(&self, round: &mut Round<P>, stop: &Stop) -> std::io::Result<()> {
        let mut told: Option<Instant> = None;
        while !stop.is_set() {
            if let Some(find) = &self.find {
                round.find(find);
            }
            let more = round.turns(&self.sink);
            let tells = told.is_none_or(|told| told.elapsed() >= TELL);
            if tells {
                told = Some(Instant::now());
                self.sink.rows(round.rows());
            }
            round.keep_in_time(&self.sink);
            let tell = told.filter(|_| !tells).map(|told| told + TELL);
            let timeout = if more { Duration::ZERO } else { round.due([tell, round.keeps_at()]) };
            round.hear(timeout)?;
        }
        Ok(())
    }
}

fn refused(why: std::io::Error) -> CollectorError {
    CollectorError { what: "logs: watching files".to_owned(), why: why.to_string(), mend: "raise fs.inotify.max_user_instances".to_owned() }
}
