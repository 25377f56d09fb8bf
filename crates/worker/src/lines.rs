//! Bytes into lines: at most 64 KiB each, a longer one is cut, one without an end waits for it.

use super::frame::{CURSOR, Position};

/// The longest line that is looked at whole, in bytes; of a longer one its beginning.
pub const LONGEST: usize = 64 << 10;
/// Bytes that are read at once: more than the longest line.
pub const CHUNK: usize = 4 * LONGEST;

/// The next thing in a chunk.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    /// A line without its end, and where it begins in the chunk; `cut` when this is only its beginning.
    Line { line: &'a [u8], at: usize, cut: bool },
    /// Nothing that is whole: the rest waits.
    Waits,
}

/// Walks over a chunk that begins at `position`.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    chunk: &'a [u8],
    at: usize,
    begun: u64,
    within_cut: bool,
    last: bool,
}

impl<'a> Lines<'a> {
    /// `last`: nothing follows the chunk, so that a line without an end is one.
    pub(super) fn new(chunk: &'a [u8], position: Position, last: bool) -> Self {
        Self { chunk, at: 0, begun: position.offset, within_cut: position.within_cut, last }
    }

    /// How far everything is done with.
    pub(super) fn position(&self) -> Position {
        Position { offset: self.begun + self.at as u64, within_cut: self.within_cut }
    }

    /// How much of the chunk is done with.
    pub(super) fn consumed(&self) -> usize {
        self.at
    }

    pub(super) fn next(&mut self) -> Next<'a> {
        let mut rest = self.chunk.get(self.at..).unwrap_or_default();
        if self.within_cut {
            let Some(end) = memchr::memchr(b'\n', rest) else {
                self.at = self.chunk.len();
                return Next::Waits;
            };
            self.at += end + 1;
            self.within_cut = false;
            rest = rest.get(end + 1..).unwrap_or_default();
        }
        let zeros = zeros_before(rest);
        self.at += zeros;
        rest = rest.get(zeros..).unwrap_or_default();
        let at = self.at;
        let (length, taken) = match memchr::memchr(b'\n', rest) {
            Some(end) => (end, end + 1),
            None if rest.len() > LONGEST => {
                self.within_cut = !self.last;
                (rest.len(), rest.len())
            }
            None if self.last && !rest.is_empty() => (rest.len(), rest.len()),
            None => return Next::Waits,
        };
        self.at += taken;
        let line = rest.get(..length.min(LONGEST)).unwrap_or_default();
        Next::Line { line: line.strip_suffix(b"\r").unwrap_or(line), at, cut: length > LONGEST }
    }
}

/// A program that writes on where it was, in a file that was cut short, leaves zero bytes before its next line: they are no part of it. Those at
/// the end may be written yet, unless they are more than any line.
fn zeros_before(rest: &[u8]) -> usize {
    let zeros = rest.iter().take_while(|byte| **byte == 0).count();
    if zeros < rest.len() || zeros > LONGEST { zeros } else { 0 }
}

/// The cursor in a line of `journalctl --output=json`: systemd writes it as a string without escapes (sd_journal_get_cursor(3)).
pub(super) fn cursor(line: &[u8]) -> Option<&str> {
    const KEY: &[u8] = b"\"__CURSOR\"";
    let after = line.get(memchr::memmem::find(line, KEY)? + KEY.len()..)?;
    let after = after.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start().strip_prefix(b"\"")?;
    let text = std::str::from_utf8(after.get(..memchr::memchr(b'"', after)?)?).ok()?;
    is_cursor(text).then_some(text)
}

/// Whether this is a cursor of a journal: `s=...;i=...;b=...;m=...;t=...;x=...`, all of it hexadecimal (sd_journal_get_cursor(3) calls it
/// opaque; journald writes no other since its beginning, src/libsystemd/sd-journal/sd-journal.c).
pub(super) fn is_cursor(text: &str) -> bool {
    let mut parts = text.split(';');
    let shape = |(key, length): (&str, usize)| {
        let value = parts.next().and_then(|part| part.strip_prefix(key));
        value.is_some_and(|value| (1..=length).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    let whole = [("s=", 32), ("i=", 16), ("b=", 32), ("m=", 16), ("t=", 16), ("x=", 16)].into_iter().all(shape);
    whole && text.len() <= CURSOR && parts.next().is_none()
}

/// The time in a cursor, in microseconds since 1970: of the entry that it names.
pub fn cursor_time(cursor: &str) -> Option<u64> {
    cursor.split(';').find_map(|part| u64::from_str_radix(part.strip_prefix("t=")?, 16).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(chunk: &[u8], position: Position, last: bool) -> (Vec<(Vec<u8>, usize, bool)>, Position) {
        let mut lines = Lines::new(chunk, position, last);
        let mut found = Vec::new();
        while let Next::Line { line, at, cut } = lines.next() {
            found.push((line.to_vec(), at, cut));
        }
        (found, lines.position())
    }

    #[test]
    fn a_line_without_an_end_waits_until_it_has_one_or_nothing_follows() {
        let from = Position { offset: 100, within_cut: false };
        let (lines, to) = all(b"one\r\n\ntwo\nthr", from, false);
        assert_eq!(lines, [(b"one".to_vec(), 0, false), (vec![], 5, false), (b"two".to_vec(), 6, false)]);
        assert_eq!(to, Position { offset: 110, within_cut: false });
        assert_eq!(all(b"thr", to, true), (vec![(b"thr".to_vec(), 0, false)], Position { offset: 113, within_cut: false }));
        assert_eq!(all(b"", to, true).0, []);
    }

    #[test]
    fn a_line_of_a_gigabyte_is_cut_once_and_its_rest_passed_over() {
        let long = vec![b'x'; CHUNK];
        let (lines, to) = all(&long, Position::default(), false);
        assert_eq!((lines.len(), lines[0].0.len(), lines[0].2), (1, LONGEST, true));
        assert_eq!(to, Position { offset: CHUNK as u64, within_cut: true });
        let (lines, to) = all(&long, to, false);
        assert_eq!((lines.len(), to.within_cut), (0, true));
        let (lines, to) = all(b"xx\nshort\n", to, false);
        assert_eq!((lines[0].0.as_slice(), lines[0].1), (&b"short"[..], 3));
        assert_eq!(to, Position { offset: 2 * CHUNK as u64 + 9, within_cut: false });
        let mut whole = vec![b'y'; LONGEST + 1];
        whole.extend_from_slice(b"\nnext\n");
        let (lines, to) = all(&whole, Position::default(), false);
        assert_eq!(lines.iter().map(|(line, _, cut)| (line.len(), *cut)).collect::<Vec<_>>(), [(LONGEST, true), (4, false)]);
        assert!(!to.within_cut);
    }

    #[test]
    fn the_zeros_of_a_hole_are_no_part_of_a_line() {
        let (lines, to) = all(b"\0\0one\n\0\ntwo\0\n\0\0", Position::default(), false);
        let wanted = [(b"one".to_vec(), 2, false), (vec![], 7, false), (b"two\0".to_vec(), 8, false)];
        assert_eq!((lines.as_slice(), to.offset), (&wanted[..], 13), "what is written over the last ones is read yet");
        let (lines, to) = all(&vec![0; CHUNK], Position::default(), false);
        assert_eq!((lines.len(), to), (0, Position { offset: CHUNK as u64, within_cut: false }));
    }

    #[test]
    fn the_cursor_is_found_and_nothing_else_is_taken_for_one() {
        let line = br#"{ "__CURSOR" : "s=ab12;i=4;b=0f;m=1;t=2;x=3", "MESSAGE":"x" }"#;
        assert_eq!(cursor(line), Some("s=ab12;i=4;b=0f;m=1;t=2;x=3"));
        assert_eq!(cursor_time("s=ab12;i=4;b=0f;m=1;t=5f5e100;x=3"), Some(100_000_000));
        for none in [&br#"{"__CURSOR":7}"#[..], br#"{"__CURSOR":"--flush"}"#, br#"{"__CURSOR":"s=a b"}"#, b"", br#""__CURSOR":"s=1"#] {
            assert_eq!(cursor(none), None);
        }
        for none in ["s=x", "s=ab12", "s=a;i=4;b=0;m=1;t=2;x=3;", "s=a;i=4;b=0;m=1;t=;x=3", "s=a;i=4;b=0;m=1;t=12345678901234567;x=3"] {
            assert!(!is_cursor(none), "{none}");
        }
    }

    proptest::proptest! {
        /// However the bytes arrive, and wherever a reading stops, the same lines come of them, each once.
        #[test]
        fn lines_do_not_depend_on_how_they_arrive(pieces in proptest::collection::vec("[ab\\r\\n]{0,9}", 0..12), stop in 1_usize..4) {
            let whole = pieces.concat();
            let wanted: Vec<&[u8]> = whole.as_bytes().split_inclusive(|byte| *byte == b'\n').map(|line| {
                let line = line.strip_suffix(b"\n").unwrap_or(line);
                line.strip_suffix(b"\r").unwrap_or(line)
            }).collect();
            let (mut there, mut from, mut found) = (String::new(), Position::default(), Vec::new());
            for (at, piece) in pieces.iter().chain([&String::new()]).enumerate() {
                there.push_str(piece);
                let last = at == pieces.len();
                loop {
                    let mut lines = Lines::new(&there.as_bytes()[from.offset as usize..], from, last);
                    let mut taken = 0;
                    while taken < stop && let Next::Line { line, .. } = lines.next() {
                        found.push(line.to_vec());
                        taken += 1;
                    }
                    from = lines.position();
                    if taken < stop {
                        break;
                    }
                }
            }
            proptest::prop_assert_eq!(found, wanted);
        }
    }
}
