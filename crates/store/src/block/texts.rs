//! The texts of a filter, looked for in the tokens that an event's JSON would have: a bit for each that is found.
//!
//! A token is written only when one of the texts can stand in one like it, and then into a few bytes on the stack.

use std::cell::Cell;

use memchr::memmem::Finder;

use bartizan_model::{HostText, ProcessKey, Sha256, Timestamp};
use bartizan_protocol::{Condition, Filter, MAX_CONDITIONS};

/// What is looked for.
#[derive(Debug)]
pub(super) struct Texts {
    parts: Vec<(u64, Finder<'static>)>,
    /// Each text that is known only by its parts: its own bit, and theirs.
    by_parts: Vec<(u64, u64)>,
    /// Bits of the texts that can stand in ...
    digits: u64,
    signed: u64,
    keys: u64,
    hex: u64,
    moments: u64,
    /// The last second written, and its text.
    second: Cell<(i64, [u8; 19])>,
}

impl Texts {
    /// The texts of a filter. A text within one token has the bit of its condition; parts of the others have bits above those.
    pub(super) fn new(filter: &Filter) -> Self {
        let (mut parts, mut by_parts, mut next) = (Vec::new(), Vec::new(), MAX_CONDITIONS);
        for (place, condition) in filter.conditions().iter().enumerate() {
            let Condition::Text(needle) = condition else { continue };
            if let Some(whole) = needle.whole() {
                parts.push((1 << place, Finder::new(whole).into_owned()));
                continue;
            }
            let mut needed = 0;
            for part in needle.parts() {
                if next < u64::BITS as usize {
                    parts.push((1 << next, Finder::new(part).into_owned()));
                    needed |= 1 << next;
                    next += 1;
                }
            }
            by_parts.push((1 << place, needed));
        }
        let of = |fits: fn(&[u8]) -> bool| parts.iter().filter(|(_, finder)| fits(finder.needle())).fold(0, |bits, (bit, _)| bits | bit);
        Self {
            digits: of(|text| text.len() <= 20 && text.iter().all(u8::is_ascii_digit)),
            signed: of(|text| text.len() <= 20 && text.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-')),
            keys: of(|text| text.len() <= 40 && text.iter().all(|byte| is_hex(*byte) || *byte == b'-')),
            hex: of(|text| text.len() <= 64 && text.iter().all(|byte| is_hex(*byte))),
            moments: of(can_be_a_moment),
            parts,
            by_parts,
            second: Cell::new((i64::MIN, [0; 19])),
        }
    }

    /// Of the bits found, the conditions that are met, and those that only the JSON itself can tell.
    pub(super) fn settle(&self, found: u64) -> (u64, u64) {
        let open = self.by_parts.iter().filter(|(_, needed)| found & needed == *needed).fold(0, |open, (bit, _)| open | bit);
        (found, open)
    }

    fn find(&self, token: &[u8]) -> u64 {
        self.parts.iter().filter(|(_, finder)| finder.find(token).is_some()).fold(0, |found, (bit, _)| found | bit)
    }

    /// Which of `wanted` stand in this token.
    fn find_some(&self, wanted: u64, token: &[u8]) -> u64 {
        let parts = self.parts.iter().filter(|(bit, _)| bit & wanted != 0);
        parts.filter(|(_, finder)| finder.find(token).is_some()).fold(0, |found, (bit, _)| found | bit)
    }

    /// In a name or word of JSON's form, or JSON of an earlier time.
    pub(super) fn in_json(&self, json: &[u8]) -> u64 {
        self.find(json)
    }

    /// In a string that JSON writes of these bytes.
    pub(super) fn in_text(&self, text: &[u8]) -> u64 {
        if self.parts.is_empty() {
            return 0;
        }
        // Escapes only add to what is found: all else stands in JSON as it is.
        let escapes = text.iter().any(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\'));
        let escaped = || serde_json::to_vec(&HostText::from(text)).map_or(0, |json| self.find(&json));
        self.find(text) | if escapes { escaped() } else { 0 }
    }

    pub(super) fn in_number(&self, number: u64) -> u64 {
        if self.digits == 0 {
            return 0;
        }
        let mut out = Token::default();
        out.decimal(number);
        self.find_some(self.digits, out.bytes())
    }

    pub(super) fn in_signed(&self, number: i64) -> u64 {
        if self.signed == 0 {
            return 0;
        }
        let mut out = Token::default();
        if number < 0 {
            out.push(b"-");
        }
        out.decimal(number.unsigned_abs());
        self.find_some(self.signed, out.bytes())
    }

    /// In the number of an event: `E4711`.
    pub(super) fn in_id(&self, number: u64) -> u64 {
        if self.parts.is_empty() {
            return 0;
        }
        let mut out = Token::default();
        out.push(b"E");
        out.decimal(number);
        self.find(out.bytes())
    }

    pub(super) fn in_key(&self, key: ProcessKey) -> u64 {
        if self.keys == 0 {
            return 0;
        }
        let mut out = Token::default();
        out.hex(&key.boot.0.to_be_bytes());
        out.push(b"-");
        out.decimal(key.pid.into());
        out.push(b"-");
        out.decimal(key.start);
        self.find_some(self.keys, out.bytes())
    }

    pub(super) fn in_digest(&self, digest: Sha256) -> u64 {
        if self.hex == 0 {
            return 0;
        }
        let mut out = Token::default();
        out.hex(&digest.0);
        self.find_some(self.hex, out.bytes())
    }

    pub(super) fn in_moment(&self, at: Timestamp) -> u64 {
        if self.moments == 0 {
            return 0;
        }
        let mut out = Token::default();
        match self.moment(at, &mut out) {
            Some(()) => self.find_some(self.moments, out.bytes()),
            // Years of more than four digits and leap seconds have their own signs.
            None => serde_json::to_vec(&at).map_or(0, |json| self.find(&json)),
        }
    }

    /// `2026-01-31T03:00:00.000000005Z`, with as few digits of the fraction as chrono writes: none, 3, 6 or 9.
    fn moment(&self, at: Timestamp, out: &mut Token) -> Option<()> {
        const YEARS_0_TO_9999: std::ops::Range<i64> = -62_167_219_200..253_402_300_800;
        let (seconds, nanos) = (at.timestamp(), at.timestamp_subsec_nanos());
        if !YEARS_0_TO_9999.contains(&seconds) || nanos >= 1_000_000_000 {
            return None;
        }
        let (known, mut text) = self.second.get();
        if known != seconds {
            let written = at.format("%Y-%m-%dT%H:%M:%S").to_string();
            text = written.as_bytes().try_into().ok()?;
            self.second.set((seconds, text));
        }
        out.push(&text);
        let (digits, fraction) = match nanos {
            0 => (0, 0),
            _ if nanos.is_multiple_of(1_000_000) => (3, nanos / 1_000_000),
            _ if nanos.is_multiple_of(1_000) => (6, nanos / 1_000),
            _ => (9, nanos),
        };
        if digits > 0 {
            out.push(b".");
            out.padded(fraction.into(), digits);
        }
        out.push(b"Z");
        Some(())
    }
}

fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// Of the signs of a moment, and no run of digits longer than a fraction. Years of more than four digits begin with `+` or `-`.
fn can_be_a_moment(text: &[u8]) -> bool {
    let digits = text.split(|byte| !byte.is_ascii_digit()).map(<[u8]>::len).max().unwrap_or_default();
    text.len() <= 40 && digits <= 9 && text.iter().all(|byte| byte.is_ascii_digit() || b"-+:.TZ".contains(byte))
}

/// A token being written.
struct Token {
    bytes: [u8; 72],
    used: usize,
}

impl Default for Token {
    fn default() -> Self {
        Self { bytes: [0; 72], used: 0 }
    }
}

impl Token {
    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.used).unwrap_or_default()
    }

    fn push(&mut self, more: &[u8]) {
        if let Some(room) = self.bytes.get_mut(self.used..self.used + more.len()) {
            room.copy_from_slice(more);
            self.used += more.len();
        }
    }

    fn decimal(&mut self, number: u64) {
        self.padded(number, 1);
    }

    /// At least so many digits.
    fn padded(&mut self, mut number: u64, least: usize) {
        let (mut digits, mut at) = ([b'0'; 20], 20);
        while number > 0 || 20 - at < least {
            at -= 1;
            if let Some(digit) = digits.get_mut(at) {
                *digit = b'0' + (number % 10) as u8;
            }
            number /= 10;
        }
        self.push(digits.get(at..).unwrap_or_default());
    }

    fn hex(&mut self, bytes: &[u8]) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for byte in bytes {
            let digit = |value: u8| DIGITS.get(usize::from(value)).copied().unwrap_or_default();
            self.push(&[digit(byte >> 4), digit(byte & 15)]);
        }
    }
}
