//! Our programs in the kernel: loading them, and draining what they report.
//!
//! The reader sleeps a few milliseconds between drains ([`Sensor::NAP`]): the kernel wakes a reader only when it had
//! caught up, so there is one wake-up per nap under load instead of one per event, which halves the cost in the kernel.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::time::Duration;

use aya::maps::{Map, MapData, PerCpuArray, RingBuf};
use aya::programs::{CgroupAttachMode, CgroupSockAddr, RawTracePoint};
use aya::{Btf, Ebpf, EbpfLoader, include_bytes_aligned};

mod wire;

pub use wire::RawEvent;
pub(in crate::host) use wire::exit as exit_of;

/// How the object in this program was made: `built`, `prebuilt`, or `none`.
pub const ORIGIN: &str = env!("BPF_ORIGIN");

static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/sensor.bpf.o"));

/// Bytes of the ring. Its pages are mapped twice, so it shows as double in resident memory; 2 MiB hold some
/// 8,000 execs, a third of a second of the worst storm measured.
const RING_BYTES: u32 = 2 << 20;

/// Events taken in one drain, so that a storm cannot keep the reader from seeing that it should stop.
const DRAIN_MOST: usize = 16_384;

/// Program in the object, tracepoint in the kernel.
const PROGRAMS: [(&str, &str); 4] = [
    ("on_exec", "sched_process_exec"),
    ("on_fork", "sched_process_fork"),
    ("on_exit", "sched_process_exit"),
    ("on_socket_state", "inet_sock_set_state"),
];

/// Programs on the root of the unified cgroup hierarchy: they see UDP. Older kernels lack some; then UDP is not seen.
const UDP_PROGRAMS: [&str; 4] = ["on_connect4", "on_connect6", "on_sendmsg4", "on_sendmsg6"];

/// Why the kernel programs cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BpfError {
    /// This program was built without the object.
    #[error("this bartizan was built without its kernel programs: install clang and build again")]
    Absent,
    /// Pids in the kernel are not our pids.
    #[error("bartizan runs in a pid namespace of its own, where kernel pids mean other processes: start it on the host")]
    PidNamespace,
    /// The kernel does not describe its own types.
    #[error("cannot read the kernel's types from /sys/kernel/btf/vmlinux ({0}): a kernel with CONFIG_DEBUG_INFO_BTF is needed")]
    Btf(String),
    /// The kernel refused.
    #[error("the kernel refused {what} ({why}): run as root or with CAP_BPF and CAP_PERFMON, outside a restricted container")]
    Refused {
        /// What was tried.
        what: &'static str,
        /// What it said.
        why: String,
    },
}

/// Events since loading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Put into the ring.
    pub delivered: u64,
    /// Lost because the ring was full.
    pub dropped: u64,
    /// Taken out but not understood: always 0 unless program and object do not fit each other.
    pub malformed: u64,
}

/// The loaded programs. Dropping it detaches them.
pub struct Sensor {
    _programs: Ebpf,
    ring: RingBuf<MapData>,
    counters: PerCpuArray<MapData, u64>,
    malformed: u64,
    udp: Result<(), String>,
}

impl Sensor {
    /// Sleep between two drains.
    pub const NAP: Duration = Duration::from_millis(3);

    /// Loads and attaches the object in this program. Events gather in the ring from now on.
    ///
    /// # Errors
    /// [`BpfError`] when there is no object, no kernel type information, or no permission.
    pub fn load() -> Result<Self, BpfError> {
        Self::load_object(OBJECT, RING_BYTES)
    }

    fn load_object(object: &[u8], ring_bytes: u32) -> Result<Self, BpfError> {
        if object.is_empty() {
            return Err(BpfError::Absent);
        }
        if !in_first_pid_namespace() {
            return Err(BpfError::PidNamespace);
        }
        lift_memlock_limit();
        let btf = Btf::from_sys_fs().map_err(|e| BpfError::Btf(reason(&e)))?;
        let refused = |what| move |e: &dyn std::error::Error| BpfError::Refused { what, why: reason(e) };
        let mut programs = EbpfLoader::new()
            .btf(Some(&btf))
            .map_max_entries("ring", ring_bytes)
            .load(object)
            .map_err(|e| refused("loading the maps")(&e))?;
        drop(btf);
        for (name, tracepoint) in PROGRAMS {
            attach(&mut programs, name, tracepoint).map_err(|why| BpfError::Refused { what: tracepoint, why })?;
        }
        let udp = watch_udp(&mut programs);
        let ring = RingBuf::try_from(taken(&mut programs, "ring")?).map_err(|e| refused("mapping the ring")(&e))?;
        let counters = PerCpuArray::try_from(taken(&mut programs, "counters")?).map_err(|e| refused("opening the counters")(&e))?;
        Ok(Self { _programs: programs, ring, counters, malformed: 0, udp })
    }

    /// Whether UDP destinations are seen; else why not.
    pub fn udp(&self) -> Result<(), &str> {
        match &self.udp {
            Ok(()) => Ok(()),
            Err(why) => Err(why),
        }
    }

    /// Waits until something is there, at most `timeout`. Whether there is.
    ///
    /// # Errors
    /// When the ring is broken.
    pub fn wait(&self, timeout: Duration) -> io::Result<bool> {
        let mut fd = libc::pollfd { fd: self.ring.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let milliseconds = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: one pollfd that lives for the call.
        match unsafe { libc::poll(&raw mut fd, 1, milliseconds) } {
            -1 => match io::Error::last_os_error() {
                e if e.kind() == io::ErrorKind::Interrupted => Ok(false),
                e => Err(e),
            },
            _ if fd.revents & (libc::POLLERR | libc::POLLNVAL) != 0 => Err(io::Error::other("the ring was closed")),
            ready => Ok(ready > 0),
        }
    }

    /// Hands over what is there, in the order in which it happened; how many. A storm is taken in portions.
    pub fn drain(&mut self, mut take: impl FnMut(RawEvent)) -> usize {
        for taken in 0..DRAIN_MOST {
            let Some(record) = self.ring.next() else { return taken };
            match wire::parse(&record) {
                Some(event) => {
                    drop(record); // give the room back before the taker works
                    take(event);
                }
                None => self.malformed += 1,
            }
        }
        DRAIN_MOST
    }

    /// Events since loading, over all processors.
    pub fn counters(&self) -> Counters {
        let sum = |slot: u32| self.counters.get(&slot, 0).map(|cpus| cpus.iter().sum::<u64>()).unwrap_or_default();
        Counters { delivered: (0..16).map(sum).sum(), dropped: (16..32).map(sum).sum(), malformed: self.malformed }
    }
}

fn attach(programs: &mut Ebpf, name: &str, tracepoint: &str) -> Result<(), String> {
    let program = programs.program_mut(name).ok_or_else(|| format!("the object has no program {name}"))?;
    let program: &mut RawTracePoint = program.try_into().map_err(|e| reason(&e))?;
    program.load().map_err(|e| reason(&e))?;
    program.attach(tracepoint).map_err(|e| reason(&e)).map(drop)
}

/// Beside the programs of others on the same cgroup (systemd has some), never in their place: kernels with our ring
/// (5.8) attach by link, a link always allows others, and it takes no flags (so `Single` here means none).
fn watch_udp(programs: &mut Ebpf) -> Result<(), String> {
    let root = unified_hierarchy().ok_or("the unified cgroup hierarchy (cgroup2) is not mounted")?;
    let root = File::open(&root).map_err(|e| format!("{}: {e}", root.display()))?;
    for name in UDP_PROGRAMS {
        let program = programs.program_mut(name).ok_or_else(|| format!("the object has no program {name}"))?;
        let program: &mut CgroupSockAddr = program.try_into().map_err(|e| reason(&e))?;
        program.load().map_err(|e| reason(&e))?;
        program.attach(&root, CgroupAttachMode::Single).map_err(|e| reason(&e))?;
    }
    Ok(())
}

/// Where cgroup2 is mounted: on hybrid hosts not at the usual place.
fn unified_hierarchy() -> Option<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()).find_map(|fields| match fields.as_slice() {
        [_, place, "cgroup2", ..] => Some(PathBuf::from(place)),
        _ => None,
    })
}

fn taken(programs: &mut Ebpf, name: &'static str) -> Result<Map, BpfError> {
    programs.take_map(name).ok_or_else(|| BpfError::Refused { what: name, why: "the object has no such map".to_owned() })
}

/// An error with its causes on one line; a verifier log is cut.
fn reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text.lines().next().unwrap_or_default().chars().take(200).collect()
}

/// The first pid namespace has this inode number on every Linux (PROC_PID_INIT_INO, include/linux/proc_ns.h).
fn in_first_pid_namespace() -> bool {
    const FIRST: u64 = 0xEFFF_FFFC;
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self/ns/pid").is_ok_and(|m| m.ino() == FIRST)
}

/// Before Linux 5.11 maps count against this limit; a refusal shows when loading.
fn lift_memlock_limit() {
    let limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: a plain structure that lives for the call.
    let _refused = unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) };
}

#[cfg(test)]
mod tests;
