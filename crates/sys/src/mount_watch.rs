//! What is mounted and unmounted in init's mount namespace: fanotify tells who did it (Linux 6.15), else the mount table is compared.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use nix::poll::PollFlags;

use super::descriptors;
use super::file_watch::Toucher;
use super::mount_table::{self, Mount};
use super::process_start;
use super::readiness::ready;

/// include/uapi/linux/fanotify.h; the libc crate does not have them yet.
const FAN_REPORT_MNT: libc::c_uint = 0x4000;
const FAN_MARK_MNTNS: libc::c_uint = 0x110;
const FAN_MNT_ATTACH: u64 = 0x0100_0000;
const FAN_MNT_DETACH: u64 = 0x0200_0000;
const INFO_PIDFD: u8 = 4;
const INFO_MNT: u8 = 7;
/// Bytes of one read: some 80 events.
const BUFFER: usize = 4096;
/// Reads of one drain, so that a flood cannot keep the caller from looking at anything else.
const READS: usize = 64;
/// Longest mount table read when it is compared.
const MAX_TABLE: u64 = 8 << 20;

/// One change of what is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountSeen {
    /// Mounted, or unmounted.
    pub attached: bool,
    /// What; `None` when it came and went before it could be looked up.
    pub mount: Option<Mount>,
    /// Who did it; unknown when the mount table is compared.
    pub by: Option<Toucher>,
}

/// What a drain found besides changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Drained {
    /// How often the kernel's queue overflowed: each time an unknown number of changes is lost.
    pub overflows: u64,
}

/// A watch over one mount namespace. Dropping it ends it.
#[derive(Debug)]
pub struct MountWatch {
    means: Means,
    /// Unique mount id (or the line's id, when comparing) to what it is: an unmounted one can no longer be asked about.
    known: HashMap<u64, Mount>,
    own_pid: u32,
}

#[derive(Debug)]
enum Means {
    Fanotify { group: OwnedFd, namespace: u64 },
    Comparing { table: File, path: &'static str },
}

impl MountWatch {
    /// By fanotify, else by comparing.
    ///
    /// # Errors
    /// When not even the mount table can be read.
    pub fn open() -> io::Result<Self> {
        Self::telling_who().or_else(|_| Self::comparing())
    }

    /// By fanotify alone (Linux 6.15, CAP_SYS_ADMIN).
    ///
    /// # Errors
    /// When the kernel is older or refuses.
    pub fn telling_who() -> io::Result<Self> {
        let file = File::open("/proc/1/ns/mnt").or_else(|_| File::open("/proc/self/ns/mnt"))?;
        let base = FAN_REPORT_MNT | libc::FAN_CLOEXEC | libc::FAN_NONBLOCK;
        let group = group(base | libc::FAN_REPORT_PIDFD).or_else(|_| group(base))?;
        let (what, namespace) = (FAN_MNT_ATTACH | FAN_MNT_DETACH, mount_table::namespace_id(&file)?);
        // SAFETY: both descriptors are open; without a path the mark is on what the second one refers to.
        let done = unsafe {
            libc::fanotify_mark(group.as_raw_fd(), libc::FAN_MARK_ADD | FAN_MARK_MNTNS, what, file.as_raw_fd(), std::ptr::null())
        };
        if done < 0 {
            return Err(io::Error::last_os_error());
        }
        // After the mark, so that nothing falls between.
        let known = mount_table::list(namespace).into_iter().filter_map(|id| Some((id, mount_table::look_up(id, namespace)?))).collect();
        Ok(Self { means: Means::Fanotify { group, namespace }, known, own_pid: std::process::id() })
    }

    /// By comparing the mount table whenever the kernel says that it changed: nobody knows who did it then.
    ///
    /// # Errors
    /// When the mount table cannot be read.
    pub fn comparing() -> io::Result<Self> {
        let open = |path: &'static str| Ok::<_, io::Error>((File::open(path)?, path));
        let (table, path) = open("/proc/1/mountinfo").or_else(|_| open("/proc/self/mountinfo"))?;
        let known = mount_table::parse(&read_table(path)?);
        Ok(Self { means: Means::Comparing { table, path }, known, own_pid: std::process::id() })
    }

    /// Whether the process is known.
    pub fn tells_who(&self) -> bool {
        matches!(self.means, Means::Fanotify { .. })
    }

    /// Waits until something is there, at most `timeout`. Whether there is.
    ///
    /// # Errors
    /// When the kernel breaks the watch.
    pub fn wait(&self, timeout: Duration) -> io::Result<bool> {
        let (fd, flags): (BorrowedFd<'_>, _) = match &self.means {
            Means::Fanotify { group, .. } => (group.as_fd(), PollFlags::POLLIN),
            // proc(5): a change of the table is an exceptional condition of its file.
            Means::Comparing { table, .. } => (table.as_fd(), PollFlags::POLLPRI),
        };
        ready(&[fd], flags, timeout)
    }

    /// Hands over what changed; our own mounts are left out.
    ///
    /// # Errors
    /// When the kernel breaks the watch.
    pub fn drain(&mut self, take: &mut dyn FnMut(MountSeen)) -> io::Result<Drained> {
        match &self.means {
            Means::Fanotify { .. } => self.read_events(take),
            Means::Comparing { path, .. } => {
                let now = mount_table::parse(&read_table(path)?);
                for (_, mount) in now.iter().filter(|(id, _)| !self.known.contains_key(id)) {
                    take(MountSeen { attached: true, mount: Some(mount.clone()), by: None });
                }
                for (_, mount) in self.known.iter().filter(|(id, _)| !now.contains_key(id)) {
                    take(MountSeen { attached: false, mount: Some(mount.clone()), by: None });
                }
                self.known = now;
                Ok(Drained::default())
            }
        }
    }

    fn read_events(&mut self, take: &mut dyn FnMut(MountSeen)) -> io::Result<Drained> {
        let (mut drained, mut buffer) = (Drained::default(), [0; BUFFER]);
        for _ in 0..READS {
            let Means::Fanotify { group, namespace } = &self.means else { break };
            let (length, namespace) = match nix::unistd::read(group, &mut buffer) {
                Ok(0) | Err(nix::errno::Errno::EAGAIN) => break,
                Ok(length) => (length, *namespace),
                Err(nix::errno::Errno::EINTR) => continue,
                Err(why) => return Err(why.into()),
            };
            let mut rest = buffer.get(..length).unwrap_or_default();
            while let Some(event) = Raw::first(rest) {
                rest = rest.get(event.length..).unwrap_or_default();
                if event.mask & libc::FAN_Q_OVERFLOW != 0 {
                    drained.overflows += 1;
                    self.begin_again(namespace);
                } else if let Some(id) = event.mount {
                    self.told(&event, id, namespace, take);
                }
            }
        }
        Ok(drained)
    }

    fn told(&mut self, event: &Raw, id: u64, namespace: u64, take: &mut dyn FnMut(MountSeen)) {
        // One move is both: detached there, attached here.
        let detached = (event.mask & FAN_MNT_DETACH != 0).then(|| self.known.remove(&id));
        let attached = (event.mask & FAN_MNT_ATTACH != 0).then(|| mount_table::look_up(id, namespace));
        if let Some(Some(mount)) = &attached
            && self.known.len() < mount_table::MOST
        {
            self.known.insert(id, mount.clone());
        }
        if event.pid == self.own_pid {
            return;
        }
        let start = event.pidfd.as_ref().and_then(|pidfd| process_start::of(event.pid, pidfd));
        let by = (event.pid != 0).then_some(Toucher { pid: event.pid, start });
        for (attached, mount) in detached.map(|mount| (false, mount)).into_iter().chain(attached.map(|mount| (true, mount))) {
            take(MountSeen { attached, mount, by });
        }
    }

    fn begin_again(&mut self, namespace: u64) {
        let list = mount_table::list(namespace);
        self.known = list.into_iter().filter_map(|id| Some((id, mount_table::look_up(id, namespace)?))).collect();
    }
}

fn group(flags: libc::c_uint) -> io::Result<OwnedFd> {
    descriptors::ask_for(1)?;
    // SAFETY: no pointers; the result is checked before it is owned.
    let fd = unsafe { libc::fanotify_init(flags, 0) };
    // SAFETY: a descriptor just returned to us and owned by nobody else.
    if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(unsafe { OwnedFd::from_raw_fd(fd) }) }
}

fn read_table(path: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_TABLE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// One event: `struct fanotify_event_metadata` and its records (fanotify(7)).
struct Raw {
    length: usize,
    mask: u64,
    pid: u32,
    pidfd: Option<OwnedFd>,
    mount: Option<u64>,
}

impl Raw {
    fn first(bytes: &[u8]) -> Option<Self> {
        // u32 event_len, u8 vers, u8 reserved, u16 metadata_len, u64 mask, i32 fd, i32 pid
        let length = u32::from_ne_bytes(part(bytes, 0)?) as usize;
        let metadata = usize::from(u16::from_ne_bytes(part(bytes, 6)?));
        let (mask, pid) = (u64::from_ne_bytes(part(bytes, 8)?), i32::from_ne_bytes(part(bytes, 20)?));
        let mut records = bytes.get(metadata..length).filter(|_| length >= 24)?;
        let mut raw = Self { length, mask, pid: u32::try_from(pid).unwrap_or(0), pidfd: None, mount: None };
        // struct fanotify_event_info_header: u8 info_type, u8 pad, u16 len
        while let (Some(kind), Some(size)) = (records.first(), part(records, 2)) {
            let size = usize::from(u16::from_ne_bytes(size));
            let Some(body) = records.get(4..size) else { break };
            match *kind {
                INFO_PIDFD => {
                    let fd = part(body, 0).map_or(-1, i32::from_ne_bytes);
                    // SAFETY: the kernel installed this descriptor for us with this event; negative means none.
                    raw.pidfd = (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) });
                }
                INFO_MNT => raw.mount = part(body, 4).map(u64::from_ne_bytes),
                _ => {}
            }
            records = records.get(size..).unwrap_or_default();
        }
        Some(raw)
    }
}

fn part<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::time::Instant;

    /// Mounts and unmounts a small tmpfs by a shell that stays a moment; what the watch told of it.
    fn seen(mut watch: MountWatch) -> (u32, Vec<MountSeen>, String) {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().display().to_string();
        let script = format!("mount -t tmpfs -o size=16k odd-source '{place}' && sleep 0.3 && umount '{place}'");
        let mut shell = Command::new("sh").args(["-c", &script]).spawn().unwrap();
        let (mut seen, end) = (Vec::new(), Instant::now() + Duration::from_secs(5));
        while seen.len() < 2 && Instant::now() < end {
            watch.wait(Duration::from_millis(50)).unwrap();
            watch
                .drain(&mut |event| {
                    // Others mount and unmount at the same time.
                    if event.mount.as_ref().is_some_and(|mount| mount.point == *place) {
                        seen.push(event);
                    }
                })
                .unwrap();
        }
        assert!(shell.wait().unwrap().success());
        (std::process::id(), seen, place)
    }

    #[test]
    fn fanotify_tells_what_is_mounted_and_by_whom() {
        let watch = match MountWatch::telling_who() {
            Ok(watch) => watch,
            Err(why) => return eprintln!("skipped: fanotify of mounts (Linux 6.15): {why}"),
        };
        assert!(watch.tells_who() && watch.known.values().any(|mount| mount.point == *"/proc"), "{:?}", watch.known);
        let (us, seen, place) = seen(watch);
        let told: Vec<_> = seen.iter().map(|event| (event.attached, event.mount.clone().unwrap())).collect();
        let mount = Mount { point: place.as_str().into(), kind: "tmpfs".into(), source: "odd-source".into() };
        assert_eq!(told, [(true, mount.clone()), (false, mount)]);
        assert!(seen.iter().all(|event| event.by.is_some_and(|by| by.pid != us)));
    }

    #[test]
    fn the_table_tells_what_is_mounted_and_not_by_whom() {
        if !nix::unistd::geteuid().is_root() {
            return eprintln!("skipped: needs root to mount");
        }
        let (_, seen, place) = seen(MountWatch::comparing().unwrap());
        let told: Vec<_> = seen.iter().map(|event| (event.attached, event.mount.clone().unwrap(), event.by)).collect();
        let mount = Mount { point: place.as_str().into(), kind: "tmpfs".into(), source: "odd-source".into() };
        assert_eq!(told, [(true, mount.clone(), None), (false, mount, None)]);
    }

    #[test]
    fn cut_events_are_nothing() {
        assert!(Raw::first(&[24, 0, 0, 0, 3, 0, 24, 0]).is_none());
        assert!(Raw::first(&[0; 24]).is_none(), "an event without a length would be read for ever");
    }
}
