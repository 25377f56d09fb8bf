//! The journal of systemd, as `journalctl --follow` prints it, from the cursor where it was left off.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use super::LogSink;
use super::follower::{Hands, died, note, tally};
use super::kept::KeptSource;
use bartizan_model::{LogSource, LogState};
use bartizan_sys::child::{self, Stream};
use bartizan_sys::growth;
use bartizan_worker::{Caution, Kind, Parser, Position, Refused};

/// The program.
const JOURNALCTL: &str = "journalctl";
/// The fields that a parser asks for (systemd.journal-fields(7)); cursor and time come by themselves.
const FIELDS: &str = "--output-fields=MESSAGE,PRIORITY,SYSLOG_IDENTIFIER,SYSLOG_PID,_PID,_UID,_GID,_EXE,_COMM,_SYSTEMD_UNIT,_TRANSPORT,\
                      CONTAINER_NAME";
/// The first pause when it ended by itself; doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Readings of one turn.
const READINGS: usize = 16;

/// A `journalctl` that runs.
struct Running {
    id: u32,
    program: Stream,
    pipe: OwnedFd,
    position: Position,
    more: bool,
    /// How many children had died when it was handed over: what one had read of the pipe dies with it.
    deaths: u64,
}

/// The journal.
pub(super) struct JournalSource<P: Parser> {
    source: P::Source,
    running: Option<Running>,
    cursor: Option<String>,
    pub(super) row: LogSource,
    caution: Caution,
    again: Option<Instant>,
    pause: Duration,
}

impl<P: Parser> JournalSource<P>
where
    P::Source: Clone,
{
    pub(super) fn new(source: P::Source, row: LogSource, cursor: Option<String>) -> Self {
        Self { source, running: None, cursor, row, caution: Caution::default(), again: None, pause: FIRST_PAUSE }
    }

    pub(super) fn keep(&self) -> KeptSource {
        KeptSource::of(&self.row, Vec::new(), self.cursor.clone())
    }

    /// What to wait for.
    pub(super) fn pipe(&self) -> Option<BorrowedFd<'_>> {
        self.running.as_ref().map(|running| running.pipe.as_fd())
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.again.into_iter().chain(self.caution.waits_until()).max().filter(|_| self.running.is_none())
    }

    /// Reads what has come. True when there is more already.
    pub(super) fn turn<K: LogSink<P::Record>>(&mut self, hands: &mut Hands<'_, P, K>) -> Result<bool, Refused> {
        if self.running.as_ref().is_some_and(|running| running.deaths != hands.worker.deaths()) {
            self.stop(hands);
        }
        if self.running.is_none() {
            if self.due().is_some_and(|due| due > Instant::now()) {
                return Ok(false);
            }
            self.begin(hands);
        }
        for _ in 0..READINGS {
            let Some(running) = &mut self.running else { return Ok(false) };
            if !running.more && !growth::readable_now(running.pipe.as_fd()).unwrap_or(true) {
                return Ok(false);
            }
            let from = running.position;
            let batch = match hands.worker.read(running.id, self.caution.reading(from, false)) {
                Ok(batch) => batch,
                Err(refused) => return Err(self.refused(refused, hands)),
            };
            self.caution.lived(from, batch.to);
            (running.position, running.more) = (batch.to, batch.more);
            self.cursor = batch.cursor.clone().or_else(|| self.cursor.take());
            let nothing = batch.lines == 0 && !batch.more;
            tally(&mut self.row, batch, hands.sink);
            if !nothing {
                (self.row.state, self.pause) = (LogState::Following, FIRST_PAUSE);
            } else if let Some(how) = running.program.ended() {
                self.end(format!("journalctl ended: {how}"), hands);
            }
        }
        Ok(self.running.as_ref().is_some_and(|running| running.more))
    }

    fn begin<K: LogSink<P::Record>>(&mut self, hands: &mut Hands<'_, P, K>) {
        let from = self.cursor.as_ref().map_or_else(|| "--lines=0".to_owned(), |cursor| format!("--after-cursor={cursor}"));
        let arguments = ["--follow", "--output=json", "--all", "--quiet", "--no-pager", FIELDS, from.as_str()];
        let begun = child::stream(JOURNALCTL.as_ref(), &arguments).and_then(|(program, pipe)| Ok((program, pipe.try_clone()?, pipe)));
        match begun {
            Ok((program, again, pipe)) => {
                let id = hands.id();
                hands.worker.take(id, Kind::Stream, self.source.clone(), again);
                let deaths = hands.worker.deaths();
                self.running = Some(Running { id, program, pipe, position: Position::default(), more: false, deaths });
                self.row.state = LogState::Following;
            }
            Err(why) => self.end(format!("journalctl cannot be started: {why}"), hands),
        }
    }

    /// It does not run (any more): tried again later, from the cursor.
    fn end<K: LogSink<P::Record>>(&mut self, why: String, hands: &mut Hands<'_, P, K>) {
        self.stop(hands);
        self.row.state = LogState::Failed;
        note(&mut self.row, why);
        self.again = Some(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    fn stop<K: LogSink<P::Record>>(&mut self, hands: &mut Hands<'_, P, K>) {
        if let Some(running) = self.running.take() {
            hands.worker.release(running.id);
        }
    }

    /// What the child had read and not told is read again, from the cursor.
    fn refused<K: LogSink<P::Record>>(&mut self, refused: Refused, hands: &mut Hands<'_, P, K>) -> Refused {
        if let Refused::Died(how) = &refused {
            let offset = self.running.as_ref().map_or(0, |running| running.position.offset);
            died(&mut self.row, self.caution.died(Instant::now()), offset, how);
            self.stop(hands);
        }
        refused
    }
}
