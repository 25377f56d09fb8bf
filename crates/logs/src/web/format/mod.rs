//! A log format, given as the server's own text, compiled once into what finds its fields in a line.
//!
//! What a client wrote never decides where a field lies. Servers escape the double quote, so quotes of the format are fixed points; between two
//! of them, fields that only the server writes are read from both ends, and one that the client writes gets what remains. Where a format
//! sets two of the client's fields side by side without a quote, nobody can tell where the first one ends: an address there is not believed.

mod apache;
mod matcher;
mod nginx;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::time::TimeShape;

/// What stands at one place of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Field {
    /// The client, as the server knows it: `$remote_addr`, `%h`, `%a`.
    Peer,
    /// The other end of the connection, where the format writes it apart: `$realip_remote_addr`, `%{c}a`.
    Connected,
    Forwarded,
    User,
    Time(TimeShape),
    Request,
    Method,
    Target,
    Query,
    Protocol,
    Status,
    Size,
    Referer,
    Agent,
    Host,
    /// The name of the site, as the server's own configuration has it: `$server_name`, `%v`.
    Site,
    /// A number that nobody here needs.
    Number,
    /// Anything else.
    Other,
}

/// Digits, these bytes, and letters where asked: a bit for each byte of ASCII.
const fn bytes(letters: bool, mut more: &[u8]) -> u128 {
    let (mut set, mut byte) = (0, 0_u8);
    while byte < 128 {
        if byte.is_ascii_digit() || letters && byte.is_ascii_alphabetic() {
            set |= 1 << byte;
        }
        byte += 1;
    }
    while let [first, rest @ ..] = more {
        set |= 1 << *first;
        more = rest;
    }
    set
}

const PEER: u128 = bytes(true, b":.-_%");
const SITE: u128 = bytes(true, b".-_*~");
const COMMON: u128 = bytes(true, b"/:+- ");
const ISO: u128 = bytes(true, b":.+-");
const NUMBER: u128 = bytes(false, b".-");

fn is_in(set: u128, byte: u8) -> bool {
    byte < 128 && set >> byte & 1 == 1
}

impl Field {
    /// The bytes that can be part of what the server writes here, where they are few.
    fn set(&self) -> Option<u128> {
        match self {
            Self::Peer | Self::Connected => Some(PEER),
            Self::Site => Some(SITE),
            Self::Time(TimeShape::Common) => Some(COMMON),
            Self::Time(TimeShape::Iso) => Some(ISO),
            Self::Time(TimeShape::Seconds | TimeShape::Milliseconds | TimeShape::Microseconds)
            | Self::Status
            | Self::Size
            | Self::Number => Some(NUMBER),
            Self::Time(TimeShape::Pattern(_))
            | Self::Method
            | Self::Protocol
            | Self::Forwarded
            | Self::User
            | Self::Request
            | Self::Target
            | Self::Query
            | Self::Referer
            | Self::Agent
            | Self::Host
            | Self::Other => None,
        }
    }

    /// Whether this byte can be part of what the server writes here. For what a client may choose freely: every byte.
    fn may_hold(&self, byte: u8) -> bool {
        match (self.set(), self) {
            (Some(set), _) => is_in(set, byte),
            (None, Self::Time(_)) => byte != b'"' && byte != b']',
            (None, Self::Method | Self::Protocol) => byte != b' ',
            (None, _) => true,
        }
    }

    /// How many bytes from the left of a text can be part of it.
    fn reach(&self, text: &[u8]) -> usize {
        let end = match self.set() {
            Some(set) => text.iter().position(|byte| !is_in(set, *byte)),
            None => text.iter().position(|byte| !self.may_hold(*byte)),
        };
        end.unwrap_or(text.len())
    }

    /// Where those begin that can be part of it, to the right end of a text.
    fn reach_back(&self, text: &[u8]) -> usize {
        let start = match self.set() {
            Some(set) => text.iter().rposition(|byte| !is_in(set, *byte)),
            None => text.iter().rposition(|byte| !self.may_hold(*byte)),
        };
        start.map_or(0, |at| at + 1)
    }
}

/// How the server escapes what clients send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Escaping {
    /// `\xHH` or a backslash form: nginx unless told otherwise, and always Apache.
    #[default]
    Default,
    /// As in JSON: nginx's `escape=json`.
    Json,
    /// Not at all: nginx's `escape=none`. A client can write a quote, and what stands behind its words is not believed.
    None,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Piece {
    Text(Box<[u8]>),
    Field(Field),
}

/// What lies between two quotes: read from the left, then from the right; the middle is what remains.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Segment {
    left: Vec<Piece>,
    middle: Vec<Piece>,
    /// The last piece of the segment first.
    right: Vec<Piece>,
}

/// A compiled log format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Format {
    segments: Vec<Segment>,
    /// Whether more may follow after the last piece.
    open: bool,
}

/// Bytes of a format that are read; what follows is left out, and lines match without it.
const MAX_FORMAT: usize = 8 * 1024;

/// What both servers write when nothing else is said, and most packages by default.
const COMBINED: &str =
    r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent""#;

impl Format {
    /// nginx's `log_format`, as the server joins its strings: `$remote_addr - $remote_user ...`.
    pub fn nginx(text: &str, escaping: Escaping) -> Self {
        Self::build(nginx::pieces(clipped(text)), escaping, text.len() > MAX_FORMAT)
    }

    /// Apache's `LogFormat`, after its quotes and backslashes were read: `%h %l %u %t "%r" %>s %b`.
    pub fn apache(text: &str) -> Self {
        Self::build(apache::pieces(clipped(text)), Escaping::Default, text.len() > MAX_FORMAT)
    }

    /// nginx's `combined`, which is Apache's, too.
    pub fn combined() -> Self {
        Self::nginx(COMBINED, Escaping::Default)
    }

    /// The formats that a line without a known one is tried against, the longest first; more may follow at the end of a line.
    pub fn usual() -> Vec<Self> {
        let with_host = r#"%v:%p %h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i""#;
        let common = r#"%h %l %u %t "%r" %>s %b"#;
        let formats = [Self::combined(), Self::apache(with_host), Self::apache(common)];
        formats.into_iter().map(|format| Self { open: true, ..format }).collect()
    }

    /// Whether a line of this format names the other side beyond doubt: without it no line can be held against anybody.
    pub fn names_the_peer(&self) -> bool {
        let certain = self.segments.iter().flat_map(|segment| {
            let alone = segment.middle.get(..1).filter(|_| segment.middle.len() == 1).unwrap_or_default();
            segment.left.iter().chain(&segment.right).chain(alone)
        });
        certain.into_iter().any(|piece| matches!(piece, Piece::Field(Field::Peer | Field::Connected)))
    }

    fn build(pieces: Vec<Piece>, escaping: Escaping, open: bool) -> Self {
        let mut segments = vec![Vec::new()];
        for piece in joined(pieces) {
            match piece {
                Piece::Text(text) if escaping != Escaping::None => {
                    for (at, part) in text.split(|byte| *byte == b'"').enumerate() {
                        if at > 0 {
                            segments.push(Vec::new());
                        }
                        if let Some(last) = segments.last_mut().filter(|_| !part.is_empty()) {
                            last.push(Piece::Text(part.into()));
                        }
                    }
                }
                piece => segments.last_mut().into_iter().for_each(|last| last.push(piece.clone())),
            }
        }
        Self { segments: segments.into_iter().map(Segment::new).collect(), open }
    }
}

fn clipped(text: &str) -> &str {
    let mut end = text.len().min(MAX_FORMAT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// Neighbouring texts become one, and a path with its query behind it one target.
fn joined(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        match (out.last_mut(), piece) {
            (Some(Piece::Text(text)), Piece::Text(more)) => *text = [&**text, &*more].concat().into(),
            (Some(Piece::Field(Field::Target)), Piece::Field(Field::Query)) => {}
            (_, piece) => out.push(piece),
        }
    }
    out
}

impl Segment {
    fn new(pieces: Vec<Piece>) -> Self {
        let mut pieces = std::collections::VecDeque::from(pieces);
        // A field ends where its neighbour's text begins with a byte that it cannot hold, or where the segment ends.
        let ends = |field: &Field, next: Option<&Piece>, from_right: bool| match next {
            None => true,
            Some(Piece::Text(text)) => {
                let edge = if from_right { text.last() } else { text.first() };
                edge.is_some_and(|byte| !field.may_hold(*byte))
            }
            Some(Piece::Field(_)) => false,
        };
        let mut new = Self::default();
        while let Some(piece) = pieces.front() {
            match piece {
                Piece::Field(field) if !ends(field, pieces.get(1), false) || pieces.len() == 1 => break,
                Piece::Field(_) | Piece::Text(_) => new.left.extend(pieces.pop_front()),
            }
        }
        while let Some(piece) = pieces.back() {
            let next = pieces.len().checked_sub(2).and_then(|at| pieces.get(at));
            match piece {
                Piece::Field(field) if pieces.len() == 1 || !ends(field, next, true) => break,
                Piece::Field(_) | Piece::Text(_) => new.right.extend(pieces.pop_back()),
            }
        }
        new.middle = pieces.into();
        new
    }
}
