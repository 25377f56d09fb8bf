//! One file, under whatever names it had: the one that has the name now, and earlier ones that may still be written to.

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::LogSink;
use super::follower::{Hands, died, note, tally};
use super::kept::{Head, KeptFile, KeptSource};
use bartizan_model::{LogSource, LogState};
use bartizan_sys::growth::Watched;
use bartizan_sys::plain_file::{self, NotOpened};
use bartizan_worker::{Caution, Kind, Parser, Position, Refused, Verdict};

/// Readings of one turn, 256 KiB each, so that a file that grows fast keeps nobody from the others.
const READINGS: usize = 16;
/// A file that lost its name is read on until nobody has written to it for so long: programs reopen their log seconds after its rotation.
const QUIET: Duration = Duration::from_secs(60);
/// More bytes than these that wait are worth a word.
const BEHIND: u64 = 16 << 20;
/// Earlier files that are read beside the one that has the name.
const EARLIER: usize = 8;

/// A file that is held open.
struct Open {
    id: u32,
    file: File,
    device: u64,
    inode: u64,
    head: Head,
    position: Position,
    /// Its size when all of it that is whole had been read.
    seen: Option<u64>,
    watched: Option<Watched>,
    /// It has the name now.
    named: bool,
    quiet_since: Instant,
}

impl Open {
    fn kept(&self) -> KeptFile {
        KeptFile { device: self.device, inode: self.inode, head: self.head.clone(), position: self.position }
    }
}

/// The file of one source.
pub(super) struct FileSource<P: Parser> {
    path: PathBuf,
    source: P::Source,
    /// The oldest first.
    open: Vec<Open>,
    /// Of an earlier run, until the first look.
    kept: Option<Vec<KeptFile>>,
    /// It was there, or was looked for: what comes now is new from its beginning.
    awaited: bool,
    pub(super) row: LogSource,
    caution: Caution,
    /// Its name was given to something, or may have been.
    pub(super) renamed: bool,
    /// There may be more to read.
    pub(super) grown: bool,
}

impl<P: Parser> FileSource<P>
where
    P::Source: Clone,
{
    pub(super) fn new(path: PathBuf, source: P::Source, row: LogSource, kept: Option<Vec<KeptFile>>) -> Self {
        let awaited = kept.is_some();
        Self { path, source, open: Vec::new(), kept, awaited, row, caution: Caution::default(), renamed: true, grown: true }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether this watch is about one of its files.
    pub(super) fn is_about(&self, watched: Watched) -> bool {
        self.open.iter().any(|open| open.watched == Some(watched))
    }

    pub(super) fn keep(&self) -> KeptSource {
        let files = self.open.iter().map(Open::kept).collect();
        // Before the first look, what was kept is still what is known.
        KeptSource::of(&self.row, self.kept.clone().unwrap_or(files), None)
    }

    /// Changes when there is something to keep.
    pub(super) fn mark(&self) -> u64 {
        self.open.iter().fold(self.row.lines, |mark, open| mark.wrapping_mul(31).wrapping_add(open.position.offset ^ open.inode))
    }

    /// When it wants a turn although nothing happened.
    pub(super) fn due(&self) -> Option<Instant> {
        let waits = self.caution.waits_until().filter(|_| self.grown);
        let quiet = self.open.iter().filter(|open| !open.named).map(|open| open.quiet_since + QUIET).min();
        waits.into_iter().chain(quiet).min()
    }

    /// Looks at its name if it must, and reads on. True when there is more already.
    pub(super) fn turn<K: LogSink<P::Record>>(&mut self, hands: &mut Hands<'_, P, K>) -> Result<bool, Refused> {
        let now = Instant::now();
        if std::mem::take(&mut self.renamed) {
            self.look(hands);
        }
        if self.caution.waits_until().is_some_and(|until| until > now) {
            return Ok(false);
        }
        let mut left = READINGS;
        if std::mem::take(&mut self.grown) {
            let mut at = 0;
            // A copy of a file that was cut short may come in before it.
            while at < self.open.len() && left > 0 {
                match self.read_on(at, &mut left, hands) {
                    Ok(true) => at += 1,
                    Ok(false) => {}
                    Err(refused) => {
                        self.grown = true;
                        return self.refused(at, refused, now);
                    }
                }
            }
            self.grown = left == 0;
        }
        self.release_quiet(now, hands)?;
        self.weigh();
        Ok(self.grown)
    }

    /// What has the name now?
    fn look<K: LogSink<P::Record>>(&mut self, hands: &mut Hands<'_, P, K>) {
        let found = plain_file::open(&self.path);
        let kept = self.kept.take();
        let named = found.as_ref().ok().map(|(file, found)| (file, found));
        let begins = kept.map(|kept| self.settle(kept, named, hands)).unwrap_or_default();
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
        // An editor puts a copy in the place of the file: what was read of it is in the copy too.
        let same = |open: &&Open| open.named && !open.head.is_short() && open.kept().is_in(&file, found.len());
        let copied = self.open.iter().find(same).map(|open| open.position);
        if copied.is_some() {
            self.drop_where(|open| open.named, hands);
        }
        let position = match begins.or(copied) {
            Some(position) => position,
            None if self.awaited => Position::default(),
            // The past before our first day is nobody's news. A line that is being written is not whole.
            None => Position { offset: found.len(), within_cut: found.len() > 0 && !ends_whole(&file, found.len()) },
        };
        self.awaited = true;
        self.open.iter_mut().for_each(|open| open.named = false);
        self.adopt(file, &found, position, true, hands);
        self.row.state = LogState::Following;
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
        kept: Vec<KeptFile>,
        named: Option<(&File, &Metadata)>,
        hands: &mut Hands<'_, P, K>,
    ) -> Option<Position> {
        let mut begins = None;
        for kept in kept {
            if let Some((file, found)) = named
                && kept.inode == found.ino()
                && kept.is_in(file, found.len())
            {
                begins = Some(kept.position);
            } else if let Some((file, _)) = kept.find(&self.path) {
                if let Ok(found) = file.metadata() {
                    self.adopt(file, &found, kept.position, false, hands);
                }
            } else {
                let lost =
                    format!("what was written behind byte {} while no agent ran, if anything, is not here any more", kept.position.offset);
                note(&mut self.row, lost);
            }
        }
        begins
    }

    fn not_there(&mut self, why: &NotOpened) {
        self.awaited = true;
        self.row.state = match why {
            NotOpened::Missing => LogState::Missing,
            NotOpened::NotAFile(_) => LogState::NotAFile,
            NotOpened::ForeignLink { .. } => LogState::ForeignLink,
            NotOpened::Refused(_) => LogState::Unreadable,
        };
        if self.row.state != LogState::Missing {
            note(&mut self.row, why.to_string());
        }
    }

    fn adopt<K: LogSink<P::Record>>(&mut self, file: File, found: &Metadata, position: Position, named: bool, hands: &mut Hands<'_, P, K>) {
        let taken = file.try_clone().and_then(|again| Ok((again, Head::of(&file)?)));
        let (again, head) = match taken {
            Ok(taken) => taken,
            Err(why) => return self.fail(format!("it cannot be read: {why}")),
        };
        let id = hands.id();
        hands.worker.take(id, Kind::File, self.source.clone(), again.into());
        let watched = hands.growth.file(&file);
        if let Err(why) = &watched {
            note(
                &mut self.row,
                format!("it cannot be watched and is looked at every ten seconds: {why}: raise fs.inotify.max_user_watches"),
            );
        }
        let (device, inode, quiet_since) = (found.dev(), found.ino(), Instant::now());
        let open = Open { id, file, device, inode, head, position, seen: None, watched: watched.ok(), named, quiet_since };
        let at = if named { self.open.len() } else { self.open.iter().position(|open| open.named).unwrap_or(self.open.len()) };
        self.open.insert(at, open);
        self.grown = true;
        if self.open.len() > EARLIER {
            note(&mut self.row, format!("more than {EARLIER} earlier files are still open: the oldest is left"));
            let oldest = self.open.first().map(|open| open.id);
            self.drop_where(|open| Some(open.id) == oldest, hands);
        }
    }

    /// Reads on in one file until all of it is read or the turn is over. False when the file at this place is to be read first.
    fn read_on<K: LogSink<P::Record>>(&mut self, at: usize, left: &mut usize, hands: &mut Hands<'_, P, K>) -> Result<bool, Refused> {
        let Some(open) = self.open.get_mut(at) else { return Ok(true) };
        let looked = open.file.metadata().and_then(|found| Ok((found.len(), open.head.begins(&open.file)?)));
        let (size, same) = match looked {
            Ok(looked) => looked,
            Err(why) => {
                self.fail(format!("it cannot be read: {why}"));
                return Ok(true);
            }
        };
        if size < open.position.offset || !same {
            self.cut_short(at, hands);
            // It begins anew, or its copy came in before it: either is next.
            return Ok(false);
        }
        if open.position.offset == size {
            // Nothing to read starts no child.
            open.seen = Some(size);
        }
        if open.seen == Some(size) {
            return Ok(true);
        }
        if open.head.is_short()
            && let Ok(head) = Head::of(&open.file)
        {
            open.head = head;
        }
        open.quiet_since = Instant::now();
        while *left > 0 {
            *left -= 1;
            let reading = self.caution.reading(open.position, false);
            let batch = hands.worker.read(open.id, reading)?;
            self.caution.lived(open.position, batch.to);
            open.position = batch.to;
            if let Some(number) = batch.failed {
                let why = std::io::Error::from_raw_os_error(number);
                self.fail(format!("it cannot be read: {why}"));
                return Ok(true);
            }
            if self.row.state == LogState::Failed {
                self.row.state = LogState::Following;
            }
            let more = batch.more || (batch.lines > 0 && batch.to.offset < size);
            tally(&mut self.row, batch, hands.sink);
            if !more {
                open.seen = Some(size);
                break;
            }
        }
        Ok(true)
    }

    /// A file was emptied, and perhaps written anew: read from its beginning; first what was not read yet, from the copy that was made of it.
    fn cut_short<K: LogSink<P::Record>>(&mut self, at: usize, hands: &mut Hands<'_, P, K>) {
        let Some(open) = self.open.get_mut(at) else { return };
        let before = open.kept();
        (open.position, open.seen) = (Position::default(), None);
        open.head = Head::of(&open.file).unwrap_or_default();
        let copy = before.find(&self.path).and_then(|(file, _)| Some((file.metadata().ok()?, file)));
        if let Some((found, file)) = copy.filter(|(found, _)| found.len() > before.position.offset) {
            self.adopt(file, &found, before.position, false, hands);
        }
    }

    /// The child died while it read, or none could be started.
    fn refused(&mut self, at: usize, refused: Refused, now: Instant) -> Result<bool, Refused> {
        let Refused::Died(how) = &refused else { return Err(refused) };
        let offset = self.open.get(at).map_or(0, |open| open.position.offset);
        died(&mut self.row, self.caution.died(now), offset, how);
        Err(refused)
    }

    /// Lets go of earlier files that nobody writes to any more; the end of their last line does not come.
    fn release_quiet<K: LogSink<P::Record>>(&mut self, now: Instant, hands: &mut Hands<'_, P, K>) -> Result<(), Refused> {
        let is_done = |open: &Open| !open.named && open.seen.is_some() && now.saturating_duration_since(open.quiet_since) >= QUIET;
        for open in self.open.iter().filter(|open| is_done(open)) {
            match hands.worker.read(open.id, self.caution.reading(open.position, true)) {
                Ok(batch) => tally(&mut self.row, batch, hands.sink),
                // It was the last line that could be read of it.
                Err(Refused::Died(how)) => died(&mut self.row, Verdict::SetAside, open.position.offset, &how),
                Err(refused) => return Err(refused),
            }
        }
        self.drop_where(is_done, hands);
        Ok(())
    }

    fn drop_where<K: LogSink<P::Record>>(&mut self, which: impl Fn(&Open) -> bool, hands: &mut Hands<'_, P, K>) {
        for open in self.open.extract_if(.., |open| which(open)) {
            hands.worker.release(open.id);
            if let Some(watched) = open.watched {
                hands.growth.forget(watched);
            }
        }
    }

    fn fail(&mut self, why: String) {
        self.row.state = LogState::Failed;
        note(&mut self.row, why);
    }

    /// How much waits.
    fn weigh(&mut self) {
        let waits = |open: &Open| open.file.metadata().map_or(0, |found| found.len().saturating_sub(open.position.offset));
        let lag = self.open.iter().map(waits).sum();
        self.row.lag = Some(lag);
        if self.row.state.is_read() || (self.row.state == LogState::SetAside && lag == 0) {
            self.row.state = if lag > BEHIND { LogState::Behind } else { LogState::Following };
        }
    }
}

fn ends_whole(file: &File, size: u64) -> bool {
    use std::os::unix::fs::FileExt;
    let mut last = [0];
    file.read_at(&mut last, size.saturating_sub(1)).is_ok() && last == *b"\n"
}
