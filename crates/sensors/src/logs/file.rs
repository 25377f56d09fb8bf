//! The file of one source, under whatever names it had: the one that has the name now, and earlier ones that may still be written to.

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::held_file::{HeldFile, Progress};
use super::kept::{KeptFile, KeptSource};
use super::row::{died, note, tally};
use super::settled::settle;
use super::{Hands, LogSink};
use bartizan_model::{LogSource, LogState};
use bartizan_sys::descriptors;
use bartizan_sys::growth::{Growth, Watched};
use bartizan_sys::plain_file::{self, NotOpened};
use bartizan_worker::{Batch, Parser, Position, Refused, Worker};

/// Readings of one turn, 256 KiB each, so that a file that grows fast keeps nobody from the others.
const READINGS: usize = 16;
/// More bytes than these that wait are worth a word.
const BEHIND: u64 = 16 << 20;
/// Earlier files that are read beside the one that has the name.
const EARLIER: usize = 8;
/// Files that are done with and remembered: all of them are written down each time.
const DONE: usize = 4;

/// The file of one source.
pub(super) struct FileSource<P: Parser> {
    path: PathBuf,
    source: P::Source,
    /// The oldest first.
    open: Vec<HeldFile>,
    /// Of an earlier run, until the first look.
    kept: Option<KeptSource>,
    /// The oldest first.
    done: Vec<KeptFile>,
    /// It was there, or was looked for: what comes now is new from its beginning.
    awaited: bool,
    pub(super) row: LogSource,
    /// Its name was given to something, or may have been.
    pub(super) renamed: bool,
    /// A file was done with.
    pub(super) finished: bool,
}

impl<P: Parser> FileSource<P>
where
    P::Source: Clone,
{
    pub(super) fn new(path: PathBuf, source: P::Source, row: LogSource, kept: Option<KeptSource>) -> Self {
        let awaited = kept.is_some();
        Self { path, source, open: Vec::new(), kept, done: Vec::new(), awaited, row, renamed: true, finished: false }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// There may be more in the file that is watched so; in all of them with `None`.
    pub(super) fn grow(&mut self, watched: Option<Watched>) {
        let meant = |open: &&mut HeldFile| watched.is_none() || open.watched == watched;
        self.open.iter_mut().filter(meant).for_each(|open| open.grown = true);
    }

    pub(super) fn keep(&self) -> KeptSource {
        // Before the first look, what was kept is still what is known.
        let earlier = self.kept.as_ref().map(|kept| (kept.at, kept.files.clone()));
        let now = KeptSource::of(&self.row);
        let (at, files) =
            earlier.unwrap_or_else(|| (now.at, self.done.iter().cloned().chain(self.open.iter().map(HeldFile::kept)).collect()));
        KeptSource { at, files, ..now }
    }

    /// Changes when there is something to keep.
    pub(super) fn mark(&self) -> u64 {
        self.open.iter().fold(self.row.lines, |mark, open| mark.wrapping_mul(31).wrapping_add(open.position.offset ^ open.inode))
    }

    /// When it wants a turn although nothing happened.
    pub(super) fn due(&self) -> Option<Instant> {
        self.open.iter().filter_map(HeldFile::due).min()
    }

    /// Looks at its name if it must, and reads on. True when there is more already.
    pub(super) fn turn<K: LogSink<P::Record>>(&mut self, hands: &mut Hands<'_, P, K>) -> Result<bool, Refused> {
        if std::mem::take(&mut self.renamed) {
            self.look(hands);
        }
        let now = Instant::now();
        let (mut left, mut at) = (READINGS, 0);
        while left > 0
            && let Some(open) = self.open.get_mut(at)
        {
            if !open.wants_turn(now) {
                at += 1;
                continue;
            }
            match open.read_on(&mut left, &mut self.row, hands) {
                Ok(Progress::Done) => at += 1,
                // It is next once more, or the copy of it that comes in before it.
                Ok(Progress::CutShort(read)) => {
                    left -= usize::from(left > 0);
                    self.cut_short(at, read, hands);
                }
                Err(refused) => {
                    if let Refused::Died(how) = &refused {
                        let verdict = open.caution.died(now, how.earned);
                        died(&mut self.row, verdict, open.position.offset, how);
                    }
                    return Err(refused);
                }
            }
        }
        self.let_go(|open| open.over, hands);
        self.weigh();
        Ok(self.open.iter().any(|open| open.grown && open.wants_turn(now)))
    }

    /// What has the name now?
    fn look<K: LogSink<P::Record>>(&mut self, hands: &mut Hands<'_, P, K>) {
        let found = plain_file::open(&self.path);
        let named = found.as_ref().ok().map(|(file, found)| (file, found));
        let begins = self.kept.take().and_then(|kept| self.settle(kept, named, hands));
        let (file, found) = match found {
            Ok(found) => found,
            Err(why) => {
                self.open.iter_mut().for_each(|open| open.named = false);
                return self.not_there(&why);
            }
        };
        let known = self.open.iter().position(|open| open.device == found.dev() && open.inode == found.ino());
        if let Some(at) = known.filter(|_| begins.is_none()) {
            return self.name(at);
        }
        let again = self.done.iter().position(|done| done.is_inode(&found)).map(|at| self.done.remove(at));
        let again = again.filter(|done| done.is_in(&file, found.len())).map(|done| done.position);
        // An editor puts a copy in the place of the file: what was read of it is in the copy too.
        let same = |open: &&HeldFile| open.named && !open.head.is_short() && open.kept().is_in(&file, found.len());
        let copied = self.open.iter().find(same).map(|open| open.position);
        if copied.is_some() {
            self.let_go(|open| open.named, hands);
        }
        let position = match begins.or(again).or(copied) {
            Some(position) => position,
            None if self.awaited => Position::default(),
            // The past before our first day is nobody's news. A line that is being written is not whole.
            None => Position { offset: found.len(), within_cut: found.len() > 0 && !ends_whole(&file, found.len()) },
        };
        self.awaited = true;
        self.open.iter_mut().for_each(|open| open.named = false);
        self.row.state = LogState::Following;
        self.adopt((file, &found), (position, true), hands);
    }

    /// One that is held has the name, again or still.
    fn name(&mut self, at: usize) {
        let mut open = self.open.remove(at);
        self.open.iter_mut().for_each(|other| other.named = false);
        open.named = true;
        self.open.push(open);
        if !self.row.state.is_read() {
            self.row.state = LogState::Following;
        }
    }

    /// Finds the files of an earlier run: where to go on in the one that has the name, if it is one of them.
    fn settle<K: LogSink<P::Record>>(
        &mut self,
        kept: KeptSource,
        named: Option<(&File, &Metadata)>,
        hands: &mut Hands<'_, P, K>,
    ) -> Option<Position> {
        let settled = settle(kept, &self.path, named);
        self.done = settled.done;
        for (file, found, position) in settled.earlier {
            self.adopt((file, &found), (position, false), hands);
        }
        if !settled.lost.is_empty() {
            note(&mut self.row, settled.lost.join("; "));
        }
        settled.begins
    }

    fn not_there(&mut self, why: &NotOpened) {
        self.awaited = true;
        self.row.state = match why {
            NotOpened::Missing => LogState::Missing,
            NotOpened::NotAFile(_) => LogState::NotAFile,
            NotOpened::ForeignLink { .. } | NotOpened::LooseLink { .. } | NotOpened::HardLink { .. } => LogState::ForeignLink,
            NotOpened::Refused(_) => LogState::Unreadable,
        };
        if self.row.state != LogState::Missing {
            note(&mut self.row, why.to_string());
        }
    }

    fn adopt<K: LogSink<P::Record>>(
        &mut self,
        (file, found): (File, &Metadata),
        (position, named): (Position, bool),
        hands: &mut Hands<'_, P, K>,
    ) {
        let room = descriptors::ask_for(0);
        let held = match room.and_then(|()| HeldFile::take(file, found, (position, named), self.source.clone(), &mut self.row, hands)) {
            Ok(held) => held,
            Err(why) => {
                self.row.state = LogState::Failed;
                return note(&mut self.row, format!("it cannot be read: {why}"));
            }
        };
        let at = if named { self.open.len() } else { self.open.iter().position(|open| open.named).unwrap_or(self.open.len()) };
        self.open.insert(at, held);
        if self.open.len() > EARLIER {
            note(&mut self.row, format!("more than {EARLIER} earlier files are still open: the oldest is left"));
            let oldest = self.open.first().map(|open| open.id);
            self.let_go(|open| Some(open.id) == oldest, hands);
        }
    }

    /// A file was emptied, and perhaps written anew: read from its beginning; first what was not read yet, from the copy that was made of it.
    fn cut_short<K: LogSink<P::Record>>(&mut self, at: usize, read: Option<Batch<P::Record>>, hands: &mut Hands<'_, P, K>) {
        let Some(open) = self.open.get_mut(at) else { return };
        let before = open.begin_anew();
        match before.find(&self.path).filter(|(_, found)| found.len() > before.position.offset) {
            Some((file, found)) => self.adopt((file, &found), (before.position, false), hands),
            // Without a copy, what was read is all that there is.
            None => read.into_iter().for_each(|read| tally(&mut self.row, read, hands.sink)),
        }
    }

    /// Lets go of files, and remembers how far they were read.
    fn let_go<K>(&mut self, which: impl Fn(&HeldFile) -> bool, hands: &mut Hands<'_, P, K>) {
        for open in self.open.extract_if(.., |open| which(open)) {
            hands.worker.release(open.id);
            if let Some(watched) = open.watched {
                hands.growth.forget(watched);
            }
            self.done.push(KeptFile { done: true, ..open.kept() });
            self.finished = true;
        }
        let surplus = self.done.len().saturating_sub(DONE);
        self.done.drain(..surplus);
    }

    /// It is not followed any more.
    pub(super) fn leave(&mut self, worker: &mut Worker<P::Source, P::Record>, growth: &Growth) {
        for open in self.open.drain(..) {
            worker.release(open.id);
            open.watched.into_iter().for_each(|watched| growth.forget(watched));
        }
    }

    /// How much waits.
    fn weigh(&mut self) {
        let lag = self.open.iter().map(HeldFile::lag).sum();
        self.row.lag = Some(lag);
        if self.row.state.is_read() {
            self.row.state = if lag > BEHIND { LogState::Behind } else { LogState::Following };
        }
    }
}

fn ends_whole(file: &File, size: u64) -> bool {
    use std::os::unix::fs::FileExt;
    let mut last = [0];
    file.read_at(&mut last, size.saturating_sub(1)).is_ok() && last == *b"\n"
}
