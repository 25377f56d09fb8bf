//! Probes: what can be done to processes and packets, and undone without us.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::netlink::check;
use super::{degraded, find_program, missing, works};
use crate::nft::{Nft, Pieces, TABLE, TableState, in_words};
use bartizan_model::Check;

/// Tries every piece of our table in a transaction that the kernel takes back, and looks what stands under our name.
pub(super) fn nf_tables() -> Check {
    const NAME: &str = "packet filter (nf_tables)";
    let tried = Nft::open().and_then(|nft| Ok((nft.refused(Pieces::all())?, nft.table_state()?)));
    match tried {
        Err(why) => missing(
            NAME,
            format!("does not answer: {why}"),
            "no address can be blocked: use a kernel with CONFIG_NF_TABLES, as root (CAP_NET_ADMIN)",
        ),
        Ok((_, TableState::Altered(how))) => degraded(
            NAME,
            format!("table inet {TABLE} is not as this version makes it: {how}"),
            "look at it (`nft list table inet bartizan`); a running agent removes or mends it, `nft delete table inet bartizan` does too",
        ),
        Ok((refused, _)) if refused.is_empty() => works(NAME, "takes every kind of our rules: each was tried and taken back"),
        Ok((refused, _)) => {
            degraded(NAME, in_words(&refused), "a newer kernel, or one built with what is named, can; every other action works")
        }
    }
}

/// Only the emergency script and people need the program; the agent speaks to the kernel itself.
pub(super) fn nft_program() -> Check {
    const NAME: &str = "nft program";
    match find_program("nft") {
        Some(path) => works(NAME, format!("{path}; only the emergency script needs it")),
        None => degraded(NAME, "not found; the agent does not need it, the emergency script does", "apt install nftables"),
    }
}

/// Freezes an empty cgroup of our own and removes it.
pub(super) fn freezer() -> Check {
    const NAME: &str = "process freezer";
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mounted = |test: fn(&str, &str) -> bool| {
        let place = |line: &str| {
            let (before, after) = line.split_once(" - ")?;
            let mut kind = after.split(' ');
            test(kind.next()?, kind.nth(1)?).then(|| PathBuf::from(before.split(' ').nth(4).unwrap_or_default()))
        };
        mounts.lines().find_map(place)
    };
    let first = mounted(|kind, options| kind == "cgroup" && options.split(',').any(|option| option == "freezer"));
    let second = mounted(|kind, _| kind == "cgroup2").map(|mount| (freeze_nothing(&mount), mount));
    match (second, first) {
        (Some((Ok(()), mount)), _) => works(NAME, format!("cgroup 2 at {}: an empty group was frozen and removed", mount.display())),
        (_, Some(first)) => degraded(
            NAME,
            format!("only the old freezer at {}", first.display()),
            "mount cgroup2 (kernel 5.2 or later) to end a frozen tree at one stroke",
        ),
        (Some((Err(e), _)), None) => degraded(
            NAME,
            format!("cgroup 2 refuses: {e}; SIGSTOP is used instead"),
            "run as root outside a container, on kernel 5.2 or later",
        ),
        (None, None) => degraded(NAME, "no cgroup file system; SIGSTOP is used instead", "mount -t cgroup2 none /sys/fs/cgroup"),
    }
}

fn freeze_nothing(mount: &Path) -> io::Result<()> {
    static TURN: AtomicU32 = AtomicU32::new(0);
    let group = mount.join(format!("bartizan-probe-{}-{}", std::process::id(), TURN.fetch_add(1, Ordering::Relaxed)));
    fs::create_dir(&group)?;
    let trial = || {
        fs::write(group.join("cgroup.freeze"), "1")?;
        for _ in 0..20 {
            if fs::read_to_string(group.join("cgroup.events"))?.lines().any(|line| line == "frozen 1") {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(io::Error::other("the group did not become frozen"))
    };
    let outcome = trial();
    fs::remove_dir(&group)?;
    outcome
}

/// Holds ourselves by a pidfd and sends the signal that does nothing.
pub(super) fn pidfd() -> Check {
    const NAME: &str = "safe signals (pidfd)";
    let attempt = || -> io::Result<()> {
        // SAFETY: no pointers.
        let fd = check(unsafe { libc::syscall(libc::SYS_pidfd_open, std::process::id(), 0) } as libc::c_int)?;
        // SAFETY: just opened, and ours alone.
        let held = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: a null siginfo asks the kernel to fill it in; signal 0 only checks.
        let code = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, held.as_raw_fd(), 0, std::ptr::null::<libc::siginfo_t>(), 0) };
        check(code as libc::c_int).map(drop)
    };
    match attempt() {
        Ok(()) => works(NAME, "a process can be held so that its pid cannot pass to another"),
        Err(e) => missing(NAME, format!("refused: {e}"), "no process is stopped or ended without it: use kernel 5.3 or later"),
    }
}

/// Who thaws a frozen tree when we are gone.
pub(super) fn timers() -> Check {
    const NAME: &str = "expiry without us";
    let running = Path::new("/run/systemd/system").is_dir();
    match (running, find_program("systemd-run")) {
        (true, Some(program)) => works(NAME, format!("systemd runs and {program} is there: a frozen tree is thawed by its timer")),
        (true, None) => {
            degraded(NAME, "systemd runs, systemd-run is missing", "nothing need be done: a small shell script of ours waits instead")
        }
        (false, _) => works(NAME, "systemd does not run here: our standing watchdog, a process of its own, ends every action instead"),
    }
}
