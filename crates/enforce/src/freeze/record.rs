//! The note of what is held and whence it came: written before each process is moved, so that our own script can put all
//! of it back when we are dead.
//!
//! Plain lines for a POSIX shell: the method, the hierarchy, the group's name, then `PID START STOPPED ORIGIN` each.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, AtFlags};

use super::{Frozen, Member, Method};
use bartizan_model::{HostText, ProcessKey};
use bartizan_sys::clock::boot_id;
use bartizan_sys::digest::read_bounded;
use bartizan_sys::fork_guard::{self, Writing};

/// Longest note: 16,384 members with 4 KiB of path each would be 64 MB; nobody has that.
const LONGEST: u64 = 16 << 20;

/// An open note.
#[derive(Debug)]
pub(super) struct Record {
    file: File,
    /// Its closing must not be some child's.
    _alone: Writing,
}

impl Record {
    /// A new note, readable by root alone; refuses to overwrite one.
    pub(super) fn create(path: &Path, method: Method, root: &Path, name: &str) -> io::Result<Self> {
        let word = match method {
            Method::V2 => "v2",
            Method::V1 => "v1",
            Method::Stop => "stop",
        };
        let mut head = format!("{word}\n").into_bytes();
        head.extend(root.as_os_str().as_bytes());
        head.extend(format!("\n{name}\n").into_bytes());
        let alone = fork_guard::writing();
        Ok(Self { file: whole(path, &head)?, _alone: alone })
    }

    /// The note of a freeze that is done again: the one that is there, or a new one that knows its members.
    pub(super) fn resume(path: &Path, frozen: &Frozen) -> io::Result<Self> {
        if read(path).is_some() {
            let alone = fork_guard::writing();
            return Ok(Self { file: OpenOptions::new().append(true).open(path)?, _alone: alone });
        }
        let mut record = Self::create(path, frozen.method, &frozen.root, &frozen.name)?;
        frozen.members.iter().try_for_each(|member| record.add(member))?;
        Ok(record)
    }

    /// One more member, in one write.
    pub(super) fn add(&mut self, member: &Member) -> io::Result<()> {
        let mut line = format!("{} {} {} ", member.key.pid, member.key.start, u8::from(member.was_stopped)).into_bytes();
        line.extend(member.origin.as_bytes());
        line.push(b'\n');
        self.file.write_all(&line)
    }
}

/// A new file of this name with this content from its first moment on: whoever dies here leaves no empty note, which
/// would say nothing and which nobody would dare to remove.
fn whole(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let place = path.parent().unwrap_or(Path::new("/"));
    let nameless = OpenOptions::new().write(true).mode(0o600).custom_flags(nix::libc::O_TMPFILE).open(place);
    // File systems without O_TMPFILE (open(2)), and hosts without /proc, get it the plain way.
    if let Ok(mut file) = nameless {
        file.write_all(bytes)?;
        let from = format!("/proc/self/fd/{}", file.as_raw_fd());
        match nix::unistd::linkat(AT_FDCWD, from.as_str(), AT_FDCWD, path, AtFlags::AT_SYMLINK_FOLLOW) {
            Ok(()) => return Ok(file),
            Err(nix::Error::EEXIST) => return Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => {}
        }
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    Ok(file)
}

/// Reads a note back; `None` when there is none or it is none.
pub(super) fn read(path: &Path) -> Option<Frozen> {
    let bytes = read_bounded(path, LONGEST).ok()?;
    let mut lines = bytes.split(|b| *b == b'\n');
    let method = match lines.next()? {
        b"v2" => Method::V2,
        b"v1" => Method::V1,
        b"stop" => Method::Stop,
        _ => return None,
    };
    let root = PathBuf::from(OsStr::from_bytes(lines.next()?));
    let name = String::from_utf8(lines.next()?.to_vec()).ok()?;
    let members = lines.filter_map(read_member).collect();
    Some(Frozen { method, root, name, members })
}

fn read_member(line: &[u8]) -> Option<Member> {
    let mut parts = line.splitn(4, |b| *b == b' ');
    let mut number = || std::str::from_utf8(parts.next()?).ok()?.parse::<u64>().ok();
    let (pid, start, stopped) = (number()?, number()?, number()?);
    let key = ProcessKey { boot: boot_id(), pid: u32::try_from(pid).ok()?, start };
    Some(Member { key, was_stopped: stopped == 1, origin: HostText::from(parts.next()?) })
}
