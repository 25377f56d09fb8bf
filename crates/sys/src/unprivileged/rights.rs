//! What a process gives up before it reads a byte from outside: user, groups, capabilities, network, memory, new files, and the way back.

use std::io;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

use super::filter;
use super::own_id::own_id;

/// Bytes of memory of its own that it may have (RLIMIT_DATA, getrlimit(2)): a request beyond them fails.
pub const MEMORY: u64 = 128 << 20;
/// Bytes of addresses beyond those that it has (RLIMIT_AS): what it may map without writing to it costs the kernel tables. An allocator
/// sets far more aside than it uses.
const ADDRESSES: u64 = 4 * MEMORY;
/// Descriptors that it may hold.
const DESCRIPTORS: u64 = 256;
/// How much it steps back for whoever needs a processor too (nice(2)).
const NICE: libc::c_int = 5;
/// How willingly the kernel ends it when memory is short (proc(5), -1000 to 1000).
const OOM_SCORE: &str = "500";
/// `_LINUX_CAPABILITY_VERSION_3` (include/uapi/linux/capability.h).
const CAPABILITY_VERSION: u32 = 0x2008_0522;

/// Gives up all rights of this process, for good. Without root there is no other user to become and no network to leave: the rest holds.
///
/// # Errors
/// When something that had to go is still there: then nothing from outside may be read.
pub fn give_up(name: &std::ffi::CStr) -> io::Result<()> {
    let _ = prctl::set_name(name);
    // SAFETY: a plain number; -1 may be a value of its own, and a refusal costs nothing.
    let _ = unsafe { libc::nice(NICE) };
    // When memory is short this goes first, not the guard.
    let _ = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE);
    limit()?;
    if Uid::effective().is_root() {
        // Some containers refuse, and our own unit allows the first only; without the calls of a socket there is no network either.
        for namespace in [CloneFlags::CLONE_NEWNET, CloneFlags::CLONE_NEWIPC, CloneFlags::CLONE_NEWUTS] {
            let _ = unshare(namespace);
        }
        become_somebody_else()?;
    }
    drop_capabilities()?;
    prctl::set_no_new_privs()?;
    prctl::set_dumpable(false)?;
    // Again: another user is another chance for the kernel to forget it (prctl(2)).
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    filter::apply()
}

fn limit() -> io::Result<()> {
    let limits = [
        (Resource::RLIMIT_DATA, MEMORY),
        (Resource::RLIMIT_AS, addresses()?.saturating_add(ADDRESSES)),
        (Resource::RLIMIT_NOFILE, DESCRIPTORS),
        (Resource::RLIMIT_NPROC, 0),
        (Resource::RLIMIT_FSIZE, 0),
        (Resource::RLIMIT_CORE, 0),
    ];
    for (resource, most) in limits {
        setrlimit(resource, most, most)?;
    }
    Ok(())
}

/// Bytes of addresses that this process has mapped (proc_pid_statm(5)).
fn addresses() -> io::Result<u64> {
    let text = std::fs::read_to_string("/proc/self/statm")?;
    let pages = text.split_ascii_whitespace().next().and_then(|pages| pages.parse::<u64>().ok());
    let pages = pages.ok_or_else(|| io::Error::other("/proc/self/statm does not say how much is mapped"))?;
    Ok(pages.saturating_mul(rustix::param::page_size() as u64))
}

fn become_somebody_else() -> io::Result<()> {
    // Before the user: only root may.
    for capability in 0..64 {
        // SAFETY: plain numbers.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) } < 0 {
            match Errno::last() {
                // The kernel knows no more of them; or we may not (CAP_SETPCAP): what is in this set can be gained by an exec only, and
                // neither that nor a new right is left after this.
                Errno::EINVAL | Errno::EPERM => break,
                other => return Err(other.into()),
            }
        }
    }
    let id = own_id()?;
    let (uid, gid) = (Uid::from_raw(id), Gid::from_raw(id));
    setgroups(&[])?;
    setresgid(gid, gid, gid)?;
    Ok(setresuid(uid, uid, uid)?)
}

fn drop_capabilities() -> io::Result<()> {
    let head = [CAPABILITY_VERSION, 0];
    let none = [0_u32; 6];
    // SAFETY: the header (version, own thread) and the three empty sets of two words each live for the call, as capset(2) reads them.
    let done = unsafe { libc::syscall(libc::SYS_capset, head.as_ptr(), none.as_ptr()) };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: plain numbers. A kernel without ambient capabilities (before 4.3) has none to clear.
    let _ = unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) };
    Ok(())
}
