//! The files of one capture: written once, hashed, counted against a budget, and nothing more once it is closed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use super::locker::Captured;
use bartizan_model::Unpoisoned as _;
use bartizan_sys::fork_guard;

/// Lines about what is missing; the rest is counted.
const MAX_MISSING: usize = 16;
/// The most files that one capture keeps: about a thousand processes.
const MAX_FILES: usize = 8192;

/// One file that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeptFile {
    /// Below the directory of the capture: `812/exe`.
    pub(super) name: String,
    /// BLAKE3 of its content in hex.
    pub(super) hash: String,
    /// Its size.
    pub(super) bytes: u64,
}

#[derive(Debug)]
struct Inside {
    closed: bool,
    /// Bytes that may still be written.
    left: u64,
    files: Vec<KeptFile>,
    missing: Vec<String>,
    unsaid: usize,
}

/// Shared by the one who fills it and the one who waits. Nobody reads a file of a process while it is locked.
#[derive(Debug)]
pub(super) struct Shelf {
    directory: PathBuf,
    inside: Mutex<Inside>,
}

impl Shelf {
    pub(super) fn new(directory: PathBuf, budget: u64) -> Self {
        let inside = Inside { closed: false, left: budget, files: Vec::new(), missing: Vec::new(), unsaid: 0 };
        Self { directory, inside: Mutex::new(inside) }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn is_closed(&self) -> bool {
        self.inside().closed
    }

    /// Keeps some bytes; a failure is noted.
    pub(super) fn keep(&self, name: &str, bytes: &[u8]) {
        let length = bytes.len() as u64;
        if let Err(why) = self.keep_file(name, bytes, length, length) {
            self.missing(format!("{name}: {why}"));
        }
    }

    /// Copies at most `most` bytes of `source`, which says that it has `length`. A part is kept as well, and noted.
    pub(super) fn keep_file(&self, name: &str, source: impl Read, length: u64, most: u64) -> io::Result<()> {
        let room = self.reserve(length.min(most))?;
        let path = self.directory.join(name);
        let copied = self.copy(&path, source, room);
        let mut inside = self.inside();
        match copied {
            Ok((bytes, hash)) if !inside.closed => {
                inside.left = inside.left.saturating_add(room.saturating_sub(bytes));
                inside.files.push(KeptFile { name: name.to_owned(), hash, bytes });
                drop(inside);
                if bytes < length {
                    self.missing(format!("{name}: all after its first {bytes} of {length} bytes"));
                }
                Ok(())
            }
            // Too late, or half a file that nobody can tell from a whole one.
            copied => {
                inside.left = inside.left.saturating_add(room);
                let _ = fs::remove_file(&path);
                copied.map(drop)
            }
        }
    }

    /// The same file under one more name; it costs nothing.
    pub(super) fn keep_again(&self, name: &str, same: &str) -> io::Result<()> {
        let mut inside = self.inside();
        let first = inside.files.iter().find(|file| file.name == same).cloned();
        let Some(first) = first.filter(|_| !inside.closed) else { return Ok(()) };
        fs::hard_link(self.directory.join(same), self.directory.join(name))?;
        inside.files.push(KeptFile { name: name.to_owned(), bytes: 0, ..first });
        Ok(())
    }

    /// Notes what is missing and why. The words must be safe to show.
    pub(super) fn missing(&self, what: String) {
        let mut inside = self.inside();
        if inside.missing.len() < MAX_MISSING { inside.missing.push(what) } else { inside.unsaid += 1 }
    }

    /// Nothing is added any more. Writes the manifest, one line a file, as `b3sum --check` reads it.
    pub(super) fn close(&self, removed: Vec<String>) -> Captured {
        let (files, mut missing, unsaid) = {
            let mut inside = self.inside();
            inside.closed = true;
            (std::mem::take(&mut inside.files), std::mem::take(&mut inside.missing), inside.unsaid)
        };
        if unsaid > 0 {
            missing.push(format!("and {unsaid} more"));
        }
        let lines: String = files.iter().map(|file| format!("{}  {}\n", file.hash, file.name)).collect();
        let alone = fork_guard::writing();
        let written = create(&self.directory.join("manifest")).and_then(|mut file| file.write_all(lines.as_bytes()));
        drop(alone);
        let manifest = match written {
            Ok(()) => Some(blake3::hash(lines.as_bytes()).to_hex().to_string()),
            Err(why) => {
                missing.push(format!("manifest: {why}"));
                None
            }
        };
        Captured { directory: self.directory.clone(), files, manifest, missing, removed }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unpoisoned()
    }

    /// Takes up to `wanted` bytes out of the budget.
    fn reserve(&self, wanted: u64) -> io::Result<u64> {
        let mut inside = self.inside();
        let room = wanted.min(inside.left);
        if inside.closed || inside.files.len() >= MAX_FILES || (room == 0 && wanted > 0) {
            return Err(io::Error::other("there is no room for it"));
        }
        inside.left -= room;
        Ok(room)
    }

    fn copy(&self, path: &Path, source: impl Read, most: u64) -> io::Result<(u64, String)> {
        if let Some(parent) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        }
        let mut file = create(path)?;
        let copied = self.fill(&mut file, source, most);
        // Children are kept waiting for its end only, not for a whole copy: one that was begun meanwhile has let go of it by then.
        let _alone = fork_guard::writing();
        drop(file);
        copied
    }

    fn fill(&self, file: &mut File, source: impl Read, most: u64) -> io::Result<(u64, String)> {
        let (mut source, mut hasher) = (source.take(most), blake3::Hasher::new());
        let (mut buffer, mut total) = (vec![0_u8; 256 << 10], 0);
        while !self.is_closed() {
            let got = match source.read(&mut buffer) {
                Err(why) if why.kind() == io::ErrorKind::Interrupted => continue,
                got => got?,
            };
            let chunk = buffer.get(..got).unwrap_or_default();
            if chunk.is_empty() {
                break;
            }
            file.write_all(chunk)?;
            hasher.update(chunk);
            total += got as u64;
        }
        Ok((total, hasher.finalize().to_hex().to_string()))
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Removes the oldest captures until the others need at most `most` bytes on disk; `current` always stays. Gives what
/// was removed.
pub(super) fn make_room(dir: &Path, current: &Path, most: u64) -> Vec<String> {
    let mut captures: Vec<((i64, i64), PathBuf, u64)> = directories(dir)
        .filter(|path| path != current)
        .filter_map(|path| {
            let meta = path.symlink_metadata().ok()?;
            Some(((meta.mtime(), meta.mtime_nsec()), path.clone(), size(&path)))
        })
        .collect();
    captures.sort();
    let mut total: u64 = captures.iter().map(|(_, _, size)| size).sum();
    let mut removed = Vec::new();
    for (_, path, size) in captures {
        if total <= most {
            break;
        }
        if fs::remove_dir_all(&path).is_ok() {
            total -= size;
            removed.push(path.file_name().unwrap_or_default().to_string_lossy().into_owned());
        }
    }
    removed
}

fn directories(dir: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(dir).into_iter().flatten().flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|e| e.path())
}

/// Bytes on disk of a capture: its own files and those of each process.
fn size(capture: &Path) -> u64 {
    let blocks = |dir: PathBuf| -> u64 {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.metadata().ok()).map(|meta| meta.blocks() * 512 / meta.nlink().max(1)).sum()
    };
    directories(capture).chain([capture.to_owned()]).map(blocks).sum()
}
