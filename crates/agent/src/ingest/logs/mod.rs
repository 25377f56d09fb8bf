//! Logs on their way into the pipeline: what follows them, the queue in between, the rows that people ask for, and what is judged of them.

mod attackers;
mod jails;
mod judge;
mod queue;
mod road;
mod signals;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod web_tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jails::JailFile;
pub(crate) use judge::LogJudge;
use queue::{Item, LogQueue};
pub(super) use road::LogRounds;

use super::Ingest;
use crate::mailbox::{NoAnswer, Published};
use bartizan_config::Settings;
use bartizan_model::{Attacker, HopDrops, HostText, LogSource};
use bartizan_sensors::logs::{LogFinder, LogFollower, LogSink, places};
use bartizan_sensors::{Collector, Stop};
use bartizan_worker::{At, Launch, LogParser, LogRecord};

/// Under which name it is kept in the archive how far they are read.
pub(crate) const READ: &str = "logs_read";
/// The same for what the login detectors remember.
pub(crate) const LOGINS: &str = "logins";
/// The process that reads them hangs when one reading, some milliseconds of work, takes longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// So long whoever asks for sources waits for the pipeline.
const ASKED: Duration = Duration::from_secs(5);

/// What the ingest shows of logs, and where their records wait.
#[derive(Debug)]
pub(super) struct Logs {
    pub(super) queue: LogQueue,
    rows: Published<Vec<LogSource>>,
    /// Findings that came too fast to be told each.
    pub(super) spared: AtomicU64,
}

impl Default for Logs {
    fn default() -> Self {
        Self { queue: LogQueue::default(), rows: Published::new(Vec::new()), spared: AtomicU64::new(0) }
    }
}

impl Ingest {
    /// How the logs are that are followed, a row for each.
    pub(crate) fn log_rows(&self) -> Arc<Vec<LogSource>> {
        self.logs.rows.read()
    }

    /// The worst sources of failed logins.
    pub(crate) fn attackers(&self, most: usize) -> Result<Vec<Attacker>, NoAnswer> {
        self.pipeline.ask(ASKED, move |pipeline| pipeline.logs.attackers(most))
    }

    /// Records of logs: those that the pipeline had no time for at the end, whose lines the next run reads again; and findings that came too
    /// fast to be told each, which are in the counts of their attack.
    pub(super) fn log_hops(&self) -> [HopDrops; 2] {
        let (received, refused) = self.logs.queue.counts();
        let spared = self.logs.spared.load(Ordering::Relaxed);
        [("log-records", refused), ("log-findings", spared)].map(|(hop, dropped)| HopDrops { hop: hop.to_owned(), received, dropped })
    }
}

/// What follows the logs, to be kept running like every other sensor. `read` is how far an earlier run got; without it, logs are read
/// from now on.
pub(crate) fn follower(ingest: &Arc<Ingest>, settings: &Settings, read: Option<&str>, stop: &Stop) -> Box<dyn Collector> {
    let launch = Launch { program: "/proc/self/exe".into(), arguments: vec!["worker".into()], patience: PATIENCE };
    let taker = Taker { ingest: Arc::clone(ingest), stop: stop.clone() };
    let finder = LogFinder::new(settings.logs.clone());
    let (jails, ingest) = (JailFile::new(settings.fail2ban_file()), Arc::clone(ingest));
    let places = places(&settings.logs, &jails.read(&ingest));
    let follower = LogFollower::<LogParser, _>::new(places, launch, taker, read);
    Box::new(follower.finding(Arc::new(move || finder.find(&jails.read(&ingest)))))
}

/// The end of the follower: everything goes to the pipeline, in the order in which it was read.
struct Taker {
    ingest: Arc<Ingest>,
    stop: Stop,
}

impl Taker {
    fn put(&self, item: Item) {
        if self.ingest.logs.queue.put(item, &self.stop) {
            self.ingest.lanes.wake();
        }
    }
}

impl LogSink<LogRecord> for Taker {
    fn take(&self, source: &HostText, at: At<LogRecord>) {
        self.put(Item::Record(source.clone(), Box::new(at)));
    }

    fn rows(&self, rows: Vec<LogSource>) {
        self.ingest.logs.rows.show(rows);
    }

    fn keep(&self, text: String) {
        self.put(Item::Read(text));
    }

    fn trouble(&self, trouble: Option<String>) {
        self.ingest.troubles.report("log reader", trouble);
    }
}
