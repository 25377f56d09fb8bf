//! Records of the kernel programs (`events.h`) as Rust values.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::sighting::{Image, Who, audit_id, split_argv, ticks};
use crate::model::{ExeFile, Exit, Flow, HostText, Namespaces, Protocol};

/// One thing that the kernel reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RawEvent {
    /// A program was executed.
    Exec(Who, Image),
    /// A process was created: the child.
    Fork(Who),
    /// The last thread of a process ended.
    Exit {
        /// Its pid.
        pid: u32,
        /// When it started, in clock ticks since boot.
        start: u64,
        /// The moment, in nanoseconds since boot.
        at: u64,
        /// How it ended.
        exit: Exit,
    },
    /// An outbound TCP connection was begun, or a first UDP datagram is about to be sent there. The local port is not
    /// chosen yet, unless the program bound one; for UDP it is not told.
    Connect(Who, Flow),
    /// A TCP socket began to listen. Port 0: the kernel chooses one a moment later.
    Listen(Who, Flow),
}

/// `struct head`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Head {
    kind: u32,
    pid: u32,
    _tid: u32,
    ppid: u32,
    at: u64,
    start: u64,
    parent_start: u64,
    capabilities: u64,
    uid: u32,
    euid: u32,
    loginuid: u32,
    session: u32,
    netns: u32,
    stdio_sockets: u32,
}

/// `struct exec_event` up to its data.
#[repr(C)]
#[derive(Clone, Copy)]
struct ExecHead {
    head: Head,
    inode: u64,
    device: u32,
    nlink: u32,
    magic: u32,
    argv_total: u32,
    argv_len: u32,
    exe_len: u32,
    cwd_len: u32,
    cgroup_len: u32,
    flags: u32,
    _unused: u32,
}

/// `struct exit_event`.
#[repr(C)]
#[derive(Clone, Copy)]
struct ExitRecord {
    _kind: u32,
    pid: u32,
    at: u64,
    start: u64,
    code: u32,
    _unused: u32,
}

/// `struct net_event`.
#[repr(C)]
#[derive(Clone, Copy)]
struct NetRecord {
    head: Head,
    remote: [u32; 4],
    local: [u32; 4],
    family: u16,
    local_port: u16,
    remote_port: u16,
    protocol: u16,
}

const _: () =
    assert!(size_of::<Head>() == 72 && size_of::<ExecHead>() == 120 && size_of::<ExitRecord>() == 32 && size_of::<NetRecord>() == 112);

/// Structs of integers alone: every bit pattern is a value.
trait Plain: Copy {}
impl Plain for u32 {}
impl Plain for Head {}
impl Plain for ExecHead {}
impl Plain for ExitRecord {}
impl Plain for NetRecord {}

fn read<T: Plain>(bytes: &[u8]) -> Option<T> {
    // SAFETY: `Plain` types have no invalid bit pattern, the length is checked, and the read needs no alignment.
    (bytes.len() >= size_of::<T>()).then(|| unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

/// Superblock magics of file systems that hold memfds (include/uapi/linux/magic.h).
const TMPFS_MAGIC: u32 = 0x0102_1994;
const HUGETLBFS_MAGIC: u32 = 0x9584_58f6;

/// Reads one record; `None` when it is not one of ours (counted by the caller).
pub(super) fn parse(bytes: &[u8]) -> Option<RawEvent> {
    match read::<u32>(bytes)? {
        1 => exec(bytes),
        2 => read::<Head>(bytes).map(|head| RawEvent::Fork(who(&head))),
        3 => read::<ExitRecord>(bytes).map(|r| RawEvent::Exit { pid: r.pid, start: ticks(r.start), at: r.at, exit: exit(r.code) }),
        4 => read::<NetRecord>(bytes).map(|r| RawEvent::Connect(who(&r.head), flow(&r, true))),
        5 => read::<NetRecord>(bytes).map(|r| RawEvent::Listen(who(&r.head), flow(&r, false))),
        _ => None,
    }
}

fn who(head: &Head) -> Who {
    Who {
        pid: head.pid,
        start: ticks(head.start),
        ppid: head.ppid,
        parent_start: Some(ticks(head.parent_start)),
        at: head.at,
        uid: head.uid,
        euid: head.euid,
        loginuid: audit_id(head.loginuid),
        session: audit_id(head.session),
        capabilities: head.capabilities,
        netns: head.netns,
        namespaces: Namespaces::default(),
    }
}

/// A wait(2) status.
pub(in crate::host) fn exit(status: u32) -> Exit {
    let signal = (status & 0x7f) as u8;
    Exit { code: (signal == 0).then_some((status >> 8) as u8), signal: (signal != 0).then_some(signal) }
}

fn exec(bytes: &[u8]) -> Option<RawEvent> {
    let e = read::<ExecHead>(bytes)?;
    let mut rest = bytes.get(size_of::<ExecHead>()..)?;
    let mut take = |len: u32| {
        let (part, left) = rest.split_at_checked(len as usize)?;
        rest = left;
        Some(part)
    };
    let (argv, exe, cwd, cgroup) = (take(e.argv_len)?, take(e.exe_len)?, take(e.cwd_len)?, take(e.cgroup_len)?);
    let in_memory = e.nlink == 0 && exe.starts_with(b"memfd:") && matches!(e.magic, TMPFS_MAGIC | HUGETLBFS_MAGIC);
    let exe_file =
        ExeFile { device: e.device, inode: e.inode, memfd: in_memory, deleted: e.nlink == 0 && !in_memory, changed: 0, sha256: None };
    let exe = if in_memory { HostText::from(exe.strip_suffix(b"\0").unwrap_or(exe)) } else { path(exe) };
    let image = Image {
        exe,
        exe_file,
        argv: split_argv(argv),
        argv_truncated: e.argv_total > e.argv_len,
        environment: Vec::new(),
        tty: None,
        cwd: path(cwd),
        cgroup: path(cgroup),
        stdio_sockets: (e.head.stdio_sockets & 7) as u8,
        // A cut argument list has its own flag and still counts as complete.
        complete: e.flags == 0,
    };
    Some(RawEvent::Exec(who(&e.head), image))
}

/// A path from its names, last first, each ended by NUL; `/` is the name of a root.
fn path(names: &[u8]) -> HostText {
    let mut out = Vec::with_capacity(names.len() + 1);
    for name in names.split(|byte| *byte == 0).rev().filter(|name| !name.is_empty() && *name != b"/") {
        out.push(b'/');
        out.extend_from_slice(name);
    }
    if out.is_empty() { HostText::from("/") } else { HostText::from(out) }
}

fn flow(r: &NetRecord, outbound: bool) -> Flow {
    Flow {
        proto: if i32::from(r.protocol) == libc::IPPROTO_UDP { Protocol::Udp } else { Protocol::Tcp },
        src: address(r.family, r.local),
        sport: r.local_port,
        dst: outbound.then(|| address(r.family, r.remote)),
        dport: outbound.then_some(r.remote_port),
        name: None,
    }
}

fn address(family: u16, words: [u32; 4]) -> IpAddr {
    let [a, b, c, d] = words.map(u32::to_ne_bytes);
    if i32::from(family) == libc::AF_INET {
        return Ipv4Addr::from(a).into();
    }
    let mut octets = [0; 16];
    for (to, from) in octets.iter_mut().zip([a, b, c, d].into_iter().flatten()) {
        *to = from;
    }
    IpAddr::from(Ipv6Addr::from(octets)).to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_become_a_path() {
        assert_eq!(path(b"sh\0bin\0usr\0/\0"), HostText::from("/usr/bin/sh"));
        assert_eq!(path(b"/\0"), HostText::from("/"));
        assert_eq!(path(b"\xff\x1b\0tmp\0").as_bytes(), b"/tmp/\xff\x1b");
    }

    #[test]
    fn a_status_is_a_code_or_a_signal() {
        assert_eq!(exit(0x0300), Exit { code: Some(3), signal: None });
        assert_eq!(exit(0x89), Exit { code: None, signal: Some(9) });
    }

    proptest! {
        #[test]
        fn no_record_can_panic(kind in 0u32..8, bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let record: Vec<u8> = kind.to_ne_bytes().into_iter().chain(bytes).collect();
            let _ = parse(&record);
        }
    }
}
