//! One file that is held open, whatever name it has by now: read on from where it was left off, as carefully as it must be.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use super::kept::{Head, KeptFile};
use super::row::{note, tally};
use super::{Hands, LogSink};
use bartizan_model::{LogSource, LogState};
use bartizan_sys::growth::Watched;
use bartizan_sys::holes;
use bartizan_worker::{Batch, Caution, Kind, Parser, Position, Refused};

/// A file that lost its name is read on until nobody has written to it for so long: programs reopen their log seconds after its rotation.
const QUIET: Duration = Duration::from_secs(60);

/// What came of reading on.
pub(super) enum Progress<R> {
    /// All of it that is whole is read, or the turn is over.
    Done,
    /// It was emptied, and perhaps written anew; what was read while that happened, if it did.
    CutShort(Option<Batch<R>>),
}

/// Such a file.
pub(super) struct HeldFile {
    pub(super) id: u32,
    pub(super) file: File,
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) head: Head,
    pub(super) position: Position,
    pub(super) watched: Option<Watched>,
    /// It has the name now.
    pub(super) named: bool,
    /// There may be more to read.
    pub(super) grown: bool,
    /// Nothing more comes, and the end of its last line neither: all of it is read.
    pub(super) over: bool,
    pub(super) caution: Caution,
    /// Its size when all of it that is whole had been read.
    seen: Option<u64>,
    quiet_since: Instant,
}

impl HeldFile {
    /// Hands it to the child and watches it.
    pub(super) fn take<P: Parser, K>(
        file: File,
        found: &Metadata,
        (position, named): (Position, bool),
        source: P::Source,
        row: &mut LogSource,
        hands: &mut Hands<'_, P, K>,
    ) -> io::Result<Self>
    where
        P::Source: Clone,
    {
        let (again, head) = (file.try_clone()?, Head::of(&file)?);
        let id = hands.id();
        hands.worker.take(id, Kind::File, source, again.into());
        let watched = hands.growth.file(&file);
        if let Err(why) = &watched {
            note(row, format!("it cannot be watched and is looked at every ten seconds: {why}: raise fs.inotify.max_user_watches"));
        }
        let (device, inode, watched) = (found.dev(), found.ino(), watched.ok());
        let (seen, caution, quiet_since) = (None, Caution::default(), Instant::now());
        Ok(Self { id, file, device, inode, head, position, watched, named, grown: true, over: false, caution, seen, quiet_since })
    }

    pub(super) fn kept(&self) -> KeptFile {
        KeptFile { device: self.device, inode: self.inode, head: self.head.clone(), position: self.position, done: self.over }
    }

    /// It begins anew: what it was before.
    pub(super) fn begin_anew(&mut self) -> KeptFile {
        let before = self.kept();
        (self.position, self.seen, self.grown) = (Position::default(), None, true);
        self.head = Head::of(&self.file).unwrap_or_default();
        before
    }

    /// Whether it has a turn now.
    pub(super) fn wants_turn(&self, now: Instant) -> bool {
        (self.grown || self.is_quiet(now)) && self.caution.waits_until().is_none_or(|until| until <= now)
    }

    /// When it wants a turn although nothing happens.
    pub(super) fn due(&self) -> Option<Instant> {
        let quiet = (!self.named && !self.over && self.seen.is_some()).then(|| self.quiet_since + QUIET);
        let wants = if self.grown { Some(self.quiet_since) } else { quiet };
        wants.map(|wants| self.caution.waits_until().map_or(wants, |until| until.max(wants)))
    }

    /// It has lost its name, and nobody writes to it any more.
    fn is_quiet(&self, now: Instant) -> bool {
        !self.named && !self.over && self.seen.is_some() && now.saturating_duration_since(self.quiet_since) >= QUIET
    }

    /// How much waits, in bytes.
    pub(super) fn lag(&self) -> u64 {
        self.file.metadata().map_or(0, |found| found.len().saturating_sub(self.position.offset))
    }

    /// Reads on until all of it is read or the turn is over.
    pub(super) fn read_on<P: Parser, K: LogSink<P::Record>>(
        &mut self,
        left: &mut usize,
        row: &mut LogSource,
        hands: &mut Hands<'_, P, K>,
    ) -> Result<Progress<P::Record>, Refused>
    where
        P::Source: Clone,
    {
        let last = self.is_quiet(Instant::now());
        let size = match self.look() {
            Ok((size, true)) => size,
            Ok((_, false)) => return Ok(Progress::CutShort(None)),
            Err(why) => return Ok(self.fail(row, &why)),
        };
        if row.state == LogState::Failed {
            row.state = LogState::Following;
        }
        if self.position.offset == size {
            // Nothing to read starts no child.
            self.seen = Some(size);
        }
        if self.seen == Some(size) && (!last || self.position.offset == size) {
            (self.grown, self.over) = (false, last);
            return Ok(Progress::Done);
        }
        if self.head.is_short()
            && let Ok(head) = Head::of(&self.file)
        {
            self.head = head;
        }
        if !last {
            self.quiet_since = Instant::now();
        }
        while *left > 0 && !hands.stop.is_set() {
            *left -= 1;
            match self.pass_hole(row) {
                Ok(true) => {}
                Ok(false) => {
                    self.grown = false;
                    return Ok(Progress::Done);
                }
                Err(why) => return Ok(self.fail(row, &why)),
            }
            let batch = hands.worker.read(self.id, self.caution.reading(self.position, last))?;
            self.caution.lived(self.position, batch.to);
            if let Some(number) = batch.failed {
                return Ok(self.fail(row, &io::Error::from_raw_os_error(number)));
            }
            // What was read may be half of the old and half of the new.
            if !self.look().is_ok_and(|(now, same)| same && now >= batch.to.offset) {
                return Ok(Progress::CutShort(Some(batch)));
            }
            self.position = batch.to;
            let more = batch.more || (batch.lines > 0 && batch.to.offset < size);
            tally(row, batch, hands.sink);
            if !more {
                (self.seen, self.grown, self.over) = (Some(size), false, last);
                break;
            }
        }
        Ok(Progress::Done)
    }

    /// Its size, and whether it is still the file that was read: not cut short, and begun as it was.
    fn look(&self) -> io::Result<(u64, bool)> {
        let size = self.file.metadata()?.len();
        Ok((size, size >= self.position.offset && self.head.begins(&self.file)?))
    }

    /// Goes to where data begins. False when there is none yet.
    fn pass_hole(&mut self, row: &mut LogSource) -> io::Result<bool> {
        let Some(data) = holes::data_behind(&self.file, self.position.offset)? else { return Ok(false) };
        let hole = data.saturating_sub(self.position.offset);
        if hole > 0 {
            row.skipped += hole;
            note(row, format!("a hole of {hole} bytes was passed over at byte {}", self.position.offset));
            self.position.offset = data;
        }
        Ok(true)
    }

    fn fail<R>(&mut self, row: &mut LogSource, why: &io::Error) -> Progress<R> {
        self.grown = false;
        row.state = LogState::Failed;
        note(row, format!("it cannot be read: {why}"));
        Progress::Done
    }
}
