//! Archives of advisories (ZIP: APPNOTE.TXT of PKWARE): only what a database of small files needs, and nothing that grows beyond its word.

use flate2::{Decompress, FlushDecompress, Status};

use super::MAX_ADVISORY;

/// Bytes at the end in which the directory's end is looked for: its own 22 and the longest comment.
const TAIL: u64 = 22 + 65_535;
/// Bytes of the directory, and files in it.
const MAX_DIRECTORY: u64 = 128 << 20;
const MAX_FILES: usize = 1_000_000;
/// Bytes that all files together may grow to.
const MAX_TOTAL: u64 = 8 << 30;
const END: &[u8] = b"PK\x05\x06";
const ENTRY: &[u8] = b"PK\x01\x02";
const LOCAL: &[u8] = b"PK\x03\x04";
const STORED: u64 = 0;
const DEFLATED: u64 = 8;

/// Why an archive, or a file in it, is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZipError {
    /// It is not one, or a form that is not read (ZIP64, several disks, encryption).
    #[error("it is no plain ZIP archive")]
    NotZip,
    /// It holds more than is read.
    #[error("it is too large, or would grow too large")]
    TooLarge,
    /// A file in it is not what the directory says.
    #[error("a file in it is damaged, or grows beyond its size")]
    Damaged,
}

/// Reads so many bytes at an offset; fewer at the end.
pub type ReadAt<'a> = dyn Fn(u64, usize) -> Option<Vec<u8>> + Sync + 'a;

/// An archive whose directory was read.
#[derive(Debug)]
pub struct Archive {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    method: u64,
    packed: u64,
    size: u64,
    offset: u64,
}

fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    Some(bytes.get(at..at + length)?.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

impl Archive {
    /// Reads the directory of files whose names end in `.json`.
    ///
    /// # Errors
    /// [`ZipError`].
    pub fn open(size: u64, read: &ReadAt) -> Result<Self, ZipError> {
        let from = size.saturating_sub(TAIL);
        let tail = read(from, TAIL as usize).ok_or(ZipError::NotZip)?;
        let end = memchr::memmem::rfind(&tail, END).and_then(|at| tail.get(at..)).ok_or(ZipError::NotZip)?;
        let field = |at, length| number(end, at, length).ok_or(ZipError::NotZip);
        let (count, length, offset) = (field(10, 2)?, field(12, 4)?, field(16, 4)?);
        if offset == 0xffff_ffff || offset + length > size {
            return Err(ZipError::NotZip);
        }
        if length > MAX_DIRECTORY {
            return Err(ZipError::TooLarge);
        }
        let directory = read(offset, length as usize).ok_or(ZipError::NotZip)?;
        let mut entries = Vec::new();
        let (mut rest, mut total, mut seen) = (&directory[..], 0u64, 0u64);
        while rest.starts_with(ENTRY) {
            let field = |at, length| number(rest, at, length).ok_or(ZipError::NotZip);
            let (flags, method, packed, size) = (field(8, 2)?, field(10, 2)?, field(20, 4)?, field(24, 4)?);
            let (name, extra, comment, offset) = (field(28, 2)? as usize, field(30, 2)? as usize, field(32, 2)? as usize, field(42, 4)?);
            let is_wanted = rest.get(46..46 + name).ok_or(ZipError::NotZip)?.ends_with(b".json") && flags & 1 == 0;
            if is_wanted {
                if size as usize > MAX_ADVISORY || packed as usize > MAX_ADVISORY {
                    return Err(ZipError::TooLarge);
                }
                entries.push(Entry { method, packed, size, offset });
            }
            (total, seen) = (total + size, seen + 1);
            if total > MAX_TOTAL || entries.len() > MAX_FILES {
                return Err(ZipError::TooLarge);
            }
            rest = rest.get(46 + name + extra + comment..).ok_or(ZipError::NotZip)?;
        }
        // The count has 16 bits; of more files it is the rest.
        if seen & 0xffff == count { Ok(Self { entries }) } else { Err(ZipError::NotZip) }
    }

    /// How many files are wanted of it.
    pub fn files(&self) -> usize {
        self.entries.len()
    }

    /// The content of a file.
    ///
    /// # Errors
    /// [`ZipError::Damaged`].
    pub fn file(&self, place: usize, read: &ReadAt) -> Result<Vec<u8>, ZipError> {
        let Entry { method, packed, size, offset } = *self.entries.get(place).ok_or(ZipError::Damaged)?;
        let head = read(offset, 30).filter(|head| head.starts_with(LOCAL)).ok_or(ZipError::Damaged)?;
        let skip = number(&head, 26, 2).zip(number(&head, 28, 2)).map(|(name, extra)| 30 + name + extra).ok_or(ZipError::Damaged)?;
        let bytes = read(offset + skip, packed as usize).filter(|bytes| bytes.len() as u64 == packed).ok_or(ZipError::Damaged)?;
        match method {
            STORED if packed == size => Ok(bytes),
            DEFLATED => inflate(&bytes, size as usize),
            _ => Err(ZipError::Damaged),
        }
    }
}

/// Inflates to exactly as many bytes as the directory says; one more is a lie.
fn inflate(bytes: &[u8], size: usize) -> Result<Vec<u8>, ZipError> {
    let mut out = Vec::with_capacity(size + 1);
    let status = Decompress::new(false).decompress_vec(bytes, &mut out, FlushDecompress::Finish).map_err(|_| ZipError::Damaged)?;
    if status == Status::StreamEnd && out.len() == size { Ok(out) } else { Err(ZipError::Damaged) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn open(bytes: &[u8]) -> Result<Vec<Result<Vec<u8>, ZipError>>, ZipError> {
        let read = |at: u64, length: usize| {
            let at = at as usize;
            Some(bytes.get(at..(at + length).min(bytes.len()))?.to_vec())
        };
        let archive = Archive::open(bytes.len() as u64, &read)?;
        Ok((0..archive.files()).map(|place| archive.file(place, &read)).collect())
    }

    /// An archive of one file; `claimed` is the size that it says it has.
    fn archive(content: &[u8], claimed: u32) -> Vec<u8> {
        let mut packed = Vec::with_capacity(content.len() + 100);
        flate2::Compress::new(flate2::Compression::best(), false)
            .compress_vec(content, &mut packed, flate2::FlushCompress::Finish)
            .unwrap();
        let sizes = [&(packed.len() as u32).to_le_bytes()[..], &claimed.to_le_bytes()].concat();
        let local = [LOCAL, &[20, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0], &sizes, &[6, 0, 0, 0], b"a.json"].concat();
        let entry = [
            ENTRY,
            &[20, 0, 20, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &sizes,
            &[6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            b"a.json",
        ]
        .concat();
        let offset = (local.len() + packed.len()) as u32;
        let end = [END, &[0, 0, 0, 0, 1, 0, 1, 0], &(entry.len() as u32).to_le_bytes(), &offset.to_le_bytes(), &[0, 0]].concat();
        [local, packed, entry, end].concat()
    }

    #[test]
    fn a_file_is_read_and_a_bomb_is_not() {
        let text = b"{\"id\": \"CVE-1\"}".repeat(50);
        assert_eq!(open(&archive(&text, text.len() as u32)).unwrap(), [Ok(text.clone())]);
        let bomb = vec![b' '; 64 << 20];
        assert_eq!(open(&archive(&bomb, bomb.len() as u32)).unwrap_err(), ZipError::TooLarge);
        assert_eq!(open(&archive(&bomb, 100)).unwrap(), [Err(ZipError::Damaged)], "it grows beyond its word");
        assert_eq!(open(b"PK\x05\x06").unwrap_err(), ZipError::NotZip);
        assert_eq!(open(b"").unwrap_err(), ZipError::NotZip);
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(at in 0usize..200, byte in any::<u8>(), cut in 0usize..200) {
            let mut bytes = archive(b"some text of an advisory", 24);
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            let _ = open(&bytes);
            let _ = open(&bytes[..cut.min(bytes.len())]);
        }
    }
}
