//! A text of any length, read piece by piece and held against rules.

use std::io::{self, Read};

use bartizan_scan::secrets::{FileScan, Scanner, is_binary};

/// Bytes that are read at once, and how much of a piece is read again with the next, so that no secret is cut in two.
const PIECE: usize = 1 << 20;
const OVERLAP: usize = 32 << 10;

/// How reading ended.
pub(in crate::cli) enum Ended {
    /// At the end, after so many bytes.
    AtEnd(u64),
    /// There is more.
    TooLong(u64),
    /// It is no text.
    Binary,
}

/// Reads at most `most` bytes.
pub(in crate::cli) fn scan(
    scanner: &Scanner,
    most: u64,
    text: &mut impl Read,
    path: &[u8],
    buffer: &mut Vec<u8>,
    scan: &mut FileScan,
) -> io::Result<Ended> {
    buffer.clear();
    let (mut line, mut total) = (1u64, 0u64);
    loop {
        let kept = buffer.len();
        let wanted = (PIECE as u64).min(most.saturating_sub(total));
        let read = text.by_ref().take(wanted).read_to_end(buffer)? as u64;
        if total == 0 && is_binary(buffer) {
            return Ok(Ended::Binary);
        }
        total += read;
        let at_end = read < wanted;
        if read > 0 {
            scanner.piece(path, buffer, line, scan);
        }
        if at_end {
            return Ok(Ended::AtEnd(total));
        }
        if total >= most {
            let longer = text.read(&mut [0])? > 0;
            return Ok(if longer { Ended::TooLong(total) } else { Ended::AtEnd(total) });
        }
        // The end of this piece is the beginning of the next.
        let again = buffer.len().saturating_sub(OVERLAP.min(buffer.len().saturating_sub(kept)));
        line += buffer.drain(..again).filter(|byte| *byte == b'\n').count() as u64;
    }
}
