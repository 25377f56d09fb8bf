//! The network namespace of init: some netlink families (the process connector) answer only there, wherever the
//! agent itself runs (drivers/connector/connector.c registers in init_net alone).

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};

use super::proc_files;

/// Makes a socket in init's network namespace; in our own one when that is the same or may not be entered.
pub(super) fn socket_at_home<T: Send>(make: fn() -> io::Result<T>) -> io::Result<T> {
    let Some(home) = home() else { return make() };
    match within(&home, make) {
        Ok(Ok(socket)) => Ok(socket),
        // Where init's network may not be entered, our own is all there is.
        _ => make(),
    }
}

/// Runs `work` in this network namespace, on a thread of its own: setns(2) moves only the caller, and that one ends right after.
pub(super) fn within<T: Send>(network: &File, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let entered = scope.spawn(move || setns(network, CloneFlags::CLONE_NEWNET).map(|()| work()));
        let done = entered.join().unwrap_or_else(|_| Err(Errno::ECANCELED));
        Ok(done?)
    })
}

/// Init's network, by init itself; where that process may not be looked into, by the process whose network is the
/// oldest: namespaces are numbered upwards, and the first one is init's (include/linux/proc_ns.h).
fn home() -> Option<File> {
    let open = |pid: u32| File::open(format!("/proc/{pid}/ns/net")).ok();
    open(1).or_else(|| {
        let number = |file: &File| file.metadata().map(|metadata| metadata.ino()).ok();
        proc_files::pids()
            .ok()?
            .into_iter()
            .filter_map(open)
            .filter_map(|file| Some((number(&file)?, file)))
            .min_by_key(|(number, _)| *number)
            .map(|(_, file)| file)
    })
}
