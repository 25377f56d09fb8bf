//! Probes: what can be done to processes and packets, and undone without us.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::nft::{Nft, Pieces, TABLE, TableState, in_words};
use bartizan_model::Check;
use bartizan_sys::mountinfo::{self, Line};
use bartizan_sys::pidfd::{PidFd, key_of};
use bartizan_sys::probe::{degraded, find_program, missing, works};

/// Tries everything by which this host is changed, in the order in which a person reads it.
pub fn all() -> Vec<Check> {
    vec![nf_tables(), nft_program(), freezer(), pidfd(), timers()]
}

/// Tries every piece of our table in a transaction that the kernel takes back, and looks what stands under our name.
fn nf_tables() -> Check {
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
fn nft_program() -> Check {
    const NAME: &str = "nft program";
    match find_program("nft") {
        Some(path) => works(NAME, format!("{path}; only the emergency script needs it")),
        None => degraded(NAME, "not found; the agent does not need it, the emergency script does", "apt install nftables"),
    }
}

/// Freezes an empty cgroup of our own and removes it.
fn freezer() -> Check {
    const NAME: &str = "process freezer";
    let mounts = mountinfo::own();
    let mounted = |kind: fn(&Line) -> bool| mounts.iter().find(|line| kind(line)).map(|line| PathBuf::from(OsStr::from_bytes(&line.point)));
    let first = mounted(Line::is_old_freezer);
    let second = mounted(Line::is_cgroup2).map(|mount| (freeze_nothing(&mount), mount));
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

/// Holds ourselves by a pidfd.
fn pidfd() -> Check {
    const NAME: &str = "safe signals (pidfd)";
    let attempt = || -> io::Result<()> {
        let me = key_of(std::process::id()).ok_or(io::ErrorKind::NotFound)?;
        PidFd::open(me).map(drop).map_err(io::Error::other)
    };
    match attempt() {
        Ok(()) => works(NAME, "a process can be held so that its pid cannot pass to another"),
        Err(e) => missing(NAME, format!("refused: {e}"), "no process is stopped or ended without it: use kernel 5.3 or later"),
    }
}

/// Who thaws a frozen tree when we are gone.
fn timers() -> Check {
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

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_model::CheckState;

    #[test]
    fn the_probes_leave_nothing_and_each_that_does_not_work_says_what_mends_it() {
        let open = || fs::read_dir("/proc/self/fd").unwrap().count();
        let checks = all();
        for check in &checks {
            println!("{:<28} {:?}: {}  [{}]", check.name, check.state, check.detail, check.mend);
        }
        assert!(checks.iter().all(|check| !check.detail.is_empty()));
        assert!(checks.iter().all(|check| (check.state == CheckState::Works) == check.mend.is_empty()), "a mend for each that needs one");
        let before = open();
        for _ in 0..20 {
            all();
        }
        // Other tests of this process open and close files at the same time.
        assert!(open() < before + 20, "descriptors leak: {before} before, {} after", open());
        let own = format!("bartizan-probe-{}", std::process::id());
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        for line in mounts.lines().filter(|line| line.contains(" - cgroup2 ")) {
            let mount = line.split(' ').nth(4).unwrap();
            let left = fs::read_dir(mount).unwrap().filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(&own));
            assert_eq!(left.count(), 0, "probes of {own} are left in {mount}");
        }
    }
}
