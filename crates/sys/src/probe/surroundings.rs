//! Probes: disk, clock, the owner's way in, the terminal.

use std::io;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access};
use rustix::termios::tcgetwinsize;

use super::{degraded, find_program, missing, works};
use bartizan_model::Check;

/// Less free space than this and the archive cannot keep a day of a busy host.
const LITTLE_SPACE: u64 = 512 * 1024 * 1024;

/// Whether records can be kept.
pub(super) fn data_directory(data: &Path) -> Check {
    const NAME: &str = "data directory";
    let Some(there) = data.ancestors().find(|place| place.is_dir()) else {
        return missing(NAME, format!("{} and everything above it is missing", data.display()), "name another one: --data DIR");
    };
    let free = || -> io::Result<u64> {
        // Whether files can be made.
        access(there, AccessFlags::W_OK | AccessFlags::X_OK)?;
        let disk = statvfs(there)?;
        // proc and its like tell no blocks at all: nothing can be kept there.
        if disk.blocks() == 0 {
            return Err(io::Error::other("nothing can be stored on this file system"));
        }
        Ok(disk.blocks_available().saturating_mul(disk.fragment_size()))
    };
    let place = if there == data { data.display().to_string() } else { format!("{} (to be made in {})", data.display(), there.display()) };
    match free() {
        Ok(bytes) if bytes < LITTLE_SPACE => {
            degraded(NAME, format!("{place}: {} MiB free", bytes >> 20), "free some space, or lower the store's limits in agent.toml")
        }
        Ok(bytes) => works(NAME, format!("{place}: {} MiB free", bytes >> 20)),
        Err(e) => missing(NAME, format!("{place}: {e}"), "run as root, or name another one: --data DIR"),
    }
}

/// Whether times in the records can be believed.
pub(super) fn clock() -> Check {
    const NAME: &str = "clock";
    // SAFETY: all zero is a valid value; with no mode set the call only reads.
    let mut state: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is valid for the call.
    let code = unsafe { libc::adjtimex(&raw mut state) };
    match Errno::result(code) {
        Ok(code) if code != libc::TIME_ERROR && state.status & libc::STA_UNSYNC == 0 => {
            works(NAME, format!("kept in step; estimated error {} ms", state.esterror / 1000))
        }
        Ok(_) => degraded(
            NAME,
            "nobody keeps it in step",
            "enable a time service (systemd-timesyncd, chrony): records of several hosts do not compare otherwise",
        ),
        Err(e) => degraded(NAME, format!("the kernel does not tell: {e}"), "enable a time service (systemd-timesyncd, chrony)"),
    }
}

/// The owner's way in, which no action may cut.
pub(super) fn ssh_server() -> Check {
    const NAME: &str = "SSH server (lifeline)";
    let pids = std::fs::read_dir("/proc").into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let servers: Vec<u32> =
        pids.filter(|pid| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim_end() == "sshd")).collect();
    match (servers.iter().min(), find_program("sshd")) {
        (Some(pid), _) => works(NAME, format!("runs (pid {pid}, {} process(es)); it and its sessions are never cut off", servers.len())),
        (None, Some(path)) => works(NAME, format!("{path} does not run")),
        (None, None) => works(NAME, "none on this host"),
    }
}

/// Whether the console has room. Ask it where the person is, not in the agent.
pub fn terminal() -> Check {
    const NAME: &str = "terminal";
    let size = tcgetwinsize(io::stdout()).or_else(|_| tcgetwinsize(io::stderr())).or_else(|_| tcgetwinsize(io::stdin()));
    match size.map(|size| (size.ws_col, size.ws_row)) {
        Err(_) => works(NAME, "none here: output goes to a file or a pipe"),
        Ok((columns, rows)) if columns >= 80 && rows >= 24 => works(NAME, format!("{columns}x{rows}")),
        Ok((columns, rows)) => {
            degraded(NAME, format!("{columns}x{rows}"), "the console wants 80x24; `--view NAME` shows one panel in less")
        }
    }
}
