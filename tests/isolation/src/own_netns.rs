//! For tests: a network namespace of one's own, so that no test touches the machine's own network.

use std::fs::File;
use std::process::Command;

use nix::fcntl::{Flock, FlockArg};

use crate::forked::{Became, Forked};

/// One test at a time, of all test programs on this host (tests/support/mod.rs takes the same lock): an emergency stop undoes
/// what other tests froze.
pub fn alone_on_this_host() -> Flock<File> {
    let file = File::create(std::env::temp_dir().join("bartizan-freezing-tests.lock")).unwrap();
    Flock::lock(file, FlockArg::LockExclusive).unwrap()
}

/// Runs `body` on a thread in a fresh network namespace with loopback up. Needs root; says so and skips without.
pub fn in_own_network(body: impl FnOnce() + Send) {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root to make a network namespace");
        return;
    }
    std::thread::scope(|scope| {
        scope.spawn(|| {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
            body();
        });
    });
}

/// `ip(8)` with these words, in the network of the calling thread.
pub fn ip(words: &str) {
    assert!(Command::new("ip").args(words.split(' ')).status().unwrap().success(), "{words}");
}

/// Gives this network one device, up, with the other end of its cable beside it: `veth0` with the address 198.51.100.2.
pub fn plug_in() {
    for words in
        ["link add veth0 type veth peer name veth1", "link set veth0 up", "link set veth1 up", "addr add 198.51.100.2/24 dev veth0"]
    {
        ip(words);
    }
}

/// A TCP connection to `to`:`port` whose near end is the address `from`.
pub fn connected_from(from: &str, to: &str, port: u16) -> std::net::TcpStream {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, socket};
    use std::net::SocketAddr;
    use std::os::fd::AsRawFd;
    let (from, to) = (SocketAddr::new(from.parse().unwrap(), 0), SocketAddr::new(to.parse().unwrap(), port));
    let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let stream = std::net::TcpStream::from(socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap());
    bind(stream.as_raw_fd(), &SockaddrStorage::from(from)).unwrap();
    connect(stream.as_raw_fd(), &SockaddrStorage::from(to)).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(1))).unwrap();
    stream
}

/// Ends this process as SIGKILL does: no destructor, no flush.
pub fn die() {
    // SAFETY: ends this process only.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
}

/// Runs `body` in a forked child and waits for its end; true when SIGKILL ended it.
pub fn killed_in_a_child(body: impl FnOnce()) -> bool {
    let mut child = Forked::running(|| {
        body();
        0
    });
    child.wait() == Became::Killed(libc::SIGKILL)
}
