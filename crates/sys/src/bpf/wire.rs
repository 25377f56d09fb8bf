//! Records of the kernel programs (`events.h`) as Rust values.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use std::borrow::Cow;
use std::collections::VecDeque;

use super::super::environment;
use super::super::sighting::{Image, Who, audit_id, split_argv, ticks};
use super::layout::{
    ACCEPT, ARGV, ArgvHead, CLOSE, CONNECT, EXEC, EXIT, ExecHead, ExitRecord, FALSE_NAME, FORK, Head, IO_URING, KILL, LISTEN, MODULE,
    NetRecord, PrivilegeRecord, SETTING, SettingRecord, TalkRecord, URGENT, read,
};
use bartizan_model::{ExeFile, Exit, Flow, HostText, Namespaces, Protocol, Traffic};

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
    /// A process sent a signal that ends or stops a guarded one.
    Kill {
        /// Who sent it.
        who: Who,
        /// To whom: pid and start in clock ticks since boot.
        target: (u32, u64),
        /// Its number.
        signal: u8,
    },
    /// A kernel module of this name is being loaded.
    Module(Who, HostText),
    /// An io_uring was set up.
    IoUring(Who),
    /// A connection from outside was accepted for a listener.
    Accept(Talk),
    /// A connection ended.
    Close(Talk),
    /// A setting of the kernel is about to be written: its name (`kernel/core_pattern`), its value before and after.
    Setting(Who, HostText, HostText, HostText),
    /// A process or thread took the name of a kernel thread.
    FalseName(Who, HostText),
}

/// A TCP connection, seen from this side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Talk {
    /// Whose it is, by pid and start in clock ticks since boot, when known.
    pub who: Option<(u32, u64)>,
    /// Between whom.
    pub net: Flow,
    /// In which network namespace.
    pub netns: u32,
    /// The moment, in nanoseconds since boot.
    pub at: u64,
    /// What it carried; at its beginning nothing.
    pub traffic: Traffic,
}

/// Superblock magics of file systems that hold memfds (include/uapi/linux/magic.h).
const TMPFS_MAGIC: u32 = 0x0102_1994;
const HUGETLBFS_MAGIC: u32 = 0x9584_58f6;

/// Pieces of arguments that wait for their exec: it follows at once on the same processor.
const PIECES: usize = 64;

/// Turns records of one ring into events.
#[derive(Debug, Default)]
pub struct Decoder {
    pieces: VecDeque<(u32, u64, Vec<u8>)>,
    /// Records that were not understood: always 0 unless program and object do not fit each other.
    pub malformed: u64,
}

impl Decoder {
    /// Reads one record; `None` when it is a piece of a later one, or not one of ours (counted).
    pub fn decode(&mut self, bytes: &[u8]) -> Option<RawEvent> {
        let kind = read::<u32>(bytes).unwrap_or_default();
        let event = match kind {
            ARGV if self.keep(bytes).is_some() => return None,
            EXEC => exec(bytes, |who| self.rest(who)),
            _ => plain(kind, bytes),
        };
        self.malformed += u64::from(event.is_none());
        event
    }

    fn keep(&mut self, bytes: &[u8]) -> Option<()> {
        let head = read::<ArgvHead>(bytes)?;
        argv_of(bytes)?;
        if self.pieces.len() >= PIECES {
            self.pieces.pop_front();
        }
        self.pieces.push_back((head.pid, ticks(head.start), bytes.to_vec()));
        Some(())
    }

    fn rest(&mut self, who: &Who) -> Vec<u8> {
        let at = self.pieces.iter().position(|(pid, start, _)| (*pid, *start) == (who.pid, who.start));
        let piece = at.and_then(|at| self.pieces.remove(at));
        piece.and_then(|(_, _, bytes)| argv_of(&bytes).map(<[u8]>::to_vec)).unwrap_or_default()
    }

    /// Pieces whose later record did not come yet, as records for another decoder.
    pub fn take_pieces(&mut self) -> Vec<u8> {
        let mut records = Vec::new();
        self.pieces.drain(..).for_each(|(_, _, bytes)| append(&bytes, &mut records));
        records
    }
}

/// What a record of kind [`ARGV`] carries.
fn argv_of(bytes: &[u8]) -> Option<&[u8]> {
    let head = read::<ArgvHead>(bytes)?;
    bytes.get(size_of::<ArgvHead>()..)?.get(..head.len as usize)
}

fn plain(kind: u32, bytes: &[u8]) -> Option<RawEvent> {
    match kind {
        FORK => read::<Head>(bytes).map(|head| RawEvent::Fork(who(&head))),
        EXIT => read::<ExitRecord>(bytes).map(|r| RawEvent::Exit { pid: r.pid, start: ticks(r.start), at: r.at, exit: exit(r.code) }),
        CONNECT => read::<NetRecord>(bytes).map(|r| RawEvent::Connect(who(&r.head), flow(&r, true))),
        LISTEN => read::<NetRecord>(bytes).map(|r| RawEvent::Listen(who(&r.head), flow(&r, false))),
        KILL => read::<PrivilegeRecord>(bytes).map(|r| RawEvent::Kill {
            who: who(&r.head),
            target: (r.target, ticks(r.target_start)),
            signal: u8::try_from(r.signal).unwrap_or_default(),
        }),
        MODULE => read::<PrivilegeRecord>(bytes).map(|r| RawEvent::Module(who(&r.head), text(&r.name))),
        IO_URING => read::<PrivilegeRecord>(bytes).map(|r| RawEvent::IoUring(who(&r.head))),
        ACCEPT => read::<TalkRecord>(bytes).map(|r| RawEvent::Accept(talk(&r))),
        CLOSE => read::<TalkRecord>(bytes).map(|r| RawEvent::Close(talk(&r))),
        SETTING => read::<SettingRecord>(bytes).map(|r| RawEvent::Setting(who(&r.head), text(&r.name), text(&r.before), text(&r.after))),
        FALSE_NAME => read::<PrivilegeRecord>(bytes).map(|r| RawEvent::FalseName(who(&r.head), text(&r.name))),
        _ => None,
    }
}

/// Whether somebody may want to judge this record at once, even in a flood: who begins to listen, a program on a socket
/// or without a name, and everything that is rare by nature.
pub fn presses(record: &[u8]) -> bool {
    match read::<u32>(record) {
        Some(EXEC) => read::<ExecHead>(record).is_some_and(|e| e.nlink == 0 || e.head.stdio_sockets != 0),
        Some(LISTEN | KILL | MODULE | IO_URING) => true,
        Some(FORK | EXIT | CONNECT | ARGV | ACCEPT | CLOSE | SETTING | FALSE_NAME) => false,
        // No record of ours: every kind stands above.
        None | Some(0 | 14..) => false,
    }
}

/// Puts a record behind others, with its length before it. Of an environment only what matters is kept: it may be large
/// and waits here for long.
pub fn append(record: &[u8], to: &mut Vec<u8>) {
    let slim = slimmed(record);
    let record = slim.as_deref().unwrap_or(record);
    // No record is longer than 64 KiB (events.h).
    to.extend_from_slice(&(record.len() as u32).to_ne_bytes());
    to.extend_from_slice(record);
}

/// The records of [`append`], in order, each with what follows it.
pub fn records(mut bytes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (record, rest) = rest.split_at_checked(u32::from_ne_bytes(*length) as usize)?;
        bytes = rest;
        Some((record, rest))
    })
}

fn slimmed(record: &[u8]) -> Option<Vec<u8>> {
    let mut head = read::<u32>(record).filter(|kind| *kind == EXEC).and_then(|_| read::<ExecHead>(record))?;
    let length = head.env_len as usize;
    if length == 0 {
        return None;
    }
    let (rest, env) = record.split_at_checked(record.len().checked_sub(length)?)?;
    let kept = environment::notable(env);
    let mut slim = rest.to_vec();
    for variable in kept {
        slim.extend([variable.name.as_bytes(), b"=", variable.value.as_bytes(), b"\0"].concat());
    }
    head.env_len = u32::try_from(slim.len() - rest.len()).ok()?;
    // SAFETY: a plain structure of integers, read as the bytes that it is made of; `#[repr(C)]` and its size leave no padding.
    let bytes = unsafe { std::slice::from_raw_parts((&raw const head).cast::<u8>(), size_of::<ExecHead>()) };
    slim.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(slim)
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
        namespaces: Namespaces { mnt: head.mntns, pid: head.pidns, user: head.userns },
        urgent: head.mark & URGENT != 0,
    }
}

/// A wait(2) status.
pub(crate) fn exit(status: u32) -> Exit {
    let signal = (status & 0x7f) as u8;
    Exit { code: (signal == 0).then_some((status >> 8) as u8), signal: (signal != 0).then_some(signal) }
}

fn exec(bytes: &[u8], rest: impl FnOnce(&Who) -> Vec<u8>) -> Option<RawEvent> {
    let e = read::<ExecHead>(bytes)?;
    let who = who(&e.head);
    let mut data = bytes.get(size_of::<ExecHead>()..)?;
    let mut take = |len: u32| {
        let (part, left) = data.split_at_checked(len as usize)?;
        data = left;
        Some(part)
    };
    let (argv, exe, cwd, cgroup, env) = (take(e.argv_len)?, take(e.exe_len)?, take(e.cwd_len)?, take(e.cgroup_len)?, take(e.env_len)?);
    let argv = if e.argv_total > e.argv_len { Cow::Owned([argv, &rest(&who)].concat()) } else { Cow::Borrowed(argv) };
    let in_memory = e.nlink == 0 && exe.starts_with(b"memfd:") && matches!(e.magic, TMPFS_MAGIC | HUGETLBFS_MAGIC);
    let exe_file = ExeFile {
        device: e.device,
        inode: e.inode,
        memfd: in_memory,
        deleted: e.nlink == 0 && !in_memory,
        changed: e.changed,
        sha256: None,
    };
    let exe = if in_memory { HostText::from(exe.strip_suffix(b"\0").unwrap_or(exe)) } else { path(exe) };
    let image = Image {
        exe,
        exe_file,
        argv_truncated: e.argv_total as usize > argv.len(),
        argv: split_argv(&argv),
        environment: environment::notable(env),
        tty: terminal(&e.tty),
        cwd: path(cwd),
        cgroup: path(cgroup),
        stdio_sockets: (e.head.stdio_sockets & 7) as u8,
        // A cut argument list has its own flag and still counts as complete.
        complete: e.flags == 0,
    };
    Some(RawEvent::Exec(who, image))
}

/// Bytes up to the first NUL.
fn text(bytes: &[u8]) -> HostText {
    HostText::from(bytes.split(|byte| *byte == 0).next().unwrap_or_default())
}

/// The kernel calls the end that a program holds of a pseudo-terminal `pts3`; people write `pts/3`.
fn terminal(name: &[u8]) -> Option<HostText> {
    let name = text(name);
    match name.as_bytes().strip_prefix(b"pts") {
        _ if name.is_empty() => None,
        Some(number) => Some(HostText::from([b"pts/", number].concat())),
        None => Some(name),
    }
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

fn talk(r: &TalkRecord) -> Talk {
    let net = Flow {
        proto: Protocol::Tcp,
        src: address(r.family, r.local),
        sport: r.local_port,
        dst: Some(address(r.family, r.remote)),
        dport: Some(r.remote_port),
        name: None,
    };
    let milliseconds = (r.opened != 0).then(|| r.at.saturating_sub(r.opened) / 1_000_000);
    let traffic = Traffic { sent: r.sent, received: r.received, milliseconds, inbound: r.inbound != 0 };
    Talk { who: (r.pid != 0).then(|| (r.pid, ticks(r.start))), net, netns: r.netns, at: r.at, traffic }
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

    #[test]
    fn what_any_user_can_repeat_does_not_break_through_the_flood_buffer() {
        for kind in [SETTING, FALSE_NAME, ACCEPT, CLOSE] {
            assert!(!presses(&kind.to_ne_bytes()), "{kind}");
        }
        assert!([LISTEN, KILL, MODULE].iter().all(|kind| presses(&kind.to_ne_bytes())));
    }

    proptest! {
        #[test]
        fn no_record_can_panic(kind in 0u32..15, bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let record: Vec<u8> = kind.to_ne_bytes().into_iter().chain(bytes).collect();
            let mut decoder = Decoder::default();
            let _ = (decoder.decode(&record), decoder.decode(&record), presses(&record));
            let mut many = Vec::new();
            append(&record, &mut many);
            append(&record, &mut many);
            prop_assert_eq!(records(&many).count(), 2);
        }
    }
}
