//! Reads a database and its write-ahead log into memory, byte by byte: for a ledger whose disk SQLite cannot work on
//! (full, read-only, locked by another program). The format is <https://www.sqlite.org/fileformat2.html>, part 4.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use bartizan_sys::digest::open_plain;

/// Largest database that is held in memory, in bytes, its log included: some 100,000 actions.
const LARGEST: u64 = 96 << 20;
/// Bytes of the log's header, and of the one before each page in it.
const HEADER: usize = 32;
const FRAME: usize = 24;

/// The database as of its last whole transaction; `None` when there is none. Nobody may hold a connection of this
/// process to it: closing the file here would drop that one's locks (fcntl(2)).
pub(super) fn read(file: &Path) -> io::Result<Option<Connection>> {
    let (mut pages, log) = (whole(file)?, whole(&log_of(file))?);
    apply(&mut pages, &log);
    if pages.len() < 100 {
        return Ok(None);
    }
    // "Read and write version": 2 asks for a log beside the file (1.3.3 of the format), which memory has not.
    for place in [18, 19] {
        if let Some(version) = pages.get_mut(place) {
            *version = 1;
        }
    }
    let mut connection = Connection::open_in_memory().map_err(io::Error::other)?;
    connection.deserialize_read_exact("main", pages.as_slice(), pages.len(), false).map_err(io::Error::other)?;
    Ok(Some(connection))
}

/// Where the log of a database lies.
pub(super) fn log_of(file: &Path) -> PathBuf {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    PathBuf::from(log)
}

fn whole(file: &Path) -> io::Result<Vec<u8>> {
    let opened = match open_plain(file) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened?,
    };
    let mut bytes = Vec::new();
    opened.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other(format!("it is larger than the {} MiB that are read into memory", LARGEST >> 20)));
    }
    Ok(bytes)
}

/// Puts every page of the log's whole transactions where it belongs. Stops at the first frame that does not fit the ones
/// before: what follows is of an earlier use of the log.
fn apply(pages: &mut Vec<u8>, log: &[u8]) {
    let Some((header, mut frames)) = log.split_at_checked(HEADER) else { return };
    // The lowest bit tells in which order the sums were made.
    let (magic, size) = (number(header, 0), number(header, 8) as usize);
    let big = magic & 1 == 1;
    let mut sum = add(header.get(..24).unwrap_or_default(), (0, 0), big);
    let known = magic & !1 == 0x377f_0682 && size.is_power_of_two() && (512..=65_536).contains(&size);
    if !known || sum != (number(header, 24), number(header, 28)) {
        return;
    }
    let mut transaction: Vec<(usize, &[u8])> = Vec::new();
    while let Some((frame, rest)) = frames.split_at_checked(FRAME + size) {
        let (head, page) = frame.split_at(FRAME);
        sum = add(page, add(head.get(..8).unwrap_or_default(), sum, big), big);
        if head.get(8..16) != header.get(16..24) || sum != (number(head, 16), number(head, 20)) {
            return;
        }
        transaction.push((number(head, 0) as usize, page));
        let committed = number(head, 4) as usize;
        if committed > 0 && (committed * size) as u64 <= LARGEST {
            pages.resize(committed * size, 0);
            for (place, page) in transaction.drain(..) {
                let from = place.saturating_sub(1) * size;
                if let Some(there) = pages.get_mut(from..from + size) {
                    there.copy_from_slice(page);
                }
            }
        }
        frames = rest;
    }
}

/// Four bytes, the highest first.
fn number(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_be_bytes)
}

/// The log's checksum (4.2 of the format), carried on.
fn add(bytes: &[u8], sum: (u32, u32), big: bool) -> (u32, u32) {
    let word = |four: &[u8]| {
        let four: [u8; 4] = four.try_into().unwrap_or_default();
        if big { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
    };
    bytes.chunks_exact(8).fold(sum, |(first, second), eight| {
        let (low, high) = eight.split_at(4);
        let first = first.wrapping_add(word(low)).wrapping_add(second);
        (first, second.wrapping_add(word(high)).wrapping_add(first))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_only_in_the_log_is_read_and_what_was_not_committed_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("some.db");
        assert!(read(&file).unwrap().is_none());
        let connection = Connection::open(&file).unwrap();
        let setup = "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (n INTEGER, filler BLOB);";
        connection.execute_batch(setup).unwrap();
        for n in 0..300 {
            connection.execute("INSERT INTO t VALUES (?1, zeroblob(2000))", [n]).unwrap();
            if n == 150 {
                connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
            }
        }
        connection.execute_batch("BEGIN; PRAGMA cache_size = 1; UPDATE t SET n = -1; DELETE FROM t WHERE rowid > 5").unwrap();
        // Copies, so that reading them drops no lock of the connection.
        let copied = tempfile::tempdir().unwrap();
        for name in ["some.db", "some.db-wal"] {
            std::fs::copy(dir.path().join(name), copied.path().join(name)).unwrap();
        }
        let image = read(&copied.path().join("some.db")).unwrap().unwrap();
        let sum = |c: &Connection| c.query_row("SELECT count(*), sum(n) FROM t", [], |r| Ok((r.get::<_, i64>(0)?, r.get::<_, i64>(1)?)));
        assert_eq!(sum(&image).unwrap(), (300, (0..300).sum()));
        assert_eq!(image.query_row("PRAGMA quick_check", [], |row| row.get::<_, String>(0)).unwrap(), "ok");

        let mut log = std::fs::read(copied.path().join("some.db-wal")).unwrap();
        let middle = log.len() / 2;
        log[middle] ^= 1;
        std::fs::write(copied.path().join("some.db-wal"), &log).unwrap();
        let cut = read(&copied.path().join("some.db")).unwrap().unwrap();
        assert!(sum(&cut).unwrap().0 < 300, "a frame that was changed ends the log");
    }
}
