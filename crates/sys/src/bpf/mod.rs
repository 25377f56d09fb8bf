//! Our programs in the kernel: loading them, and the two rings into which they report.
//!
//! The reader of the ordinary ring sleeps a few milliseconds between drains ([`Sensor::NAP`]): the kernel wakes a reader
//! only when it had caught up, so there is one wake-up per nap under load instead of one per event, which halves the cost
//! in the kernel. What happens at and below services that strangers can talk to ([`Marks`]) goes into the urgent ring,
//! whose reader is woken at once.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use aya::maps::{Map, MapData, PerCpuArray, RingBuf};
use aya::programs::{CgroupAttachMode, CgroupSockAddr, CgroupSysctl, RawTracePoint};
use aya::{Btf, Ebpf, EbpfLoader, include_bytes_aligned};
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};

use super::descriptors;
use super::lockdown::{self, Lockdown};
use super::mountinfo;

mod attach;
mod layout;
mod marks;
mod ring;
mod wire;

pub use attach::object_name;
pub use marks::Marks;
pub use ring::Ring;
pub(crate) use wire::exit as exit_of;
pub use wire::{Decoder, RawEvent, Talk, append, presses, records};

/// How the object in this program was made: `built`, `prebuilt`, or `none`.
pub const ORIGIN: &str = env!("BPF_ORIGIN");

static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/sensor.bpf.o"));

/// Bytes of the ring. Its pages are mapped twice, so it shows as double in resident memory; 2 MiB hold some
/// 8,000 execs, a third of a second of the worst storm measured.
const RING_BYTES: u32 = 2 << 20;

/// Bytes of the urgent ring: some 1,500 execs, each read within a millisecond; more spill into the other.
const URGENT_BYTES: u32 = 512 << 10;
/// Descriptors of the maps, the programs, their links and the type information.
const OPEN: u64 = 25;

/// Program in the object, tracepoint in the kernel.
const PROGRAMS: [(&str, &str); 4] = [
    ("on_exec", "sched_process_exec"),
    ("on_fork", "sched_process_fork"),
    ("on_exit", "sched_process_exit"),
    ("on_socket_state", "inet_sock_set_state"),
];

/// The same for what some kernels do not have: no modules, no io_uring, nothing to see then.
const MORE_PROGRAMS: [(&str, &str); 4] =
    [("on_signal", "signal_generate"), ("on_module", "module_load"), ("on_io_uring", "io_uring_create"), ("on_rename", "task_rename")];

/// The program at the root of the unified cgroup hierarchy that sees settings of the kernel being written (Linux 5.2).
const SETTINGS_PROGRAM: &str = "on_setting";

/// What is not seen without a program of these, in words. Without modules and io_uring there is nothing to see.
const UNSEEN: [(&str, &str); 3] = [
    ("signal_generate", "signals to security services"),
    ("task_rename", "processes that take the name of a kernel thread while they run"),
    (SETTINGS_PROGRAM, "writing of kernel settings"),
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
    /// So many may not be open beside those that are reserved.
    #[error(
        "too few files may be open at once: the kernel programs need {0}, the rest is reserved for actions; raise LimitNOFILE (ulimit -Hn)"
    )]
    Descriptors(u64),
    /// The kernel refused.
    #[error("the kernel refused {what} ({why}): {}", mend())]
    Refused {
        /// What was tried.
        what: &'static str,
        /// What it said.
        why: String,
    },
}

/// Records since loading, by kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    delivered: [u64; 16],
    dropped: [u64; 16],
}

impl Counters {
    /// All that happened: what was delivered and what was lost.
    pub fn made(&self) -> u64 {
        self.delivered() + self.dropped()
    }

    /// Put into a ring.
    pub fn delivered(&self) -> u64 {
        self.delivered.iter().sum()
    }

    /// Lost because the rings were full.
    pub fn dropped(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// What was lost of each kind of event since an earlier reading.
    pub fn lost_since(&self, earlier: &Self) -> BTreeMap<String, u64> {
        let mut lost = BTreeMap::new();
        for (kind, (now, then)) in layout::KINDS.iter().zip(self.dropped.iter().zip(earlier.dropped)) {
            let count = now.saturating_sub(then);
            if count > 0 {
                *lost.entry((*kind).to_owned()).or_default() += count;
            }
        }
        lost
    }
}

/// The kernel's counters.
pub struct CounterMap(PerCpuArray<MapData, u64>);

impl CounterMap {
    /// Records since loading, over all processors.
    pub fn read(&self) -> Counters {
        let sum = |slot: usize| u32::try_from(slot).ok().and_then(|slot| self.0.get(&slot, 0).ok()).map(|cpus| cpus.iter().sum::<u64>());
        Counters {
            delivered: std::array::from_fn(|kind| sum(kind).unwrap_or_default()),
            dropped: std::array::from_fn(|kind| sum(16 + kind).unwrap_or_default()),
        }
    }
}

/// The attached programs. Dropping it detaches them.
pub struct Programs {
    _attached: Attached,
    udp: Result<(), String>,
    absent: Vec<String>,
}

/// Who keeps the programs attached.
enum Attached {
    /// We loaded them.
    Loaded { _programs: Box<Ebpf> },
    /// An earlier binary did.
    Inherited { _links: Vec<OwnedFd> },
}

/// The open ends of everything.
pub struct Sensor {
    /// What is worth a nap.
    pub ordinary: Ring,
    /// What is not.
    pub urgent: Ring,
    /// Which processes are urgent, and which are guarded.
    pub marks: Marks,
    /// What came and what was lost.
    pub counters: CounterMap,
    /// What keeps it open.
    pub programs: Programs,
}

impl Sensor {
    /// Sleep between two drains of the ordinary ring.
    pub const NAP: Duration = Duration::from_millis(3);

    /// Loads and attaches the object in this program. Events gather in the rings from now on.
    ///
    /// # Errors
    /// [`BpfError`] when there is no object, no kernel type information, or no permission.
    pub fn load() -> Result<Self, BpfError> {
        Self::load_object(OBJECT, RING_BYTES, URGENT_BYTES)
    }

    fn load_object(object: &[u8], ring_bytes: u32, urgent_bytes: u32) -> Result<Self, BpfError> {
        if object.is_empty() {
            return Err(BpfError::Absent);
        }
        if !in_first_pid_namespace() {
            return Err(BpfError::PidNamespace);
        }
        descriptors::ask_for(OPEN).map_err(|_| BpfError::Descriptors(OPEN))?;
        lift_memlock_limit();
        let btf = Btf::from_sys_fs().map_err(|e| BpfError::Btf(reason(&e)))?;
        let refused = |what| move |e: &dyn std::error::Error| BpfError::Refused { what, why: reason(e) };
        let mut programs = EbpfLoader::new()
            .btf(Some(&btf))
            .map_max_entries("ring", ring_bytes)
            .map_max_entries("urgent", urgent_bytes)
            .load(object)
            .map_err(|e| refused("loading the maps")(&e))?;
        drop(btf);
        for (name, tracepoint) in PROGRAMS {
            attach(&mut programs, name, tracepoint).map_err(|why| BpfError::Refused { what: tracepoint, why })?;
        }
        let mut absent: Vec<String> = MORE_PROGRAMS
            .iter()
            .filter_map(|(name, tracepoint)| attach(&mut programs, name, tracepoint).err().map(|why| format!("{tracepoint}: {why}")))
            .collect();
        absent.extend(watch_settings(&mut programs).err().map(|why| format!("{SETTINGS_PROGRAM}: {why}")));
        let udp = watch_udp(&mut programs);
        let mut ring = |name| Ok(Ring::new(RingBuf::try_from(taken(&mut programs, name)?).map_err(|e| refused("mapping a ring")(&e))?));
        let (ordinary, urgent) = (ring("ring")?, ring("urgent")?);
        let counters = PerCpuArray::try_from(taken(&mut programs, "counters")?).map_err(|e| refused("opening the counters")(&e))?;
        let marks = Marks::new(taken(&mut programs, "marks")?).map_err(|e| refused("opening the marks")(&e))?;
        let programs = Programs { _attached: Attached::Loaded { _programs: Box::new(programs) }, udp, absent };
        Ok(Self { ordinary, urgent, marks, counters: CounterMap(counters), programs })
    }
}

impl Programs {
    /// Whether UDP destinations are seen; else why not.
    pub fn udp(&self) -> Result<(), &str> {
        match &self.udp {
            Ok(()) => Ok(()),
            Err(why) => Err(why),
        }
    }

    /// Which of the rarer tracepoints this kernel does not have, and why: signals, modules, io_uring, settings.
    pub fn absent(&self) -> &[String] {
        &self.absent
    }

    /// What is therefore not seen, and why.
    pub fn unseen(&self) -> Vec<(&'static str, String)> {
        unseen(&self.absent)
    }
}

fn unseen(absent: &[String]) -> Vec<(&'static str, String)> {
    let why = |point: &str| absent.iter().find_map(|line| line.strip_prefix(point)?.strip_prefix(": ")).map(str::to_owned);
    UNSEEN.iter().filter_map(|(point, what)| Some((*what, why(point)?))).collect()
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
    let root = root_of_cgroups()?;
    for name in UDP_PROGRAMS {
        let program = programs.program_mut(name).ok_or_else(|| format!("the object has no program {name}"))?;
        let program: &mut CgroupSockAddr = program.try_into().map_err(|e| reason(&e))?;
        program.load().map_err(|e| reason(&e))?;
        program.attach(&root, CgroupAttachMode::Single).map_err(|e| reason(&e))?;
    }
    Ok(())
}

/// Beside the programs of others too.
fn watch_settings(programs: &mut Ebpf) -> Result<(), String> {
    let root = root_of_cgroups()?;
    let program = programs.program_mut(SETTINGS_PROGRAM).ok_or("the object has no such program")?;
    let program: &mut CgroupSysctl = program.try_into().map_err(|e| reason(&e))?;
    program.load().map_err(|e| reason(&e))?;
    program.attach(&root, CgroupAttachMode::Single).map_err(|e| reason(&e)).map(drop)
}

fn root_of_cgroups() -> Result<File, String> {
    let root = unified_hierarchy().ok_or("the unified cgroup hierarchy (cgroup2) is not mounted")?;
    File::open(&root).map_err(|e| format!("{}: {e}", root.display()))
}

/// Where cgroup2 is mounted: on hybrid hosts not at the usual place.
fn unified_hierarchy() -> Option<PathBuf> {
    let unified = mountinfo::own().into_iter().find(|line| line.is_cgroup2() && line.root == b"/")?;
    Some(PathBuf::from(OsString::from_vec(unified.point)))
}

fn taken(programs: &mut Ebpf, name: &'static str) -> Result<Map, BpfError> {
    programs.take_map(name).ok_or_else(|| BpfError::Refused { what: name, why: "the object has no such map".to_owned() })
}

/// What would mend a refusal.
fn mend() -> String {
    lockdown::mend_of_bpf(Lockdown::now(), "run as root or with CAP_BPF and CAP_PERFMON, outside a restricted container")
}

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
    let _refused = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
}

#[cfg(test)]
mod tests;
