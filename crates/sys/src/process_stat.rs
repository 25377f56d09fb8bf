//! What `/proc/PID/stat` says of a process, taken apart in one place (by the `procfs` crate).

use std::io::Read;

use procfs::FromRead;

use super::clock::boot_id;
use bartizan_model::ProcessKey;

/// A process at one moment (proc(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Its pid.
    pub pid: u32,
    /// `R`, `S`, `D`, `T` (stopped), `t` (traced), `Z` (ended, not yet reaped) ...
    pub state: u8,
    /// Its parent.
    pub ppid: u32,
    /// Its process group.
    pub group: u32,
    /// Its session.
    pub session: u32,
    /// Its controlling terminal's number; 0: none.
    pub terminal: u32,
    /// Kernel flags (`PF_*`, include/linux/sched.h).
    pub flags: u32,
    /// Its threads; the first one counts until it is reaped, also after it ended.
    pub threads: u32,
    /// Start in ticks since boot.
    pub start: u64,
}

/// Whether the kernel still has this process, and it has not ended. Where other users' processes are hidden, each is taken to run.
pub fn is_running(key: ProcessKey) -> bool {
    match Stat::read(key.pid) {
        Some(stat) => stat.key() == key && !stat.is_dead(),
        None => Stat::read(1).is_none(),
    }
}

impl Stat {
    /// `None` when there is no such process.
    pub fn read(pid: u32) -> Option<Self> {
        Self::parse(pid, &std::fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The name stands in parentheses and may hold anything, parentheses and odd bytes too: the last one ends it, and the crate,
    /// which cuts the line without asking whether it has this shape, is given another name.
    fn parse(pid: u32, bytes: &[u8]) -> Option<Self> {
        let after = bytes.get(bytes.iter().rposition(|b| *b == b')')? + 1..)?;
        let is_whole = after.is_ascii() && after.starts_with(b" ") && after.get(1).is_some_and(u8::is_ascii_graphic);
        let stat = is_whole.then(|| procfs::process::Stat::from_read(b"1 (x)".chain(after)).ok()).flatten()?;
        Some(Self {
            pid,
            state: u8::try_from(stat.state).ok()?,
            ppid: u32::try_from(stat.ppid).ok()?,
            group: u32::try_from(stat.pgrp).ok()?,
            session: u32::try_from(stat.session).ok()?,
            terminal: stat.tty_nr.cast_unsigned(),
            flags: stat.flags,
            threads: u32::try_from(stat.num_threads).ok()?,
            start: stat.starttime,
        })
    }

    /// Its name beyond doubt.
    pub fn key(&self) -> ProcessKey {
        ProcessKey { boot: boot_id(), pid: self.pid, start: self.start }
    }

    /// It has ended, or is on its way out of the kernel (PF_EXITING): no thread of it runs an instruction of its own any
    /// more. One whose first thread ended alone lives on by the others.
    pub fn is_dead(&self) -> bool {
        let is_leaving = matches!(self.state, b'Z' | b'X' | b'x') || self.flags & 0x4 != 0;
        is_leaving && self.threads <= 1
    }

    /// A thread of the kernel (PF_KTHREAD): it has no executable.
    pub fn is_kernel_thread(&self) -> bool {
        self.flags & 0x0020_0000 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What the kernel writes after the start time.
    const REST: &str = "4096 100 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0";

    #[test]
    fn a_name_full_of_parentheses_and_odd_bytes_does_not_mislead() {
        let fields = format!(" S 5 77 70 34816 -1 4194560 0 0 0 0 0 0 0 0 20 0 3 0 4711 {REST}\n");
        for name in [&b"(a) R 1 1 1 (b)"[..], b"(a) S (1) \xff\xfe)", b"()", b"(\xe2\x82)"] {
            let stat = Stat::parse(77, &[b"77 ", name, fields.as_bytes()].concat()).unwrap();
            assert_eq!((stat.terminal, stat.flags, stat.threads), (34816, 4_194_560, 3));
            assert_eq!((stat.state, stat.ppid, stat.group, stat.session, stat.start), (b'S', 5, 77, 70, 4711));
        }
        assert_eq!(Stat::parse(7, b"7 )( R"), None);
    }

    #[test]
    fn who_is_on_the_way_out_is_over_unless_other_threads_run() {
        let stat = |state: &str, flags: u32, threads: u32| {
            let line = format!("77 (x) {state} 5 77 70 0 -1 {flags} 0 0 0 0 0 0 0 0 20 0 {threads} 0 4711 {REST}");
            Stat::parse(77, line.as_bytes()).unwrap()
        };
        for (state, flags, threads, dead) in [
            ("S", 0x40_0100, 1, false),
            ("R", 0x40_0104, 1, true),
            ("Z", 0x40_000c, 1, true),
            ("Z", 0x40_000c, 4, false),
            ("D", 0x4, 2, false),
        ] {
            assert_eq!(stat(state, flags, threads).is_dead(), dead, "{state} {flags:x} {threads}");
        }
    }

    #[test]
    fn every_process_of_this_host_is_read() {
        let pids = crate::proc_files::pids().unwrap();
        let read = pids.iter().filter(|pid| Stat::read(**pid).is_some()).count();
        // Some end between the two looks.
        let gone = pids.iter().filter(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists()).count();
        assert!(read + gone >= pids.len(), "{read} of {}", pids.len());
    }

    proptest! {
        #[test]
        fn no_line_can_panic(bytes in "[()0-9A-Z \u{80}-\u{ff}]{0,60}|7 \\(x\\) ?[ 0-9A-Z\n-]{0,200}") {
            let _ = Stat::parse(1, bytes.as_bytes());
        }
    }
}
