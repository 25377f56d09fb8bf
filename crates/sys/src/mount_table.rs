//! What is mounted where: asked of the kernel by mount id (statmount(2)), or read from the text of mountinfo.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use super::mountinfo::{self, Line};
use bartizan_model::HostText;

/// Mounts known at once; a host with more keeps the rest unnamed.
pub(super) const MOST: usize = 65_536;

/// System calls of Linux 6.8, the same number on every architecture (include/uapi/asm-generic/unistd.h).
const SYS_STATMOUNT: libc::c_long = 457;
const SYS_LISTMOUNT: libc::c_long = 458;
/// `ioctl(_IOR(0xb7, 5, u64))`: the id of a mount namespace (include/uapi/linux/nsfs.h).
const NS_GET_MNTNS_ID: libc::Ioctl = 0x8008_b705_u32 as libc::Ioctl;
/// The root of a mount namespace, as where to begin a list.
const LSMT_ROOT: u64 = u64::MAX;
/// What we ask: mount point, file system type, source (include/uapi/linux/mount.h).
const MNT_POINT: u64 = 0x10;
const FS_TYPE: u64 = 0x20;
const SB_SOURCE: u64 = 0x200;
/// Bytes of `struct statmount` before its strings; where in it the mask and the places of our three strings stand.
const FIXED: usize = 512;
const MASK_AT: usize = 8;
const FS_TYPE_AT: usize = 36;
const MNT_POINT_AT: usize = 108;
const SB_SOURCE_AT: usize = 124;
/// Room for the strings: a path (PATH_MAX 4096), a type and a source.
const ANSWER: usize = FIXED + 3 * 4096;

/// One mounted file system.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mount {
    /// Where: a path from the root of init's file tree.
    pub point: HostText,
    /// Its type: `tmpfs`, `overlay`, `ext4` ...
    pub kind: HostText,
    /// What was mounted: a device, or the name that its mounter gave.
    pub source: HostText,
}

/// `struct mnt_id_req` (include/uapi/linux/mount.h).
#[repr(C)]
struct Request {
    size: u32,
    spare: u32,
    id: u64,
    parameter: u64,
    namespace: u64,
}

impl Request {
    fn new(id: u64, parameter: u64, namespace: u64) -> Self {
        Self { size: size_of::<Self>() as u32, spare: 0, id, parameter, namespace }
    }
}

/// The id by which the two calls know a mount namespace.
pub(super) fn namespace_id(file: &File) -> io::Result<u64> {
    let mut id = 0_u64;
    // SAFETY: the descriptor is open, the result is one u64 of ours.
    match unsafe { libc::ioctl(file.as_raw_fd(), NS_GET_MNTNS_ID, &raw mut id) } {
        0 => Ok(id),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Ids of all mounts of a namespace; what cannot be asked is left out.
pub(super) fn list(namespace: u64) -> Vec<u64> {
    let (mut all, mut chunk) = (Vec::new(), [0_u64; 512]);
    while all.len() < MOST {
        let request = Request::new(LSMT_ROOT, all.last().copied().unwrap_or(0), namespace);
        // SAFETY: request and room are ours, as long as we say, and live for the call.
        let got = unsafe { libc::syscall(SYS_LISTMOUNT, &raw const request, chunk.as_mut_ptr(), chunk.len(), 0) };
        match usize::try_from(got).ok().and_then(|got| chunk.get(..got)) {
            Some(ids) if !ids.is_empty() => all.extend_from_slice(ids),
            _ => break,
        }
    }
    all
}

/// What a mount is; `None` when it is gone.
pub(super) fn look_up(id: u64, namespace: u64) -> Option<Mount> {
    let request = Request::new(id, MNT_POINT | FS_TYPE | SB_SOURCE, namespace);
    // u64 for the alignment that the structure needs.
    let mut answer = [0_u64; ANSWER / 8];
    // SAFETY: request and answer are ours, as long as we say, and live for the call.
    let done = unsafe { libc::syscall(SYS_STATMOUNT, &raw const request, answer.as_mut_ptr(), size_of_val(&answer), 0) };
    if done != 0 {
        return None;
    }
    let bytes: Vec<u8> = answer.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let mask = bytes.get(MASK_AT..)?.first_chunk().map(|word| u64::from_ne_bytes(*word))?;
    let text = |bit: u64, at: usize| -> Option<HostText> {
        if mask & bit == 0 {
            return Some(HostText::default()); // sources are told since 6.13
        }
        let offset = bytes.get(at..)?.first_chunk().map(|word| u32::from_ne_bytes(*word))? as usize;
        Some(HostText::from(bytes.get(FIXED + offset..)?.split(|byte| *byte == 0).next()?))
    };
    Some(Mount { point: text(MNT_POINT, MNT_POINT_AT)?, kind: text(FS_TYPE, FS_TYPE_AT)?, source: text(SB_SOURCE, SB_SOURCE_AT)? })
}

/// `/proc/PID/mountinfo` (proc(5)): by the number in its first field.
pub(super) fn parse(table: &[u8]) -> HashMap<u64, Mount> {
    let mount = |line: Line| (line.id, Mount { point: line.point.into(), kind: line.kind.into(), source: line.source.into() });
    mountinfo::lines(table).map(mount).take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_answers_as_the_table_does() {
        let namespace = match File::open("/proc/self/ns/mnt").and_then(|file| namespace_id(&file)) {
            Ok(namespace) => namespace,
            Err(why) => return eprintln!("skipped: mount namespace ids (Linux 6.11): {why}"),
        };
        let mut told: Vec<_> = list(namespace).into_iter().filter_map(|id| look_up(id, namespace)).map(|m| (m.point, m.kind)).collect();
        assert!(told.iter().any(|(point, kind)| *point == *"/proc" && *kind == *"proc"), "{told:?}");
        let table = parse(&std::fs::read("/proc/self/mountinfo").unwrap());
        let mut read: Vec<_> = table.into_values().map(|m| (m.point, m.kind)).collect();
        told.sort_by_key(|(point, kind)| (point.lossy().into_owned(), kind.lossy().into_owned()));
        read.sort_by_key(|(point, kind)| (point.lossy().into_owned(), kind.lossy().into_owned()));
        // Other tests mount at the same time: nearly all must agree.
        let common = told.iter().filter(|mount| read.contains(mount)).count();
        assert!(common + 4 >= read.len() && common + 4 >= told.len(), "{told:?} {read:?}");
    }
}
