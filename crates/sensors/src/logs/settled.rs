//! After a time without an agent: where the files of the earlier run are now, and which ones came and went meanwhile.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::kept::{KeptFile, KeptSource, NAMES};
use bartizan_sys::plain_file;
use bartizan_worker::Position;

/// Endings of compressed files.
const COMPRESSED: [&[u8]; 6] = [b".gz", b".xz", b".zst", b".bz2", b".lz4", b".Z"];

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Where to go on in the file that has the name.
    pub(super) begins: Option<Position>,
    /// Files to read beside it, the oldest first, and from where.
    pub(super) earlier: Vec<(File, Metadata, Position)>,
    /// Files that are done with.
    pub(super) done: Vec<KeptFile>,
    /// What cannot be read any more, in a sentence each.
    pub(super) lost: Vec<String>,
}

/// Looks for what was kept. `named` is the file that has the name now.
pub(super) fn settle(kept: KeptSource, path: &Path, named: Option<(&File, &Metadata)>) -> Settled {
    let mut settled = Settled::default();
    let mut known: Vec<(u64, u64)> = named.iter().map(|(_, found)| (found.dev(), found.ino())).collect();
    for file in &kept.files {
        known.push((file.device, file.inode));
        let is_named = named.is_some_and(|(open, found)| file.is_inode(found) && file.is_in(open, found.len()));
        if is_named {
            settled.begins = Some(file.position);
        } else if file.done {
            settled.done.push(file.clone());
        } else if let Some((open, found)) = file.find(path) {
            known.push((found.dev(), found.ino()));
            settled.earlier.push((open, found, file.position));
        } else {
            let offset = file.position.offset;
            settled.lost.push(format!("what was written behind byte {offset} while no agent ran, if anything, is not here any more"));
            // It may have been moved away, and come back.
            settled.done.push(KeptFile { done: true, ..file.clone() });
        }
    }
    if kept.at > 0 && !kept.files.is_empty() {
        come_and_gone(&kept, path, &known, &mut settled);
    }
    settled.earlier.sort_by_key(|(_, found, _)| (found.mtime(), found.mtime_nsec()));
    settled
}

/// Files that had the name only while no agent ran: rotated away again before we could see them.
fn come_and_gone(kept: &KeptSource, path: &Path, known: &[(u64, u64)], settled: &mut Settled) {
    let entries = path.parent().and_then(|parent| std::fs::read_dir(parent).ok()).into_iter().flatten().take(NAMES).flatten();
    let mut packed = 0_u32;
    for entry in entries.filter(|entry| is_rotated(path, &entry.file_name())) {
        let Ok(found) = std::fs::symlink_metadata(entry.path()) else { continue };
        if !found.is_file() || found.mtime() < kept.at || known.contains(&(found.dev(), found.ino())) {
            continue;
        }
        if COMPRESSED.iter().any(|ending| entry.file_name().as_bytes().ends_with(ending)) {
            packed += 1;
            continue;
        }
        let Ok((file, found)) = plain_file::open(&entry.path()) else { continue };
        // A copy of what we have is not read a second time.
        let is_copy = |kept: &KeptFile| !kept.head.is_empty() && kept.head.begins(&file).unwrap_or(true);
        if found.len() > 0 && !kept.files.iter().any(is_copy) {
            settled.earlier.push((file, found, Position::default()));
        }
    }
    if packed > 0 {
        settled
            .lost
            .push(format!("{packed} files beside it were compressed while no agent ran: what was not read of them before is not read"));
    }
}

/// Whether `name` is what logrotate(8) makes of a file: `log.1`, `log-20261128`, `log.1.gz`, and with `extension`, `stem-20261128.log`.
fn is_rotated(path: &Path, name: &OsStr) -> bool {
    let (Some(own), Some(stem)) = (path.file_name(), path.file_stem()) else { return false };
    let numbered = |before: &OsStr| {
        let rest = name.as_bytes().strip_prefix(before.as_bytes());
        rest.is_some_and(|rest| matches!(rest, [b'.' | b'-', digit, ..] if digit.is_ascii_digit()))
    };
    // What follows the number with `extension` is the ending of the file itself.
    let ending = path.extension().map(OsStr::as_bytes).unwrap_or_default();
    let ending = [b".", ending].concat();
    let has_ending = ending.len() > 1 && name.as_bytes().windows(ending.len()).any(|part| part == ending);
    name != own && (numbered(own) || (has_ending && numbered(stem)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_logrotate_makes_of_a_file_is_taken_for_an_earlier_one() {
        let rotated = |name: &str| is_rotated(Path::new("/var/log/auth.log"), OsStr::new(name));
        for name in ["auth.log.1", "auth.log.2.gz", "auth.log-20261128", "auth-20261128.log", "auth.1.log"] {
            assert!(rotated(name), "{name}");
        }
        for name in ["auth.log", "auth.log.", "auth.log.save", "authentik.log", "auth-proxy.log", "auth2.log", "auth.1", "syslog.1"] {
            assert!(!rotated(name), "{name}");
        }
    }
}
