//! The records of the kernel programs as they lie in memory (`events.h`), and how one is read from bytes.

pub(super) const EXEC: u32 = 1;
pub(super) const FORK: u32 = 2;
pub(super) const EXIT: u32 = 3;
pub(super) const CONNECT: u32 = 4;
pub(super) const LISTEN: u32 = 5;
pub(super) const ARGV: u32 = 6;
pub(super) const KILL: u32 = 7;
pub(super) const MODULE: u32 = 8;
pub(super) const IO_URING: u32 = 9;
pub(super) const ACCEPT: u32 = 10;
pub(super) const CLOSE: u32 = 11;
pub(super) const SETTING: u32 = 12;
pub(super) const FALSE_NAME: u32 = 13;

/// Names of the kinds of record, as in an event's `kind`; 0 is unused.
pub(super) const KINDS: [&str; 14] = [
    "", "process.exec", "process.fork", "process.exit", "net.connect", "net.listen", "argv", "privilege.use", "privilege.use",
    "privilege.use", "net.accept", "net.close", "privilege.use", "privilege.use",
];

/// `struct head`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Head {
    pub(super) kind: u32,
    pub(super) pid: u32,
    pub(super) _tid: u32,
    pub(super) ppid: u32,
    pub(super) at: u64,
    pub(super) start: u64,
    pub(super) parent_start: u64,
    pub(super) capabilities: u64,
    pub(super) uid: u32,
    pub(super) euid: u32,
    pub(super) loginuid: u32,
    pub(super) session: u32,
    pub(super) netns: u32,
    pub(super) stdio_sockets: u32,
    pub(super) mntns: u32,
    pub(super) pidns: u32,
    pub(super) userns: u32,
    pub(super) mark: u32,
}

/// `MARK_URGENT` and `MARK_GUARDED`.
pub(super) const URGENT: u32 = 1;
pub(super) const GUARDED: u32 = 2;

/// `struct exec_event` up to its data.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct ExecHead {
    pub(super) head: Head,
    pub(super) inode: u64,
    pub(super) changed: i64,
    pub(super) device: u32,
    pub(super) nlink: u32,
    pub(super) magic: u32,
    pub(super) argv_total: u32,
    pub(super) argv_len: u32,
    pub(super) exe_len: u32,
    pub(super) cwd_len: u32,
    pub(super) cgroup_len: u32,
    pub(super) env_len: u32,
    pub(super) flags: u32,
    pub(super) tty: [u8; 16],
}

/// `struct argv_event` up to its data.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct ArgvHead {
    pub(super) _kind: u32,
    pub(super) pid: u32,
    pub(super) start: u64,
    pub(super) len: u32,
    pub(super) _unused: u32,
}

/// `struct privilege_event`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct PrivilegeRecord {
    pub(super) head: Head,
    pub(super) target_start: u64,
    pub(super) target: u32,
    pub(super) signal: u32,
    pub(super) name: [u8; 56],
}

/// `struct exit_event`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct ExitRecord {
    pub(super) _kind: u32,
    pub(super) pid: u32,
    pub(super) at: u64,
    pub(super) start: u64,
    pub(super) code: u32,
    pub(super) _unused: u32,
}

/// `struct net_event`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct NetRecord {
    pub(super) head: Head,
    pub(super) remote: [u32; 4],
    pub(super) local: [u32; 4],
    pub(super) family: u16,
    pub(super) local_port: u16,
    pub(super) remote_port: u16,
    pub(super) protocol: u16,
}

/// `struct talk_event`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct TalkRecord {
    pub(super) _kind: u32,
    pub(super) pid: u32,
    pub(super) at: u64,
    pub(super) start: u64,
    pub(super) opened: u64,
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) remote: [u32; 4],
    pub(super) local: [u32; 4],
    pub(super) family: u16,
    pub(super) local_port: u16,
    pub(super) remote_port: u16,
    pub(super) inbound: u16,
    pub(super) netns: u32,
    pub(super) _unused: u32,
}

/// `struct setting_event`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct SettingRecord {
    pub(super) head: Head,
    pub(super) name: [u8; 64],
    pub(super) before: [u8; 64],
    pub(super) after: [u8; 128],
}

const _: () = assert!(size_of::<TalkRecord>() == 96 && size_of::<SettingRecord>() == 344);
const _: () = assert!(size_of::<Head>() == 88 && size_of::<ExecHead>() == 160 && size_of::<ArgvHead>() == 24);
const _: () = assert!(size_of::<ExitRecord>() == 32 && size_of::<NetRecord>() == 128 && size_of::<PrivilegeRecord>() == 160);

/// Structs of integers alone: every bit pattern is a value.
pub(super) trait Plain: Copy {}
impl Plain for u32 {}
impl Plain for Head {}
impl Plain for ExecHead {}
impl Plain for ExitRecord {}
impl Plain for NetRecord {}
impl Plain for ArgvHead {}
impl Plain for PrivilegeRecord {}
impl Plain for TalkRecord {}
impl Plain for SettingRecord {}

pub(super) fn read<T: Plain>(bytes: &[u8]) -> Option<T> {
    // SAFETY: `Plain` types have no invalid bit pattern, the length is checked, and the read needs no alignment.
    (bytes.len() >= size_of::<T>()).then(|| unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}
