//! The journal of systemd, as `journalctl --follow` prints it, from the cursor where it was left off.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use super::kept::KeptSource;
use super::row::{died, note, tally};
use super::{Hands, LogSink};
use bartizan_model::{LogSource, LogState};
use bartizan_sys::child::{self, Stream};
use bartizan_sys::growth;
use bartizan_worker::{Caution, Kind, Parser, Position, Refused, Worker, cursor_time};

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
/// A cursor of an entry that is further ahead of our clock, in microseconds, is not gone by: nothing would come until then.
const AHEAD: i64 = 3_600_000_000;

/// A `journalctl` that runs.
struct Running {
    id: u32,
    program: Stream,
    pipe: OwnedFd,
    position: Position,
    more: bool,
    /// Nothing came of it yet.
    silent: bool,
    /// How many children had died when it was handed over: what one had read of the pipe dies with it.
    deaths: u64,
}

/// The journal.
pub(super) struct JournalSource<P: Parser> {
    source: P::Source,
    /// More arguments of journalctl: where the journal lies, if not at its usual place.
    more: Vec<String>,
    running: Option<Running>,
    /// Of the last entry that was read.
    cursor: Option<String>,
    /// When it was read, or when we began: in microseconds since 1970 by our clock.
    until: i64,
    pub(super) row: LogSource,
    caution: Caution,
    again: Option<Instant>,
    pause: Duration,
}

impl<P: Parser> JournalSource<P>
where
    P::Source: Clone,
{
    pub(super) fn new(source: P::Source, more: Vec<String>, row: LogSource, kept: Option<KeptSource>) -> Self {
        let until = kept.as_ref().and_then(|kept| kept.until);
        let cursor = kept.and_then(|kept| kept.cursor);
        let until = until.unwrap_or_else(now);
        Self { source, more, running: None, cursor, until, row, caution: Caution::default(), again: None, pause: FIRST_PAUSE }
    }

    pub(super) fn keep(&self) -> KeptSource {
        KeptSource { cursor: self.cursor.clone(), until: Some(self.until), ..KeptSource::of(&self.row) }
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
            self.leave(hands.worker);
        }
        if self.running.is_none() {
            if self.due().is_some_and(|due| due > Instant::now()) {
                return Ok(false);
            }
            self.begin(hands);
        }
        let mut empty = 0;
        for _ in 0..READINGS {
            let Some(running) = self.running.as_mut().filter(|_| !hands.stop.is_set()) else { return Ok(false) };
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
            let nothing = batch.lines == 0 && !batch.more;
            if !nothing {
                running.silent = false;
                (self.row.state, self.pause, self.until) = (LogState::Following, FIRST_PAUSE, now());
                self.cursor = batch.cursor.clone().or_else(|| self.cursor.take());
            }
            let ended = if nothing { running.program.ended() } else { None };
            tally(&mut self.row, batch, hands.sink);
            empty += usize::from(nothing);
            if let Some(how) = ended {
                self.ended(&how, hands);
            } else if empty == READINGS {
                self.end("journalctl says nothing more and does not end".to_owned(), hands);
            }
        }
        Ok(self.running.as_ref().is_some_and(|running| running.more))
    }

    /// From where it is read: behind the last entry; without one, or when journalctl or our clock refuses it, from when we read last.
    fn from(&self) -> String {
        let known = self.cursor.as_ref().filter(|cursor| {
            let time = cursor_time(cursor).and_then(|time| i64::try_from(time).ok());
            time.is_some_and(|time| time <= now().saturating_add(AHEAD))
        });
        match known {
            Some(cursor) => format!("--after-cursor={cursor}"),
            None => format!("--since=@{}.{:06}", self.until.div_euclid(1_000_000), self.until.rem_euclid(1_000_000)),
        }
    }

    fn begin<K: LogSink<P::Record>>(&mut self, hands: &mut Hands<'_, P, K>) {
        let from = self.from();
        let usual = ["--follow", "--output=json", "--all", "--quiet", "--no-pager", "--no-tail", FIELDS, from.as_str()];
        let arguments: Vec<&str> = usual.into_iter().chain(self.more.iter().map(String::as_str)).collect();
        let begun = child::stream(JOURNALCTL.as_ref(), &arguments).and_then(|(program, pipe)| Ok((program, pipe.try_clone()?, pipe)));
        match begun {
            Ok((program, again, pipe)) => {
                let id = hands.id();
                hands.worker.take(id, Kind::Stream, self.source.clone(), again);
                let deaths = hands.worker.deaths();
                self.running = Some(Running { id, program, pipe, position: Position::default(), more: false, silent: true, deaths });
                self.row.state = LogState::Following;
            }
            Err(why) => self.end(format!("journalctl cannot be started: {why}"), hands),
        }
    }

    /// It ended by itself. If nothing came of it although it was given a cursor, that may be why.
    fn ended<K: LogSink<P::Record>>(&mut self, how: &str, hands: &mut Hands<'_, P, K>) {
        let silent = self.running.as_ref().is_some_and(|running| running.silent);
        let why = match self.cursor.take_if(|_| silent) {
            Some(_) => {
                format!("journalctl ended ({how}) when asked to go on where it was left: it is read from the time of the last entry on")
            }
            None => format!("journalctl ended: {how}"),
        };
        self.end(why, hands);
    }

    /// It does not run (any more): tried again later.
    fn end<K: LogSink<P::Record>>(&mut self, why: String, hands: &mut Hands<'_, P, K>) {
        self.leave(hands.worker);
        self.row.state = LogState::Failed;
        note(&mut self.row, why);
        self.again = Some(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    /// It is not followed any more.
    pub(super) fn leave(&mut self, worker: &mut Worker<P::Source, P::Record>) {
        if let Some(running) = self.running.take() {
            worker.release(running.id);
        }
    }

    /// What the child had read and not told is read again, from the cursor.
    fn refused<K: LogSink<P::Record>>(&mut self, refused: Refused, hands: &mut Hands<'_, P, K>) -> Refused {
        if let Refused::Died(how) = &refused {
            let offset = self.running.as_ref().map_or(0, |running| running.position.offset);
            died(&mut self.row, self.caution.died(Instant::now(), how.earned), offset, how);
            self.leave(hands.worker);
        }
        refused
    }
}

fn now() -> i64 {
    chrono::Utc::now().timestamp_micros()
}
