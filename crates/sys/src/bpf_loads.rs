//! Who loads BPF programs, in the kernel's own words: perf's record of each load names the process, also when the program is
//! gone at once. Costs nobody a system call; read from shared memory.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

/// Pages of a ring besides its head, a power of two: some 200 loads a processor between two looks. What does not fit has no
/// known loader.
const PAGES: usize = 2;
/// Processors looked at; what others load has no known loader.
const MAX_PROCESSORS: u32 = 1024;
/// Where the head of a ring says how far the kernel wrote and how far we read (`struct perf_event_mmap_page`).
const WRITTEN: usize = 1024;
const READ: usize = 1032;
/// `PERF_RECORD_BPF_EVENT`, and of its kinds `PERF_BPF_EVENT_PROG_LOAD` (linux/perf_event.h).
const BPF_EVENT: u32 = 18;
const LOADED: u16 = 1;
/// Bytes of such a record: header 8, kind 2, flags 2, id 4, tag 8, pid 4, thread 4.
const RECORD: usize = 32;

/// A program that was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// The program's number.
    pub id: u32,
    /// The process that loaded it; 0 outside of our pid namespace.
    pub pid: u32,
}

/// The kernel's records of loads, from when it was opened.
pub struct BpfLoads {
    rings: Vec<Ring>,
}

impl BpfLoads {
    /// One ring for each processor that is online.
    ///
    /// # Errors
    /// Without CAP_PERFMON, or where the kernel has no perf events or forbids them.
    pub fn open() -> io::Result<Self> {
        let online = fs::read_to_string("/sys/devices/system/cpu/online")?;
        let rings = processors(&online).map(Ring::open).collect::<io::Result<Vec<Ring>>>()?;
        if rings.is_empty() { Err(io::Error::other("no processor is told to be online")) } else { Ok(Self { rings }) }
    }

    /// What was loaded since the last look, in no order.
    pub fn take(&mut self) -> Vec<Load> {
        self.rings.iter_mut().flat_map(Ring::take).collect()
    }
}

/// `0-3,8` as numbers.
fn processors(online: &str) -> impl Iterator<Item = u32> {
    let ranges = online.trim().split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse::<u32>().ok()?..=last.parse::<u32>().ok()?.min(MAX_PROCESSORS))
    });
    ranges.flatten().take(MAX_PROCESSORS as usize)
}

/// One processor's records: a page that says where they are, then the records, round and round.
struct Ring {
    place: NonNull<u8>,
    page: usize,
}

// SAFETY: the mapping belongs to this value alone and is valid on every thread.
unsafe impl Send for Ring {}

impl Ring {
    fn open(processor: u32) -> io::Result<Self> {
        let event = open_event(processor)?;
        let page = rustix::param::page_size();
        let (length, protection) = (page * (1 + PAGES), libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: a new mapping at a place of the kernel's choice; it keeps the event open when the descriptor is closed.
        let place = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, libc::MAP_SHARED, event.as_raw_fd(), 0) };
        match NonNull::new(place.cast::<u8>()) {
            Some(place) if place.as_ptr().cast() != libc::MAP_FAILED => Ok(Self { place, page }),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// A counter in the head, which the kernel reads and writes too.
    fn counter(&self, at: usize) -> &AtomicU64 {
        // SAFETY: inside the first page, aligned to eight bytes, and shared with the kernel as an atomic.
        unsafe { AtomicU64::from_ptr(self.place.as_ptr().add(at).cast()) }
    }

    /// Bytes of the records, from a count of all bytes ever written.
    fn bytes<const N: usize>(&self, from: u64) -> [u8; N] {
        let size = self.page * PAGES;
        std::array::from_fn(|n| {
            let at = (from as usize).wrapping_add(n) % size;
            // SAFETY: below the size of the records, which follow the first page.
            unsafe { self.place.as_ptr().add(self.page + at).read_volatile() }
        })
    }

    fn take(&mut self) -> Vec<Load> {
        let written = self.counter(WRITTEN).load(Ordering::Acquire);
        let mut at = self.counter(READ).load(Ordering::Relaxed);
        let mut loads = Vec::new();
        while at < written {
            let record: [u8; RECORD] = self.bytes(at);
            let (load, size) = parse(&record);
            loads.extend(load);
            at = at.saturating_add(size.max(8));
        }
        self.counter(READ).store(written, Ordering::Release);
        loads
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: our own mapping, of this length, and nobody uses it after this.
        unsafe { libc::munmap(self.place.as_ptr().cast(), self.page * (1 + PAGES)) };
    }
}

/// The load that a record tells of, if it does, and the record's size.
fn parse(record: &[u8; RECORD]) -> (Option<Load>, u64) {
    let word = |at: usize| record.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u32::from_ne_bytes(*bytes));
    let half = |at: usize| record.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u16::from_ne_bytes(*bytes));
    let size = half(6);
    let is_load = word(0) == BPF_EVENT && half(8) == LOADED && usize::from(size) >= RECORD;
    (is_load.then(|| Load { id: word(12), pid: word(24) }), u64::from(size))
}

/// An event that counts nothing and tells of BPF programs, with the process that did it.
fn open_event(processor: u32) -> io::Result<OwnedFd> {
    const SOFTWARE: u32 = 1;
    const SIZE: u32 = 112;
    const DUMMY: u64 = 9;
    const WITH_PROCESS: u64 = 1 << 1;
    // Bits of struct perf_event_attr: watermark, sample_id_all, bpf_event.
    const FLAGS: u64 = 1 << 14 | 1 << 18 | 1 << 30;
    const CLOSE_ON_EXEC: libc::c_ulong = 1 << 3;
    let mut attributes = [0_u64; SIZE as usize / 8];
    let kind =
        if cfg!(target_endian = "big") { u64::from(SOFTWARE) << 32 | u64::from(SIZE) } else { u64::from(SIZE) << 32 | u64::from(SOFTWARE) };
    attributes[0] = kind;
    attributes[1] = DUMMY;
    attributes[3] = WITH_PROCESS;
    attributes[5] = if cfg!(target_endian = "big") { FLAGS.reverse_bits() } else { FLAGS };
    // SAFETY: the attributes are as long as they say and outlive the call; every process (-1), one processor, no group (-1).
    let fd = unsafe { libc::syscall(libc::SYS_perf_event_open, attributes.as_ptr(), -1, processor, -1, CLOSE_ON_EXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just returned this descriptor to us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
}

#[cfg(test)]
mod tests {
    use super::super::bpf_programs::load_one;
    use super::*;

    #[test]
    fn processors_are_counted_as_the_kernel_writes_them() {
        assert_eq!(processors("0-3,8,10-11\n").collect::<Vec<_>>(), [0, 1, 2, 3, 8, 10, 11]);
        assert_eq!(processors("\n").count(), 0);
        assert!(processors("0-4294967295").count() <= MAX_PROCESSORS as usize);
    }

    #[test]
    fn the_kernel_names_the_loader_of_a_program_that_is_gone_already() {
        let mut loads = match BpfLoads::open() {
            Ok(loads) => loads,
            Err(why) => return eprintln!("skipped: perf events: {why}"),
        };
        // More than a ring holds, a few at a time: the ring goes round.
        let mut seen = 0;
        for _ in 0..40 {
            for _ in 0..10 {
                match load_one(b"bartiz_g") {
                    Ok(held) => drop(held),
                    Err(why) => return eprintln!("skipped: bpf(2): {why}"),
                }
            }
            seen += loads.take().iter().filter(|load| load.pid == std::process::id() && load.id > 0).count();
        }
        assert!(seen >= 400, "{seen}");
        let all: Vec<Load> = loads.take();
        assert!(all.iter().all(|load| load.pid != std::process::id()), "told once: {all:?}");
    }
}
