//! Whose attributes change on whole file systems: fanotify(7) with one mark for each, told by handle alone, which costs those who
//! change files least. Notification only: nobody waits for us.

use std::collections::{HashMap, HashSet};
use std::ffi::{CString, OsString};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::poll::PollFlags;

use super::fanotify::{Raw, init};
use super::file_attributes::{self, Seen};
use super::file_handle::Handle;
use super::file_systems::{FileSystem, may_never_answer};
use super::mountinfo::{self, Line};
use super::readiness::{readable, ready};
use bartizan_model::HostText;

/// Bytes of one read: more than a thousand events.
const BUFFER: usize = 64 * 1024;
/// Reads of one drain.
const READS: usize = 64;
/// Most file systems watched.
const MOST: usize = 1024;
/// Most mounts named that are not watched.
const NAMED: usize = 16;

/// A file of which an attribute changed: mode, owner, times, extended attributes or number of names.
pub struct Changed {
    file: File,
    /// What it is now.
    pub seen: Seen,
    /// The process that changed it, by its pid in our own pid namespace.
    pub pid: Option<u32>,
}

impl Changed {
    /// Its path, as the kernel knows it now; `None` when it has none any more.
    pub fn path(&self) -> Option<PathBuf> {
        let path = std::fs::read_link(format!("/proc/self/fd/{}", self.file.as_raw_fd())).ok()?;
        (!path.as_os_str().as_bytes().ends_with(b" (deleted)")).then_some(path)
    }

    /// The capabilities that it gives to whoever runs it.
    pub fn capabilities(&self) -> Option<u64> {
        file_attributes::capabilities(Path::new(&format!("/proc/self/fd/{}", self.file.as_raw_fd())))
    }
}

/// What one drain brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Drained {
    /// Events read.
    pub received: u64,
    /// The kernel's queue was full: changes were missed.
    pub overflow: bool,
}

/// One mark for each file system that can have one.
pub struct AttributeWatch {
    group: OwnedFd,
    mounts: File,
    /// By file system id: a directory on it.
    roots: HashMap<[u8; 8], PathBuf>,
    refused: Vec<String>,
    own_pid: u32,
    buffer: Vec<u8>,
}

impl AttributeWatch {
    /// Watches every file system that is mounted here.
    ///
    /// # Errors
    /// Without CAP_SYS_ADMIN, or before Linux 5.1.
    pub fn open() -> io::Result<Self> {
        let group = init(libc::FAN_CLASS_NOTIF | libc::FAN_CLOEXEC | libc::FAN_NONBLOCK | libc::FAN_REPORT_FID)?;
        let mounts = File::open("/proc/self/mountinfo")?;
        let mut watch =
            Self { group, mounts, roots: HashMap::new(), refused: Vec::new(), own_pid: std::process::id(), buffer: vec![0; BUFFER] };
        watch.mark_all();
        if watch.roots.is_empty() { Err(io::Error::other(watch.refused.join(", "))) } else { Ok(watch) }
    }

    /// File systems that are not watched, and why; of many, some by name.
    pub fn refused(&self) -> &[String] {
        &self.refused
    }

    /// Marks what was mounted since the last time.
    pub fn follow_mounts(&mut self) {
        // A poll that tells of a change also marks it as told (proc(5)).
        if ready(&[self.mounts.as_fd()], PollFlags::POLLPRI, Duration::ZERO).unwrap_or_default() {
            self.mark_all();
        }
    }

    fn mark_all(&mut self) {
        let (lines, mut refused) = sorted(mountinfo::own());
        let mut roots = HashMap::new();
        for line in lines {
            match self.mark(&line) {
                // A single file can be a mount too; it is no way into its file system.
                Ok((id, path)) if path.is_dir() => drop(roots.entry(id).or_insert(path)),
                Ok(_) => {}
                // Covered by another mount, or gone again.
                Err(why) if why.kind() == io::ErrorKind::NotFound => {}
                Err(why) => refused.push(format!("{} ({why})", named(&line))),
            }
        }
        let more = refused.len().saturating_sub(NAMED);
        refused.truncate(NAMED);
        refused.extend((more > 0).then(|| format!("and {more} more")));
        (self.roots, self.refused) = (roots, refused);
    }

    fn mark(&self, line: &Line) -> io::Result<([u8; 8], PathBuf)> {
        let path = PathBuf::from(OsString::from_vec(line.point.clone()));
        let name = CString::new(line.point.clone())?;
        let (flags, mask) = (libc::FAN_MARK_ADD | libc::FAN_MARK_FILESYSTEM, libc::FAN_ATTRIB | libc::FAN_ONDIR);
        // SAFETY: the descriptor is ours and open, the path a NUL-terminated string that outlives the call.
        let done = unsafe { libc::fanotify_mark(self.group.as_raw_fd(), flags, mask, libc::AT_FDCWD, name.as_ptr()) };
        if done < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok((Handle::of(&path)?.file_system(), path))
    }

    /// Waits until something is there, at most `timeout`. True when there is.
    ///
    /// # Errors
    /// When the kernel breaks the watch.
    pub fn wait(&self, timeout: Duration) -> io::Result<bool> {
        readable(&[self.group.as_fd()], timeout)
    }

    /// Hands over each changed file that is still there and not changed by ourselves, in the kernel's order.
    ///
    /// # Errors
    /// When the kernel breaks the watch.
    pub fn drain(&mut self, take: &mut dyn FnMut(&Changed)) -> io::Result<Drained> {
        let (mut drained, mut doors) = (Drained::default(), HashMap::new());
        let mut buffer = std::mem::take(&mut self.buffer);
        for _ in 0..READS {
            match nix::unistd::read(&self.group, &mut buffer) {
                Ok(0) | Err(nix::errno::Errno::EAGAIN) => break,
                Ok(length) => self.parse(buffer.get(..length).unwrap_or_default(), &mut doors, &mut drained, take),
                Err(nix::errno::Errno::EINTR) => {}
                Err(why) => {
                    self.buffer = buffer;
                    return Err(why.into());
                }
            }
        }
        self.buffer = buffer;
        Ok(drained)
    }

    fn parse(&self, mut bytes: &[u8], doors: &mut Doors, drained: &mut Drained, take: &mut dyn FnMut(&Changed)) {
        while let Some(event) = Raw::first(bytes) {
            bytes = bytes.get(event.length..).unwrap_or_default();
            if event.mask & libc::FAN_Q_OVERFLOW != 0 {
                drained.overflow = true;
                continue;
            }
            drained.received += 1;
            let Some(handle) = event.file.as_ref().filter(|_| event.pid != self.own_pid) else { continue };
            let Some(file) = self.open_by(handle, doors) else { continue };
            if let Ok(seen) = file_attributes::of(&file) {
                let pid = (event.pid != 0).then_some(event.pid);
                take(&Changed { file, seen, pid });
            }
        }
    }

    /// The file as a path alone: nothing of it is read, and nothing waits.
    fn open_by(&self, handle: &Handle, doors: &mut Doors) -> Option<File> {
        let id = handle.file_system();
        // Open for one drain only: an open door keeps a file system from being unmounted.
        let door = doors.entry(id).or_insert_with(|| {
            let root = self.roots.get(&id)?;
            OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY | libc::O_NONBLOCK | libc::O_CLOEXEC).open(root).ok()
        });
        handle.open(door.as_ref()?).ok()
    }
}

/// The mounts that can be marked; and, named, those whose attributes are left alone: they wait for a process or another host, or are
/// too many.
fn sorted(lines: Vec<Line>) -> (Vec<Line>, Vec<String>) {
    let (mut marked, mut left_out, mut devices) = (Vec::new(), Vec::new(), HashSet::new());
    for line in lines.into_iter().filter(|line| FileSystem::of_name(&line.kind) != FileSystem::Kernel) {
        let room = devices.len() < MOST || devices.contains(&line.device);
        if room && !may_never_answer(&line.kind) {
            devices.insert(line.device);
            marked.push(line);
        } else {
            left_out.push(format!("{} ({}: not watched)", named(&line), HostText::from(line.kind.as_slice()).escaped()));
        }
    }
    (marked, left_out)
}

/// Its place in words: a user chooses the name of what fusermount(1) mounts.
fn named(line: &Line) -> String {
    HostText::from(line.point.as_slice()).escaped()
}

/// A path into each file system.
type Doors = HashMap<[u8; 8], Option<File>>;

impl std::fmt::Debug for AttributeWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AttributeWatch").field("roots", &self.roots).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_watched_is_named_and_windows_into_the_kernel_are_not() {
        let text = b"1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:5 / /proc rw - proc proc rw\n3 1 0:50 / /srv rw - nfs4 host:/srv rw\n\
            4 1 0:51 / /home/ann/\x1b[2J rw - fuse.sshfs ann@host: rw\n5 1 0:52 / /misc rw - autofs systemd-1 rw\n\
            6 1 0:53 / /shared rw - virtiofs shared rw\n";
        let (marked, left_out) = sorted(mountinfo::lines(text).collect());
        assert_eq!(marked.iter().map(|line| line.point.as_slice()).collect::<Vec<_>>(), [b"/".as_slice()]);
        assert_eq!(left_out.len(), 3, "{left_out:?}");
        assert_eq!((left_out[0].as_str(), left_out[2].as_str()), ("/srv (nfs4: not watched)", "/shared (virtiofs: not watched)"));
        assert!(left_out[1].contains("fuse.sshfs") && !left_out[1].contains('\x1b'), "{left_out:?}");
    }

    #[test]
    fn of_too_many_file_systems_the_rest_is_named() {
        let line = |device: u32| Line {
            id: 1,
            device,
            root: b"/".into(),
            point: b"/x".into(),
            kind: b"tmpfs".into(),
            source: vec![],
            options: vec![],
        };
        // A second mount of one that is marked already costs nothing.
        let lines = (0..=MOST as u32).chain([0]).map(line).collect();
        let (marked, left_out) = sorted(lines);
        assert_eq!((marked.len(), left_out.as_slice()), (MOST + 1, ["/x (tmpfs: not watched)".to_owned()].as_slice()));
    }
}
