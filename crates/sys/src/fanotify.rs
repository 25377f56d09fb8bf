//! fanotify(7): which process touched which file. Notification only: never a permission mark, which could stop the host.

use std::collections::{HashMap, HashSet};
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::descriptors;
use super::file_handle::Handle;
use super::file_watch::{Interest, Noticed, Touch, Touched, Toucher};
use super::process_start;
use super::readiness::readable;

/// Bytes of one read: a few hundred events.
const BUFFER: usize = 64 * 1024;
/// Reads of one drain, so that a flood cannot keep the caller from looking at anything else.
const READS: usize = 64;
/// A proven start time holds this long: no pid comes round again in so short a time.
const PROVEN: Duration = Duration::from_millis(50);
/// Most paths watched at once; more is refused with ENOSPC.
const MAX_WATCHES: usize = 65_536;

/// One fanotify group, its queue bounded by the kernel (16,384 events).
#[derive(Debug)]
pub(super) struct Fanotify {
    fd: OwnedFd,
    watched: HashMap<Handle, (PathBuf, Interest)>,
    /// Which file has a name that is watched.
    names: HashMap<PathBuf, Handle>,
    own_pid: u32,
    buffer: Vec<u8>,
    /// Start times proven a moment ago: a process's last events may be read after its end.
    starts: HashMap<u32, (u64, Instant)>,
}

impl Fanotify {
    /// A group that names directory, file and process.
    pub(super) fn open() -> io::Result<Self> {
        let base = libc::FAN_CLASS_NOTIF | libc::FAN_CLOEXEC | libc::FAN_NONBLOCK | libc::FAN_REPORT_DFID_NAME | libc::FAN_REPORT_FID;
        // A pidfd makes the process certain (kernel >= 5.15); without it the pid alone must do.
        let fd = init(base | libc::FAN_REPORT_PIDFD).or_else(|_| init(base))?;
        Ok(Self {
            fd,
            watched: HashMap::new(),
            names: HashMap::new(),
            own_pid: std::process::id(),
            buffer: vec![0; BUFFER],
            starts: HashMap::new(),
        })
    }

    /// Watches a place under the name of `path`.
    pub(super) fn watch(&mut self, path: &Path, place: &File, interest: Interest) -> io::Result<bool> {
        // By its descriptor: nobody can put another file in its place meanwhile.
        let through = format!("/proc/self/fd/{}", place.as_raw_fd());
        let handle = Handle::of(Path::new(&through))?;
        if let Some((known, _)) = self.watched.get(&handle).filter(|(_, had)| *had == interest)
            && known == path
        {
            return Ok(false);
        }
        // A place keeps its name while that still leads to it: another one, by a link, would only hide it.
        let leads = |known: &Path| known != path && Handle::of(known).is_ok_and(|now| now == handle);
        if self.watched.get(&handle).is_some_and(|(known, had)| *had == interest && leads(known)) {
            return Ok(false);
        }
        if self.watched.len() >= MAX_WATCHES {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        let name = CString::new(through)?;
        // SAFETY: the descriptor is ours and open, the path a NUL-terminated string that outlives the call.
        let done = unsafe { libc::fanotify_mark(self.fd.as_raw_fd(), libc::FAN_MARK_ADD, mask(interest), libc::AT_FDCWD, name.as_ptr()) };
        if done < 0 {
            return Err(io::Error::last_os_error());
        }
        // What had this name before is another file now.
        if let Some(former) = self.names.insert(path.to_owned(), handle.clone())
            && self.watched.get(&former).is_some_and(|(known, _)| known == path)
        {
            self.watched.remove(&former);
        }
        if let Some((old, _)) = self.watched.insert(handle.clone(), (path.to_owned(), interest))
            && old != path
            && self.names.get(&old) == Some(&handle)
        {
            self.names.remove(&old);
        }
        Ok(true)
    }

    pub(super) fn wait(&self, timeout: Duration) -> io::Result<bool> {
        readable(&[self.fd.as_fd()], timeout)
    }

    pub(super) fn drain(&mut self, take: &mut dyn FnMut(Noticed)) -> io::Result<()> {
        self.starts.retain(|_, (_, proven)| proven.elapsed() < PROVEN);
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut outcome = Ok(());
        for _ in 0..READS {
            match nix::unistd::read(&self.fd, &mut buffer) {
                Ok(0) | Err(nix::errno::Errno::EAGAIN) => break,
                Ok(length) => self.parse(buffer.get(..length).unwrap_or_default(), take),
                Err(nix::errno::Errno::EINTR) => {}
                Err(why) => {
                    outcome = Err(why.into());
                    break;
                }
            }
        }
        self.buffer = buffer;
        outcome
    }

    fn parse(&mut self, mut bytes: &[u8], take: &mut dyn FnMut(Noticed)) {
        let mut gone = HashSet::new();
        while let Some(event) = Raw::first(bytes) {
            bytes = bytes.get(event.length..).unwrap_or_default();
            if event.mask & libc::FAN_Q_OVERFLOW != 0 {
                take(Noticed::Overflow);
                continue;
            }
            if event.pid == self.own_pid {
                continue;
            }
            let by = (event.pid != 0).then(|| Toucher { pid: event.pid, start: self.start(&event) });
            if let Some(noticed) = self.place(&event, by) {
                if let Noticed::Gone(path) = &noticed {
                    gone.insert(path.clone());
                }
                take(noticed);
            }
        }
        if !gone.is_empty() {
            self.watched.retain(|_, (path, _)| !gone.contains(path));
            self.names.retain(|path, _| !gone.contains(path));
        }
    }

    /// When the process that did it started; `None` when it ended before we ever looked.
    fn start(&mut self, event: &Raw<'_>) -> Option<u64> {
        if let Some((start, _)) = self.starts.get(&event.pid) {
            return Some(*start);
        }
        let start = process_start::of(event.pid, event.pidfd.as_ref()?)?;
        self.starts.insert(event.pid, (start, Instant::now()));
        Some(start)
    }

    /// What an event is about, in paths. The file itself is looked up first: a secret keeps its name here although
    /// it was opened by another one (a hard link).
    fn place(&self, event: &Raw<'_>, by: Option<Toucher>) -> Option<Noticed> {
        let what = touch(event.mask);
        let file = event.file.as_ref().and_then(|handle| self.watched.get(handle));
        if let Some((path, Interest::Opening)) = file {
            return Some(Noticed::Touched(Touched { path: path.clone(), what, by }));
        }
        let (handle, name) = event.entry.as_ref()?;
        let (directory, _) = self.watched.get(handle)?;
        if *name == b"." || name.is_empty() {
            let moved_or_gone = event.mask & (libc::FAN_DELETE_SELF | libc::FAN_MOVE_SELF) != 0;
            return moved_or_gone.then(|| Noticed::Gone(directory.clone()));
        }
        Some(Noticed::Touched(Touched { path: directory.join(OsStr::from_bytes(name)), what, by }))
    }
}

/// A group of its own for somebody who wants other flags.
pub(super) fn init(flags: u32) -> io::Result<OwnedFd> {
    descriptors::ask_for(1)?;
    // SAFETY: no pointers; the result is checked before it is owned.
    let fd = unsafe { libc::fanotify_init(flags, (libc::O_RDONLY | libc::O_CLOEXEC) as u32) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor just returned to us and owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn mask(interest: Interest) -> u64 {
    let entries = libc::FAN_CREATE
        | libc::FAN_DELETE
        | libc::FAN_MOVED_FROM
        | libc::FAN_MOVED_TO
        | libc::FAN_DELETE_SELF
        | libc::FAN_MOVE_SELF
        | libc::FAN_ONDIR;
    let closed = entries | libc::FAN_CLOSE_WRITE | libc::FAN_ATTRIB | libc::FAN_EVENT_ON_CHILD;
    match interest {
        Interest::Entries => entries,
        Interest::Closed => closed,
        Interest::Content => closed | libc::FAN_MODIFY,
        Interest::Opening => libc::FAN_OPEN,
    }
}

fn touch(mask: u64) -> Touch {
    let has = |bit: u64| mask & bit != 0;
    Touch {
        created: has(libc::FAN_CREATE),
        deleted: has(libc::FAN_DELETE),
        moved_in: has(libc::FAN_MOVED_TO),
        moved_away: has(libc::FAN_MOVED_FROM),
        written: has(libc::FAN_MODIFY),
        closed: has(libc::FAN_CLOSE_WRITE),
        attributes: has(libc::FAN_ATTRIB),
        opened: has(libc::FAN_OPEN),
        directory: has(libc::FAN_ONDIR),
    }
}

/// One event as the kernel writes it: metadata, then information records (fanotify(7)).
pub(super) struct Raw<'a> {
    pub(super) length: usize,
    pub(super) mask: u64,
    pub(super) pid: u32,
    entry: Option<(Handle, &'a [u8])>,
    pub(super) file: Option<Handle>,
    pidfd: Option<OwnedFd>,
}

impl<'a> Raw<'a> {
    /// The event at the start of `bytes`.
    pub(super) fn first(bytes: &'a [u8]) -> Option<Self> {
        // struct fanotify_event_metadata: u32 event_len, u8 vers, u8 reserved, u16 metadata_len, u64 mask, i32 fd, i32 pid
        let length = number::<4>(bytes, 0).map(u32::from_ne_bytes)? as usize;
        let metadata = number::<2>(bytes, 6).map(u16::from_ne_bytes)? as usize;
        let mask = number::<8>(bytes, 8).map(u64::from_ne_bytes)?;
        let pid = number::<4>(bytes, 20).map(i32::from_ne_bytes)?;
        let mut records = bytes.get(metadata..length)?;
        let mut raw = Self { length, mask, pid: u32::try_from(pid).unwrap_or(0), entry: None, file: None, pidfd: None };
        // struct fanotify_event_info_header: u8 info_type, u8 pad, u16 len
        while let (Some(kind), Some(size)) = (records.first(), number::<2>(records, 2)) {
            let size = usize::from(u16::from_ne_bytes(size));
            let Some(body) = records.get(4..size) else { break };
            raw.record(*kind, body);
            records = records.get(size..).unwrap_or_default();
        }
        Some(raw)
    }

    fn record(&mut self, kind: u8, body: &'a [u8]) {
        match kind {
            libc::FAN_EVENT_INFO_TYPE_DFID_NAME => {
                self.entry = Handle::read(body).map(|(handle, rest)| (handle, rest.split(|byte| *byte == 0).next().unwrap_or_default()));
            }
            libc::FAN_EVENT_INFO_TYPE_DFID => self.entry = Handle::read(body).map(|(handle, _)| (handle, &b"."[..])),
            libc::FAN_EVENT_INFO_TYPE_FID => self.file = Handle::read(body).map(|(handle, _)| handle),
            libc::FAN_EVENT_INFO_TYPE_PIDFD => {
                let fd = number::<4>(body, 0).map_or(-1, i32::from_ne_bytes);
                // SAFETY: the kernel installed this descriptor for us with this event; negative means none.
                self.pidfd = (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) });
            }
            _ => {}
        }
    }
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process that lives a moment longer than its deed is proven; one that does not is known by its pid alone.
    #[test]
    fn who_is_still_there_is_proven() {
        let mut watch = match Fanotify::open() {
            Ok(watch) => watch,
            Err(why) => return eprintln!("skipped: fanotify: {why}"),
        };
        let dir = tempfile::tempdir().unwrap();
        let place = File::open(dir.path()).unwrap();
        watch.watch(dir.path(), &place, Interest::Content).unwrap();
        let path = dir.path().to_owned();
        let maker = std::thread::spawn(move || {
            for number in 0..20 {
                let done = std::process::Command::new("/bin/sh")
                    .args(["-c", &format!("echo x > f{number}; sleep 0.1")])
                    .current_dir(&path)
                    .status()
                    .unwrap();
                assert!(done.success());
            }
        });
        let (mut proven, mut pids) = (HashSet::new(), HashSet::new());
        while !maker.is_finished() {
            watch.wait(Duration::from_millis(100)).unwrap();
            for _ in 0..2 {
                watch
                    .drain(&mut |noticed| {
                        if let Noticed::Touched(Touched { by: Some(by), .. }) = noticed {
                            pids.insert(by.pid);
                            proven.extend(by.start.map(|_| by.pid));
                        }
                    })
                    .unwrap();
                std::thread::sleep(Duration::from_millis(8));
            }
        }
        maker.join().unwrap();
        assert_eq!((pids.len(), proven.len()), (20, 20));
    }
}
