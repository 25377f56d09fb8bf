//! The child: gives up what it has, then reads what it is handed and answers, until the far end is gone.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::frame::{Ask, At, EVIDENCE, Hello, Kind, NOTE, NOTES, RECORD, RECORDS, Reading, Record, SAMPLE, SAMPLES, SOURCES, Told, pack};
use super::lines::{CHUNK, Lines, Next, cursor};
use bartizan_model::HostText;
use bartizan_sys::{packets, unprivileged};

/// The longest that one reading takes, give or take a line.
const LONG: Duration = Duration::from_secs(1);

/// What a parser makes of a line.
#[derive(Debug)]
pub enum Heard<R> {
    /// It says something that matters.
    Record(R),
    /// The same, by two readers.
    Both(R, R),
    /// It is known, and says nothing that matters.
    Known,
    /// It is not known.
    Unknown,
}

/// What makes records of lines.
pub trait Parser {
    /// What it must know of a source: the format of its lines ...
    type Source: Serialize + DeserializeOwned + Clone;
    /// What it remembers of the lines of one source; bounded.
    type State;
    /// What a line says.
    type Record: Record;

    /// Called once while everything is still allowed: what a library asks the kernel for at its first use (how many processors there are)
    /// is asked here.
    fn warm_up(&mut self) {}

    /// A source is handed over.
    fn open(&mut self, source: &Self::Source) -> Self::State;

    /// Lines follow; local time is this many seconds ahead of UTC.
    fn clock(&mut self, state: &mut Self::State, zone: i32);

    /// One line without its end, at most [`LONGEST`](super::LONGEST) bytes; never the beginning of a longer one, for where that was cut a
    /// client's words could stand where the daemon's own are looked for.
    fn parse(&mut self, state: &mut Self::State, line: &[u8]) -> Heard<Self::Record>;

    /// What people should know of this source that was not told yet, each in a sentence.
    fn notes(&mut self, _state: &mut Self::State) -> Vec<String> {
        Vec::new()
    }
}

/// One source as the child has it.
struct Open<S> {
    file: File,
    kind: Kind,
    state: S,
    /// Of a stream: what was read and is not done with.
    waiting: Vec<u8>,
}

/// Serves whoever started this process, until they are gone.
///
/// # Errors
/// When nobody of ours started it, a right could not be given up, or the far end speaks otherwise than a parent of this version.
pub fn serve<P: Parser>(mut parser: P) -> io::Result<()> {
    let socket = unprivileged::own_end()?;
    // What a panic would look up and print is nobody's to read; it ends the process all the same.
    std::panic::set_hook(Box::new(|_| {}));
    // All memory that is needed for long is taken before the rights are gone.
    let (mut packet, mut room) = (vec![0; packets::LONGEST], vec![0; CHUNK]);
    let mut open: HashMap<u32, Open<P::State>> = HashMap::new();
    parser.warm_up();
    let given_up = unprivileged::give_up(c"bartizan-worker");
    // What is said before anything was read can be believed.
    let mut hello = Vec::new();
    pack(&Hello(given_up.as_ref().err().map(ToString::to_string)), &mut hello).map_err(io::Error::other)?;
    packets::send(socket.as_fd(), &hello, None, true)?;
    given_up?;
    loop {
        let (length, along) = packets::receive_along(socket.as_fd(), &mut packet)?;
        if length == 0 {
            return Ok(());
        }
        let ask: Ask<P::Source> = postcard::from_bytes(packet.get(..length).unwrap_or_default()).map_err(io::Error::other)?;
        match (ask, along) {
            (Ask::Take { id, kind, source }, Some(descriptor)) if open.len() < SOURCES => {
                let state = parser.open(&source);
                open.insert(id, Open { file: File::from(descriptor), kind, state, waiting: Vec::new() });
            }
            (Ask::Drop { id }, _) => drop(open.remove(&id)),
            (Ask::Read { id, reading, zone }, _) => match open.get_mut(&id) {
                Some(open) => {
                    parser.clock(&mut open.state, zone);
                    answer(&socket, id, &reading, open, &mut room, &mut parser)?;
                }
                None => return Err(io::Error::other("asked about a source that was never handed over")),
            },
            (Ask::Take { .. }, _) => return Err(io::Error::other("a source without a descriptor, or one too many")),
        }
    }
}

/// Reads what is there: of a file, from where it is asked (how much is in `room`); of a stream, what has come, behind what still waits.
fn load<S>(open: &mut Open<S>, reading: &Reading, room: &mut [u8]) -> io::Result<usize> {
    match open.kind {
        Kind::File => open.file.read_at(room, reading.from.offset),
        Kind::Stream => {
            // Only the side that watches the pipe knows when there is more: a whole line that waits comes first.
            if memchr::memchr(b'\n', &open.waiting).is_none() && open.waiting.len() < CHUNK {
                let most = CHUNK - open.waiting.len();
                let length = open.file.read(room.get_mut(..most).unwrap_or_default())?;
                open.waiting.extend_from_slice(room.get(..length).unwrap_or_default());
            }
            Ok(0)
        }
    }
}

fn answer<P: Parser>(
    socket: &OwnedFd,
    id: u32,
    reading: &Reading,
    open: &mut Open<P::State>,
    room: &mut [u8],
    parser: &mut P,
) -> io::Result<()> {
    let mut told = Told::nothing(id, reading.from);
    let mut records = Vec::new();
    match load(open, reading, room) {
        Err(error) => told.failed = Some(error.raw_os_error().unwrap_or_default()),
        Ok(length) => {
            let mut waiting = std::mem::take(&mut open.waiting);
            let bytes = match open.kind {
                Kind::File => room.get(..length).unwrap_or_default(),
                Kind::Stream => &waiting,
            };
            let mut lines = Lines::new(bytes, reading.from, reading.last && length < CHUNK);
            let whole = walk(&mut lines, reading, open, parser, &mut told, &mut records)?;
            told.to = lines.position();
            told.notes = parser.notes(&mut open.state).into_iter().take(NOTES).map(note).collect();
            told.more = !whole || length == CHUNK;
            if open.kind == Kind::Stream {
                waiting.drain(..lines.consumed());
                told.more = memchr::memchr(b'\n', &waiting).is_some();
                open.waiting = waiting;
            }
        }
    }
    let mut packet = Vec::with_capacity(records.len() + 4096);
    pack(&told, &mut packet).map_err(io::Error::other)?;
    packet.extend_from_slice(&records);
    packets::send(socket.as_fd(), &packet, None, true)
}

/// Works lines off until there is no whole one (true), or the answer is full (false).
fn walk<P: Parser>(
    lines: &mut Lines<'_>,
    reading: &Reading,
    open: &mut Open<P::State>,
    parser: &mut P,
    told: &mut Told,
    records: &mut Vec<u8>,
) -> io::Result<bool> {
    // One reading is over long before whoever asked takes it for hung, however slow the expressions of a jail are; one line is always read.
    let begun = Instant::now();
    while told.lines < reading.lines && records.len() < RECORDS && (told.lines == 0 || begun.elapsed() < LONG) {
        let Next::Line { line, at, cut } = lines.next() else { return Ok(true) };
        let skip = reading.skip && told.lines == 0;
        told.lines += 1;
        told.cut += u32::from(cut);
        if open.kind == Kind::Stream
            && let Some(cursor) = cursor(line)
        {
            told.cursor = Some(cursor.to_owned());
        }
        if skip || line.is_empty() {
            continue;
        }
        let place = LinePlace { offset: reading.from.offset + at as u64, line };
        let heard = if cut { Heard::Unknown } else { parser.parse(&mut open.state, line) };
        let known = match heard {
            Heard::Unknown => false,
            Heard::Known => true,
            Heard::Record(record) => keep(&place.record(record), told, records)?,
            Heard::Both(one, other) => keep(&place.record(one), told, records)? & keep(&place.record(other), told, records)?,
        };
        if known {
            told.parsed += 1;
        } else {
            told.unparsed += 1;
            if told.samples.len() < SAMPLES {
                told.samples.push(line.get(..SAMPLE.min(line.len())).unwrap_or_default().to_vec());
            }
        }
    }
    Ok(false)
}

/// A line and where it stands.
struct LinePlace<'a> {
    offset: u64,
    line: &'a [u8],
}

impl LinePlace<'_> {
    fn record<R>(&self, record: R) -> At<R> {
        At { offset: self.offset, line: HostText::from(evidence(self.line)), record }
    }
}

fn note(text: String) -> String {
    text.chars().take(NOTE / 4).collect()
}

/// What of a line is kept as evidence: how it begins, or how its message does where it is an entry of the journal.
fn evidence(line: &[u8]) -> &[u8] {
    const MESSAGE: &[u8] = br#""MESSAGE":"#;
    let message = line.first().filter(|first| **first == b'{').and_then(|_| memchr::memmem::find(line, MESSAGE));
    let rest = message.and_then(|at| line.get(at..)).unwrap_or(line);
    rest.get(..EVIDENCE.min(rest.len())).unwrap_or_default()
}

/// Puts a record into the answer; false when it is too large to be one.
fn keep<R: Record>(at: &At<R>, told: &mut Told, records: &mut Vec<u8>) -> io::Result<bool> {
    let before = records.len();
    pack(at, records).map_err(io::Error::other)?;
    let fits = records.len() - before <= RECORD;
    if fits {
        told.records += 1;
    } else {
        records.truncate(before);
    }
    Ok(fits)
}
