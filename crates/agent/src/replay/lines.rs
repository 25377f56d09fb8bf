//! Lines of a recording, each of bounded length.

use std::io::{self, BufRead, Read};

/// Longest line that is read, in bytes: an event with the longest arguments that a sensor keeps is far shorter.
pub const LONGEST_LINE: usize = 4 * 1024 * 1024;

/// One line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    /// Its bytes; the line feed may stand at their end.
    Text(&'a [u8]),
    /// It is longer than [`LONGEST_LINE`] and was passed over.
    TooLong,
}

/// Reads lines one by one; holds one of them.
#[derive(Debug)]
pub struct Lines<R> {
    source: R,
    buffer: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// The lines of this source.
    pub fn new(source: R) -> Self {
        Self { source, buffer: Vec::new() }
    }

    /// The next line; `None` at the end.
    ///
    /// # Errors
    /// What reading says.
    pub fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        self.buffer.clear();
        let most = LONGEST_LINE as u64 + 1;
        if self.source.by_ref().take(most).read_until(b'\n', &mut self.buffer)? == 0 {
            return Ok(None);
        }
        if self.buffer.len() > LONGEST_LINE && self.buffer.last() != Some(&b'\n') {
            self.source.skip_until(b'\n')?;
            return Ok(Some(Line::TooLong));
        }
        Ok(Some(Line::Text(&self.buffer)))
    }
}
