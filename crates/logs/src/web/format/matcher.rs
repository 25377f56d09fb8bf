//! Finds the fields of a compiled format in one line, in one pass over it.

use super::{Field, Format, Piece, Segment};
use crate::web::access::Access;

/// The first double quote that no backslash stands before.
fn quote(line: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + memchr::memchr2(b'"', b'\\', line.get(from..)?)?;
        if line.get(at) == Some(&b'"') {
            return Some(at);
        }
        from = at + 2;
    }
}

impl Format {
    /// What one line of this format says; `None` when it is none.
    pub fn read<'l>(&self, line: &'l [u8]) -> Option<Access<'l>> {
        let mut access = Access::default();
        let mut rest = line;
        let (last, quoted) = self.segments.split_last()?;
        for segment in quoted {
            let end = quote(rest)?;
            segment.read(rest.get(..end)?, false, &mut access)?;
            rest = rest.get(end + 1..)?;
        }
        last.read(rest, self.open, &mut access)?;
        Some(access)
    }
}

impl Segment {
    /// Reads all of a part of a line; with `open` more may follow in it.
    fn read<'l>(&self, part: &'l [u8], open: bool, access: &mut Access<'l>) -> Option<()> {
        let mut part = part;
        for piece in &self.left {
            match piece {
                Piece::Text(text) => part = part.strip_prefix(&**text)?,
                Piece::Field(field) => {
                    let end = field.reach(part);
                    access.set(field, part.get(..end)?);
                    part = part.get(end..)?;
                }
            }
        }
        if open {
            if let [Piece::Field(field)] = self.middle.as_slice() {
                let end = part.iter().position(|byte| !field.may_hold(*byte) || *byte == b' ').unwrap_or(part.len());
                access.set(field, part.get(..end)?);
            }
            return Some(());
        }
        for piece in &self.right {
            match piece {
                Piece::Text(text) => part = part.strip_suffix(&**text)?,
                Piece::Field(field) => {
                    let start = field.reach_back(part);
                    access.set(field, part.get(start..)?);
                    part = part.get(..start)?;
                }
            }
        }
        match self.middle.as_slice() {
            [] => part.is_empty().then_some(()),
            [Piece::Field(field)] => {
                access.set(field, part);
                Some(())
            }
            loose => read_loosely(loose, part, access),
        }
    }
}

/// Several fields that the client may have written, side by side: each ends at the first place where the text after it stands. An address
/// here is nobody's.
fn read_loosely<'l>(pieces: &[Piece], part: &'l [u8], access: &mut Access<'l>) -> Option<()> {
    let mut part = part;
    let mut pieces = pieces.iter().peekable();
    while let Some(piece) = pieces.next() {
        match (piece, pieces.peek()) {
            (Piece::Text(text), _) => part = part.strip_prefix(&**text)?,
            (Piece::Field(field), next) => {
                let end = match next {
                    Some(Piece::Text(text)) => memchr::memmem::find(part, text)?,
                    // Side by side without a text: the last one has it all.
                    Some(Piece::Field(_)) => 0,
                    None => part.len(),
                };
                if !matches!(field, Field::Peer | Field::Connected) {
                    access.set(field, part.get(..end)?);
                }
                part = part.get(end..)?;
            }
        }
    }
    part.is_empty().then_some(())
}
