//! What can be seen of one process: its small files in /proc, its descriptors, its sockets, its executable.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::shelf::Shelf;
use super::sockets::KnownSockets;
use bartizan_model::ProcessKey;
use bartizan_sys::pidfd::key_of;

/// What is copied as it is, and how much of it at most.
const FACTS: [(&str, u64); 5] = [("maps", 4 << 20), ("cmdline", 1 << 20), ("environ", 1 << 20), ("status", 64 << 10), ("cgroup", 64 << 10)];
/// Descriptors that are listed.
const MAX_FDS: usize = 4096;
/// How much of each of the tables of a foreign network namespace is looked through.
const TABLE: u64 = 1 << 20;

/// A process by its directory in /proc: once open, nobody else can be meant by it, and reading fails when it has ended.
#[derive(Debug)]
pub(super) struct Open {
    directory: File,
    pid: u32,
}

impl Open {
    pub(super) fn new(key: ProcessKey) -> io::Result<Self> {
        let directory = File::open(format!("/proc/{}", key.pid))?;
        // Asked after it was opened: whoever else had the pid before has ended, and says nothing any more.
        match key_of(key.pid) == Some(key) {
            true => Ok(Self { directory, pid: key.pid }),
            false => Err(io::Error::new(io::ErrorKind::NotFound, "it has ended")),
        }
    }

    fn path(&self, name: &str) -> String {
        format!("/proc/self/fd/{}/{name}", self.directory.as_raw_fd())
    }

    /// Everything but the executable.
    pub(super) fn keep_facts(&self, shelf: &Shelf, known: &mut KnownSockets) {
        for (fact, most) in FACTS {
            match self.read(fact, most) {
                Ok((bytes, whole)) => {
                    shelf.keep(&self.name(fact), &bytes);
                    if !whole {
                        shelf.missing(format!("{}: all after its first {} KiB", self.name(fact), most >> 10));
                    }
                }
                Err(why) => shelf.missing(format!("{}: {why}", self.name(fact))),
            }
        }
        match self.links(shelf) {
            Ok((lines, inodes)) => {
                shelf.keep(&self.name("fds"), &lines);
                shelf.keep(&self.name("sockets"), &self.sockets(&inodes, known));
            }
            Err(why) => shelf.missing(format!("{}: {why}", self.name("fds"))),
        }
    }

    /// The file that it runs, although its name may be gone. The same file is copied once for all.
    pub(super) fn keep_executable(&self, shelf: &Shelf, most: u64, kept: &mut HashMap<(u64, u64), String>) {
        let name = self.name("exe");
        let copied = File::open(self.path("exe")).and_then(|file| {
            let meta = file.metadata()?;
            if let Some(same) = kept.get(&(meta.dev(), meta.ino())) {
                return shelf.keep_again(&name, same);
            }
            shelf.keep_file(&name, file, meta.len(), most)?;
            kept.insert((meta.dev(), meta.ino()), name.clone());
            Ok(())
        });
        if let Err(why) = copied {
            shelf.missing(format!("{name}: {why}"));
        }
    }

    fn name(&self, fact: &str) -> String {
        format!("{}/{fact}", self.pid)
    }

    /// At most `most` bytes, and whether that is all.
    fn read(&self, name: &str, most: u64) -> io::Result<(Vec<u8>, bool)> {
        let mut bytes = Vec::new();
        File::open(self.path(name))?.take(most + 1).read_to_end(&mut bytes)?;
        let whole = bytes.len() as u64 <= most;
        bytes.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        Ok((bytes, whole))
    }

    /// One line for each descriptor, bytes outside of ASCII escaped; and the inode numbers of the sockets among them.
    fn links(&self, shelf: &Shelf) -> io::Result<(Vec<u8>, Vec<u64>)> {
        let (mut lines, mut inodes) = (Vec::new(), Vec::new());
        let mut tell = |name: &str, target: &Path| {
            lines.extend(format!("{name} -> {}\n", target.as_os_str().as_bytes().escape_ascii()).bytes());
        };
        for name in ["exe", "cwd", "root"] {
            if let Ok(target) = fs::read_link(self.path(name)) {
                tell(name, &target);
            }
        }
        let mut numbers: Vec<u32> =
            fs::read_dir(self.path("fd"))?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).take(MAX_FDS + 1).collect();
        if numbers.len() > MAX_FDS {
            shelf.missing(format!("{}: all after the first {MAX_FDS}", self.name("fds")));
        }
        numbers.truncate(MAX_FDS);
        numbers.sort_unstable();
        for number in numbers {
            let Ok(target) = fs::read_link(self.path(&format!("fd/{number}"))) else { continue };
            tell(&number.to_string(), &target);
            let inode: Option<u64> = target.to_str().and_then(|target| target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
            inodes.extend(inode);
        }
        Ok((lines, inodes))
    }

    /// One line for each socket.
    fn sockets(&self, inodes: &[u64], known: &mut KnownSockets) -> Vec<u8> {
        let namespace = fs::read_link(self.path("ns/net")).unwrap_or_default();
        let table = |name: &str| self.read(&format!("net/{name}"), TABLE).map(|(bytes, _)| bytes).unwrap_or_default();
        known.learn(&namespace, inodes, table);
        inodes.iter().flat_map(|inode| known.line(&namespace, *inode).into_bytes()).collect()
    }
}
