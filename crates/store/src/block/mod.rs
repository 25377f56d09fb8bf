//! Blocks: many events in one row, each process image and each family tree written once.
//!
//! A block is a run of events. An event is its form and source, its number and moment as distances from the event before it,
//! what its kind tells, and a reference to a process image: none, one that an earlier event of the block brought, or a new one,
//! written as what differs from an image before it. The whole is compressed and carries a check sum (`envelope`).

mod envelope;
mod field;
mod image;
mod moment;
mod scan;
#[cfg(test)]
mod scan_tests;
mod sieve;
#[cfg(test)]
mod tests;
mod texts;
pub(super) mod vocabulary;

use std::collections::HashMap;
use std::sync::Arc;

use field::{Field, Input, put_bytes, take_bytes};

use super::error::StoreError;
use super::kinds;
use super::writer::nanos;
use bartizan_model::{BootId, Event, EventId, EventKind, Exit, Process, ProcessKey, Source, Timestamp};

pub(super) use envelope::{MAX_RAW, seal, unseal};
pub(super) use scan::{Candidate, scan};
pub(super) use sieve::Sieve;

/// An open block is full at so many events ...
const MAX_EVENTS: u64 = 1024;
/// ... or so many bytes ...
const FULL: usize = 256 << 10;
/// ... or keeps so many bytes of processes alive: a huge command line that comes again and again is written only once.
const HELD: usize = 2 << 20;

/// Low bits of an event's first byte: how its kind is written. Bit 2 says that it is complete, the rest is its source.
const OTHER: u8 = 0;
const EXEC: u8 = 1;
const FORK: u8 = 2;
const EXIT: u8 = 3;
const COMPLETE: u8 = 1 << 2;
const SOURCE: u32 = 3;

/// References to a process image.
const NOBODY: u64 = 0;
const NEW: u64 = 1;

/// What is known of a block without opening it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) first: u64,
    pub(super) last: u64,
    /// Nanoseconds since 1970.
    pub(super) earliest: i64,
    pub(super) latest: i64,
    /// Bits of [`kinds`].
    pub(super) kinds: i64,
    pub(super) events: u64,
}

impl Summary {
    const NOTHING: Self = Self { first: u64::MAX, last: 0, earliest: i64::MAX, latest: i64::MIN, kinds: 0, events: 0 };

    fn add(&mut self, event: &Event) {
        let at = nanos(event.at);
        *self = Self {
            first: self.first.min(event.id.0),
            last: self.last.max(event.id.0),
            earliest: self.earliest.min(at),
            latest: self.latest.max(at),
            kinds: self.kinds | kinds::bit(&event.kind),
            events: self.events + 1,
        };
    }
}

/// A run of events ready to be written: a tenth of what the events themselves take in memory.
#[derive(Debug)]
pub struct Block {
    pub(super) raw: Vec<u8>,
    pub(super) summary: Summary,
}

impl Block {
    /// How many events it holds.
    pub fn events(&self) -> u64 {
        self.summary.events
    }

    /// The highest number among them.
    pub fn last(&self) -> EventId {
        EventId(self.summary.last)
    }

    /// What it takes in memory.
    pub fn bytes(&self) -> usize {
        self.raw.capacity()
    }
}

/// A block that is being filled. It keeps the processes of its events alive until it is taken.
#[derive(Debug)]
pub struct Packer {
    raw: Vec<u8>,
    images: Vec<Arc<Process>>,
    /// Where each image of `images` stands, by its address: they are alive, so no address is used twice.
    places: HashMap<usize, usize>,
    /// The last image that an exec, a fork, another event brought: the next of its kind is like it.
    bases: [Option<usize>; 3],
    /// What `images` take in memory, about.
    held: usize,
    blank: Arc<Process>,
    before: (u64, Timestamp),
    summary: Summary,
}

impl Default for Packer {
    fn default() -> Self {
        Self {
            raw: Vec::new(),
            images: Vec::new(),
            places: HashMap::new(),
            bases: [None; 3],
            held: 0,
            blank: Arc::new(blank()),
            before: (0, Timestamp::UNIX_EPOCH),
            summary: Summary::NOTHING,
        }
    }
}

/// What the first image of a block is compared with. Part of the form on disk.
fn blank() -> Process {
    Process::unknown(ProcessKey { boot: BootId(0), pid: 0, start: 0 }, Timestamp::UNIX_EPOCH)
}

impl Packer {
    /// Adds an event and says how many bytes it took.
    ///
    /// # Errors
    /// [`StoreError::Encode`] or [`StoreError::TooLarge`]; the block is as before then.
    pub fn push(&mut self, event: &Event) -> Result<usize, StoreError> {
        let (length, images, bases) = (self.raw.len(), self.images.len(), self.bases);
        let written = self.write(event);
        let large = self.raw.len() > MAX_RAW;
        if large || written.is_err() {
            self.raw.truncate(length);
            self.bases = bases;
            for image in self.images.drain(images..) {
                self.places.remove(&(Arc::as_ptr(&image) as usize));
            }
            return Err(written.err().unwrap_or(StoreError::TooLarge { event: event.id, most: MAX_RAW }));
        }
        self.before = (event.id.0, event.at);
        self.summary.add(event);
        Ok(self.raw.len() - length)
    }

    /// Whether it is time to take it.
    pub fn is_full(&self) -> bool {
        self.summary.events >= MAX_EVENTS || self.raw.len() >= FULL || self.held >= HELD
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.summary.events == 0
    }

    /// What has been added since the last time, if anything.
    pub fn take(&mut self) -> Option<Block> {
        if self.is_empty() {
            return None;
        }
        // The next block is likely as large as this one.
        let room = Vec::with_capacity(self.raw.len().min(FULL));
        let mut raw = std::mem::replace(&mut self.raw, room);
        raw.shrink_to_fit();
        self.images.clear();
        self.places.clear();
        self.bases = [None; 3];
        self.held = 0;
        self.before = (0, Timestamp::UNIX_EPOCH);
        Some(Block { raw, summary: std::mem::replace(&mut self.summary, Summary::NOTHING) })
    }

    fn write(&mut self, event: &Event) -> Result<(), StoreError> {
        let form = form(&event.kind);
        self.raw.push(form | if event.complete { COMPLETE } else { 0 } | code(event.source) << SOURCE);
        (event.id.0.wrapping_sub(self.before.0) as i64).put(&mut self.raw);
        moment::put(event.at, self.before.1, &mut self.raw);
        match &event.kind {
            EventKind::Exec | EventKind::Fork => {}
            EventKind::Exit { exit } => {
                exit.code.put(&mut self.raw);
                exit.signal.put(&mut self.raw);
            }
            EventKind::Connect { .. }
            | EventKind::Listen { .. }
            | EventKind::Accept { .. }
            | EventKind::Close { .. }
            | EventKind::FileChange { .. }
            | EventKind::FileOpen { .. }
            | EventKind::PersistenceChange { .. }
            | EventKind::UserChange { .. }
            | EventKind::PrivilegeUse { .. }
            | EventKind::ContainerStart { .. }
            | EventKind::ContainerStop { .. }
            | EventKind::LoginAccepted { .. }
            | EventKind::LoginFailed { .. }
            | EventKind::WebAttack { .. }
            | EventKind::Budget { .. }
            | EventKind::Loss { .. }
            | EventKind::Alarm { .. } => put_bytes(&serde_json::to_vec(&event.kind)?, &mut self.raw),
        }
        match &event.process {
            None => NOBODY.put(&mut self.raw),
            Some(process) => self.refer(process, form, event.at),
        }
        Ok(())
    }

    /// Refers to an image that the block has, or brings it.
    fn refer(&mut self, process: &Arc<Process>, form: u8, at: Timestamp) {
        let count = self.images.len();
        if let Some(place) = self.places.get(&(Arc::as_ptr(process) as usize)) {
            (NEW + (count - place) as u64).put(&mut self.raw);
            return;
        }
        NEW.put(&mut self.raw);
        let likes = match form {
            EXEC => 0,
            FORK => 1,
            _ => 2,
        };
        let base = self.bases.get(likes).copied().flatten().or(count.checked_sub(1));
        (base.map_or(0, |place| count - place) as u64).put(&mut self.raw);
        let base = base.and_then(|place| self.images.get(place)).unwrap_or(&self.blank);
        image::put(process, base, at, &mut self.raw);
        self.held += weight(process);
        self.images.push(Arc::clone(process));
        self.places.insert(Arc::as_ptr(process) as usize, count);
        if let Some(last) = self.bases.get_mut(likes) {
            *last = Some(count);
        }
    }
}

/// Reads a block. `complete` may add to each process what became known later. `None` when the bytes make no sense.
pub(super) fn unpack(raw: &[u8], mut complete: impl FnMut(&mut Process)) -> Option<Vec<Event>> {
    let mut input = Input::new(raw);
    let (mut images, mut events) = (Vec::new(), Vec::new());
    let mut before = (0u64, Timestamp::UNIX_EPOCH);
    while !input.is_empty() {
        let (event, place) = read(&mut input, &mut images, before)?;
        before = (event.id.0, event.at);
        events.push((event, place));
    }
    // Only now: later images are written as what differs from these as they were.
    let images: Vec<Arc<Process>> = images
        .into_iter()
        .map(|mut image| {
            complete(&mut image);
            Arc::new(image)
        })
        .collect();
    let with_process =
        |(event, place): (Event, Option<usize>)| Event { process: place.and_then(|place| images.get(place).cloned()), ..event };
    Some(events.into_iter().map(with_process).collect())
}

/// One event without its process, and which image that is.
fn read(input: &mut Input<'_>, images: &mut Vec<Process>, before: (u64, Timestamp)) -> Option<(Event, Option<usize>)> {
    let first = input.byte()?;
    let source = *SOURCES.get(usize::from(first >> SOURCE))?;
    let id = EventId(before.0.wrapping_add(i64::take(input)? as u64));
    let at = moment::take(before.1, input)?;
    let kind = match first & 3 {
        EXEC => EventKind::Exec,
        FORK => EventKind::Fork,
        EXIT => EventKind::Exit { exit: Exit { code: Field::take(input)?, signal: Field::take(input)? } },
        _ => serde_json::from_slice(take_bytes(input)?).ok()?,
    };
    let place = match u64::take(input)? {
        NOBODY => None,
        NEW => {
            let image = match usize::try_from(u64::take(input)?).ok()? {
                0 => image::take(&blank(), at, input)?,
                back => image::take(images.get(images.len().checked_sub(back)?)?, at, input)?,
            };
            images.push(image);
            Some(images.len() - 1)
        }
        back => {
            let place = images.len().checked_sub(usize::try_from(back - NEW).ok()?)?;
            images.get(place).map(|_| Some(place))?
        }
    };
    Some((Event { id, at, kind, process: None, source, complete: first & COMPLETE != 0 }, place))
}

/// What a process takes in memory, about: an attacker chooses how much of it is arguments.
fn weight(process: &Process) -> usize {
    let arguments: usize = process.argv.iter().map(|argument| argument.as_bytes().len() + 32).sum();
    let environment: usize = process.environment.iter().map(|variable| variable.value.as_bytes().len() + 64).sum();
    size_of::<Process>() + arguments + environment
}

fn form(kind: &EventKind) -> u8 {
    match kind {
        EventKind::Exec => EXEC,
        EventKind::Fork => FORK,
        EventKind::Exit { .. } => EXIT,
        EventKind::Connect { .. }
        | EventKind::Listen { .. }
        | EventKind::Accept { .. }
        | EventKind::Close { .. }
        | EventKind::FileChange { .. }
        | EventKind::FileOpen { .. }
        | EventKind::PersistenceChange { .. }
        | EventKind::UserChange { .. }
        | EventKind::PrivilegeUse { .. }
        | EventKind::ContainerStart { .. }
        | EventKind::ContainerStop { .. }
        | EventKind::LoginAccepted { .. }
        | EventKind::LoginFailed { .. }
        | EventKind::WebAttack { .. }
        | EventKind::Budget { .. }
        | EventKind::Loss { .. }
        | EventKind::Alarm { .. } => OTHER,
    }
}

/// Every source, at the number by which it is stored: a new one goes at the end.
const SOURCES: [Source; 10] = [
    Source::Ebpf,
    Source::ProcessConnector,
    Source::SockDiag,
    Source::Procfs,
    Source::Fanotify,
    Source::Inotify,
    Source::Accounts,
    Source::Containers,
    Source::Agent,
    Source::Logs,
];

fn code(source: Source) -> u8 {
    match source {
        Source::Ebpf => 0,
        Source::ProcessConnector => 1,
        Source::SockDiag => 2,
        Source::Procfs => 3,
        Source::Fanotify => 4,
        Source::Inotify => 5,
        Source::Accounts => 6,
        Source::Containers => 7,
        Source::Agent => 8,
        Source::Logs => 9,
    }
}
