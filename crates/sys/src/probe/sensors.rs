//! Probes: what can be seen of processes, sockets and files.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::netlink::{DUMP, Door, check};
use super::{Grounds, degraded, missing, works};
use crate::lockdown::{self, Lockdown};
use crate::proc_connector::Connector;
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
    match check(fd as libc::c_int) {
        Ok(fd) => {
            // SAFETY: just opened, and ours alone.
            drop(unsafe { OwnedFd::from_raw_fd(fd) });
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
            "it needs CAP_NET_ADMIN, CONFIG_PROC_EVENTS and leave to enter the network namespace of init",
        ),
    }
}

/// Dumps the listening TCP sockets.
pub(super) fn sock_diag() -> Check {
    const NAME: &str = "socket table (sock_diag)";
    let ask = || -> io::Result<usize> {
        // NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, struct inet_diag_req_v2: AF_INET, TCP, state LISTEN (bit 10).
        let mut body = vec![libc::AF_INET as u8, libc::IPPROTO_TCP as u8, 0, 0];
        body.extend_from_slice(&(1_u32 << 10).to_ne_bytes());
        body.resize(56, 0);
        let door = Door::open(4, 0)?;
        door.send(20, DUMP, &body)?;
        Ok(door.receive()?.iter().filter(|(kind, _)| *kind == 20).count())
    };
    match ask() {
        Ok(count) => works(NAME, format!("{count} listening IPv4 socket(s) in the first answer")),
        Err(e) => degraded(NAME, format!("no dump: {e}"), "use a kernel with CONFIG_INET_DIAG; /proc/net/tcp is read instead"),
    }
}

/// Opens a fanotify group that names files, and marks nothing.
pub(super) fn fanotify() -> Check {
    const NAME: &str = "file events (fanotify)";
    // FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_REPORT_DIR_FID | FAN_REPORT_NAME (linux/fanotify.h); the last two since 5.9.
    match open_fanotify(0x1 | 0x400 | 0x800) {
        Ok(()) => works(NAME, "events with names and processes"),
        Err(first) => match open_fanotify(0x1) {
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

fn open_fanotify(flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: no pointers.
    let fd = check(unsafe { libc::fanotify_init(flags, (libc::O_RDONLY | libc::O_CLOEXEC) as libc::c_uint) })?;
    // SAFETY: just opened, and ours alone.
    let group = unsafe { OwnedFd::from_raw_fd(fd) };
    check(group.as_raw_fd()).map(drop)
}
