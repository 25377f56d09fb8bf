//! Probes: what can be seen of processes, sockets and files.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::fanotify::{EventFFlags, Fanotify, InitFlags};

use super::{Grounds, degraded, missing, works};
use crate::lockdown::{self, Lockdown};
use crate::process_connector::Connector;
use crate::sock_diag;
use bartizan_model::Check;

const RUNG_BELOW: &str = "nothing need be done: the process connector takes over, but short-lived programs may lack their arguments";

/// The kernel tells its own types, so that one BPF object fits every kernel.
pub(super) fn btf() -> Check {
    const NAME: &str = "kernel types (BTF)";
    const FILE: &str = "/sys/kernel/btf/vmlinux";
    let mut magic = [0; 2];
    match File::open(FILE).and_then(|mut file| file.read_exact(&mut magic)) {
        // BTF_MAGIC (linux/btf.h).
        Ok(()) if u16::from_ne_bytes(magic) == 0xeb9f => works(NAME, FILE),
        Ok(()) => missing(NAME, format!("{FILE} does not begin as BTF does"), RUNG_BELOW),
        Err(e) => {
            missing(NAME, format!("{FILE}: {e}"), "use a kernel with CONFIG_DEBUG_INFO_BTF, or leave it: the process connector takes over")
        }
    }
}

/// bpf(2) makes the smallest map there is.
pub(super) fn bpf_syscall() -> Check {
    const NAME: &str = "bpf(2)";
    const MAP_CREATE: libc::c_int = 0;
    // union bpf_attr of BPF_MAP_CREATE: type array, key 4, value 4, one entry (linux/bpf.h).
    let attributes: [u32; 32] = {
        let mut all = [0; 32];
        [all[0], all[1], all[2], all[3]] = [2, 4, 4, 1];
        all
    };
    // SAFETY: the attributes are larger than the kernel reads here and outlive the call; the rest of it is zero.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, MAP_CREATE, attributes.as_ptr(), size_of_val(&attributes)) };
    match Errno::result(fd) {
        Ok(fd) => {
            // SAFETY: just opened, and ours alone.
            drop(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) });
            works(NAME, "a map could be made")
        }
        Err(e) => missing(
            NAME,
            format!("no map could be made: {e}"),
            &lockdown::mend_of_bpf(Lockdown::now(), "run as root on a kernel with CONFIG_BPF_SYSCALL; a container needs CAP_BPF"),
        ),
    }
}

/// Our own programs, loaded for real.
pub(super) fn bpf_programs(grounds: &Grounds<'_>) -> Check {
    const NAME: &str = "eBPF programs";
    match ((grounds.load_bpf)(), grounds.bpf_object) {
        (Ok(detail), object) => works(NAME, format!("{detail}; object: {object}")),
        (Err(_), "none") => missing(NAME, "this binary was built without an eBPF object", "install clang and build again"),
        (Err(why), object) => missing(NAME, format!("{object} object: {why}"), &lockdown::mend_of_bpf(Lockdown::now(), RUNG_BELOW)),
    }
}

/// Asks for process events and waits for the kernel's yes.
pub(super) fn process_connector() -> Check {
    const NAME: &str = "process connector";
    match Connector::open() {
        Ok(_) => works(NAME, "the kernel accepted a listener"),
        Err(e) => missing(
            NAME,
            format!("no process events: {e}"),
            "it needs CAP_NET_ADMIN, CONFIG_PROC_EVENTS and permission to enter the network namespace of init",
        ),
    }
}

/// Dumps the listening TCP sockets.
pub(super) fn sockets() -> Check {
    const NAME: &str = "socket table (sock_diag)";
    match sock_diag::count_listeners() {
        Ok(count) => works(NAME, format!("{count} listening TCP socket(s)")),
        Err(e) => degraded(NAME, format!("no dump: {e}"), "use a kernel with CONFIG_INET_DIAG; /proc/net/tcp is read instead"),
    }
}

/// Opens a fanotify group that names files, and marks nothing.
pub(super) fn fanotify() -> Check {
    const NAME: &str = "file events (fanotify)";
    // FAN_REPORT_DIR_FID | FAN_REPORT_NAME (linux/fanotify.h), since 5.9.
    match open_fanotify(InitFlags::from_bits_retain(0x400 | 0x800)) {
        Ok(()) => works(NAME, "events with names and processes"),
        Err(first) => match open_fanotify(InitFlags::empty()) {
            Ok(()) => degraded(
                NAME,
                format!("no names in events: {first}"),
                "use kernel 5.9 or later; inotify takes over, which cannot tell who did it",
            ),
            Err(e) => {
                missing(NAME, format!("refused: {e}"), "run as root (CAP_SYS_ADMIN); inotify takes over, which cannot tell who did it")
            }
        },
    }
}

fn open_fanotify(flags: InitFlags) -> io::Result<()> {
    Ok(Fanotify::init(InitFlags::FAN_CLASS_NOTIF | InitFlags::FAN_CLOEXEC | flags, EventFFlags::O_CLOEXEC).map(drop)?)
}
