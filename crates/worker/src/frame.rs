//! What goes over the socket: one question, one answer, each a packet of at most 96 KiB.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use bartizan_model::{HostText, LogLine};
use bartizan_sys::packets;

/// The records of one answer take no more bytes: the packet has room for them, for samples, and for the largest single record.
pub(super) const RECORDS: usize = packets::LONGEST / 2;
/// A record is no larger, in bytes as packed; a larger one is counted as not understood.
pub(super) const RECORD: usize = packets::LONGEST / 4;
/// Lines that were not understood, kept of one answer, and how many bytes of each.
pub const SAMPLES: usize = 3;
/// Bytes kept of each.
pub const SAMPLE: usize = 512;
/// Notes of one answer, and bytes of each.
pub(super) const NOTES: usize = 2;
pub(super) const NOTE: usize = 1024;
/// Sources that the child may hold at once; both sides count them.
pub(super) const SOURCES: usize = 200;
/// Longest cursor that a journal may have, in bytes (systemd's own take some 140).
pub(super) const CURSOR: usize = 512;

/// What a parser makes of a line. Whoever sends it is not trusted: [`Record::holds`] is asked of everyone that arrives.
pub trait Record: Serialize + DeserializeOwned {
    /// Whether every field is within its bounds.
    fn holds(&self) -> bool;
}

/// What a descriptor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A file: read from where one wants.
    File,
    /// A pipe: read as it comes, each line with the cursor of a journal in it.
    Stream,
}

/// How far a source has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Position {
    /// Bytes from the beginning: of a file, or of what came through a pipe.
    pub offset: u64,
    /// What follows is the rest of a line of which only the beginning was taken.
    pub within_cut: bool,
}

/// From where and how much is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// From here.
    pub from: Position,
    /// No more lines.
    pub lines: u32,
    /// Pass over the first line without looking at it.
    pub skip: bool,
    /// Nothing comes after what is there: a last line without an end is a line.
    pub last: bool,
}

/// A question.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Ask<S> {
    /// The descriptor that comes along is this source. Answered by nothing.
    Take { id: u32, kind: Kind, source: S },
    /// The source is done with. Answered by nothing.
    Drop { id: u32 },
    /// Read on; local time is so many seconds ahead of UTC.
    Read { id: u32, reading: Reading, zone: i32 },
}

/// The first word of a child: why it could not give up its rights, or nothing.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello(pub(super) Option<String>);

/// An answer without its records: as many as it says follow it in the packet.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) id: u32,
    pub(super) to: Position,
    pub(super) more: bool,
    pub(super) cursor: Option<String>,
    pub(super) lines: u32,
    pub(super) parsed: u32,
    pub(super) unparsed: u32,
    pub(super) cut: u32,
    pub(super) samples: Vec<Vec<u8>>,
    pub(super) failed: Option<i32>,
    pub(super) records: u32,
    pub(super) notes: Vec<String>,
}

impl Told {
    /// Nothing was read.
    pub(super) fn nothing(id: u32, to: Position) -> Self {
        let samples = Vec::new();
        Self {
            id,
            to,
            more: false,
            cursor: None,
            lines: 0,
            parsed: 0,
            unparsed: 0,
            cut: 0,
            samples,
            failed: None,
            records: 0,
            notes: Vec::new(),
        }
    }
}

/// Bytes kept of the line that a record comes of.
pub const EVIDENCE: usize = LogLine::LONGEST;

/// A record, and its line as evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct At<R> {
    /// Bytes from the beginning of the source.
    pub offset: u64,
    /// How the line begins, at most [`EVIDENCE`] bytes; of an entry of the journal its message.
    pub line: HostText,
    /// What the line says.
    pub record: R,
}

/// What came of one reading, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch<R> {
    /// How far it has been read: what is behind it is done with.
    pub to: Position,
    /// More is there already: ask again before you wait.
    pub more: bool,
    /// Of a stream: the cursor of the last line that is done with.
    pub cursor: Option<String>,
    /// Lines done with.
    pub lines: u32,
    /// Of them, those that the parser knew (they need not give a record).
    pub parsed: u32,
    /// Those that it did not.
    pub unparsed: u32,
    /// Those longer than [`LONGEST`](super::LONGEST).
    pub cut: u32,
    /// Beginnings of lines that the parser did not know.
    pub samples: Vec<Vec<u8>>,
    /// The kernel refused to read: the number of the error.
    pub failed: Option<i32>,
    /// What people should know of the source.
    pub notes: Vec<String>,
    /// What the lines say.
    pub records: Vec<At<R>>,
}

/// Puts a value at the end of a packet.
pub(super) fn pack<T: Serialize>(value: &T, packet: &mut Vec<u8>) -> Result<(), postcard::Error> {
    let taken = std::mem::take(packet);
    *packet = postcard::to_extend(value, taken)?;
    Ok(())
}

/// An answer to `reading` of source `id`, or what is wrong with it: it comes from somebody who may have been taken over.
pub(super) fn check<R: Record>(packet: &[u8], id: u32, reading: &Reading) -> Result<Batch<R>, &'static str> {
    let (told, mut rest): (Told, _) = postcard::take_from_bytes(packet).map_err(|_| "no answer at all")?;
    let begun = reading.from.offset;
    let furthest = begun.saturating_add(super::lines::CHUNK as u64);
    let fits = |wrong: &'static str, holds: bool| if holds { Ok(()) } else { Err(wrong) };
    fits("about another source", told.id == id)?;
    fits("read where nobody asked it to", (begun..=furthest).contains(&told.to.offset))?;
    fits("more lines than it was to read", told.lines <= reading.lines)?;
    // Else it would be asked again and again.
    fits("more to come, and nothing done", !told.more || told.to != reading.from || told.lines > 0)?;
    fits(
        "counts that do not add up",
        u64::from(told.parsed) + u64::from(told.unparsed) <= u64::from(told.lines) && told.cut <= told.lines,
    )?;
    // A line may say something to each of two readers; where one of both records was too large, it is not understood.
    fits("more records than lines", u64::from(told.records) <= 2 * u64::from(told.lines))?;
    fits("too many notes", told.notes.len() <= NOTES && told.notes.iter().all(|note| note.len() <= NOTE))?;
    fits("too many samples", told.samples.len() <= SAMPLES && told.samples.iter().all(|sample| sample.len() <= SAMPLE))?;
    fits("a cursor that is none", told.cursor.as_deref().is_none_or(super::lines::is_cursor))?;
    let mut records = Vec::with_capacity(told.records as usize);
    for _ in 0..told.records {
        let (at, left): (At<R>, _) = postcard::take_from_bytes(rest).map_err(|_| "a record that cannot be read")?;
        fits("a record too large", rest.len() - left.len() <= RECORD)?;
        fits("a record of another place", (begun..told.to.offset.max(begun + 1)).contains(&at.offset))?;
        fits("a record out of bounds", at.record.holds() && at.line.as_bytes().len() <= EVIDENCE)?;
        records.push(at);
        rest = left;
    }
    fits("more than it says", rest.is_empty())?;
    let Told { to, more, cursor, lines, parsed, unparsed, cut, samples, failed, notes, .. } = told;
    Ok(Batch { to, more, cursor, lines, parsed, unparsed, cut, samples, failed, notes, records })
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Record for u8 {
        fn holds(&self) -> bool {
            *self < 200
        }
    }

    fn told() -> Told {
        let to = Position { offset: 90, within_cut: false };
        Told { to, lines: 3, parsed: 2, unparsed: 1, records: 1, ..Told::nothing(4, to) }
    }

    fn judged(told: &Told, record: At<u8>, behind: &[u8]) -> Result<Batch<u8>, &'static str> {
        let mut packet = Vec::new();
        pack(told, &mut packet).unwrap();
        pack(&record, &mut packet).unwrap();
        packet.extend_from_slice(behind);
        check(&packet, 4, &Reading { from: Position { offset: 50, within_cut: false }, lines: 10, skip: false, last: false })
    }

    #[test]
    fn an_answer_out_of_bounds_is_not_believed() {
        let good = At { offset: 60, line: "x".into(), record: 7 };
        assert_eq!(judged(&told(), good.clone(), b"").unwrap().records, std::slice::from_ref(&good));
        let far = Position { offset: 50 + super::super::lines::CHUNK as u64 + 1, within_cut: false };
        let wrong = [
            Told { id: 5, ..told() },
            Told { to: Position { offset: 49, within_cut: false }, ..told() },
            Told { to: far, ..told() },
            Told { lines: 11, ..told() },
            Told { more: true, records: 0, ..Told::nothing(4, Position { offset: 50, within_cut: false }) },
            Told { parsed: 3, ..told() },
            Told { cut: 4, ..told() },
            Told { records: 7, ..told() },
            Told { records: u32::MAX, ..told() },
            Told { samples: vec![vec![]; 4], ..told() },
            Told { notes: vec![String::new(); NOTES + 1], ..told() },
            Told { notes: vec!["x".repeat(NOTE + 1)], ..told() },
            Told { samples: vec![vec![0; SAMPLE + 1]], ..told() },
            Told { cursor: Some("x".repeat(CURSOR + 1)), ..told() },
            Told { cursor: Some("-flag".to_owned()), ..told() },
            Told { cursor: Some("s=x".to_owned()), ..told() },
        ];
        for told in wrong {
            assert!(judged(&told, good.clone(), b"").is_err(), "{told:?}");
        }
        assert_eq!(judged(&told(), At { offset: 60, line: "x".into(), record: 200 }, b""), Err("a record out of bounds"));
        assert_eq!(judged(&told(), At { offset: 90, line: "x".into(), record: 1 }, b""), Err("a record of another place"));
        assert_eq!(judged(&told(), good, b"x"), Err("more than it says"));
        assert_eq!(
            check::<u8>(b"", 4, &Reading { from: Position::default(), lines: 1, skip: false, last: false }),
            Err("no answer at all")
        );
    }
}
