//! The network namespace of init: some netlink families (the process connector) answer only there, wherever the
//! agent itself runs (drivers/connector/connector.c registers in init_net alone).

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use super::procfs;

/// Makes a socket in init's network namespace; in our own one when that is the same or may not be entered.
pub(super) fn socket_at_home(make: fn() -> io::Result<OwnedFd>) -> io::Result<OwnedFd> {
    let Some(home) = home() else { return make() };
    // A thread of its own: setns(2) moves only the caller, and this one ends right after.
    let made = std::thread::scope(|scope| {
        let entering = scope.spawn(move || {
            // SAFETY: no pointers; the descriptor is open, and only this short-lived thread moves.
            let entered = unsafe { libc::setns(home.as_raw_fd(), libc::CLONE_NEWNET) } == 0;
            if entered { make() } else { Err(io::Error::last_os_error()) }
        });
        entering.join()
    });
    match made {
        Ok(Ok(socket)) => Ok(socket),
        // Where init's network may not be entered, our own is all there is.
        _ => make(),
    }
}

/// Init's network, by init itself; where that process may not be looked into, by the process whose network is the
/// oldest: namespaces are numbered upwards, and the first one is init's (include/linux/proc_ns.h).
fn home() -> Option<File> {
    let open = |pid: u32| File::open(format!("/proc/{pid}/ns/net")).ok();
    open(1).or_else(|| {
        let number = |file: &File| file.metadata().map(|metadata| metadata.ino()).ok();
        procfs::pids()
            .ok()?
            .into_iter()
            .filter_map(open)
            .filter_map(|file| Some((number(&file)?, file)))
            .min_by_key(|(number, _)| *number)
            .map(|(_, file)| file)
    })
}
