//! A network namespace of the bench, gone at its end, with a cable behind which nobody answers.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::Command;

use nix::sched::{CloneFlags, setns, unshare};

/// The guarded host's address (RFC 5737).
pub const HOST: &str = "198.51.100.1";

pub fn ip(words: &str) {
    assert!(Command::new("ip").args(words.split(' ')).status().unwrap().success(), "ip {words}");
}

/// A named one, so that programs can be started in it.
pub struct Namespace(String);

impl Namespace {
    pub fn new() -> Self {
        let name = format!("bzact{}", std::process::id());
        ip(&format!("netns add {name}"));
        let own = Self(name);
        let name = &own.0;
        ip(&format!("-n {name} link set lo up"));
        ip(&format!("-n {name} link add wire type veth peer name nobody"));
        ip(&format!("-n {name} address add {HOST}/24 dev wire"));
        ip(&format!("-n {name} link set wire up"));
        ip(&format!("-n {name} link set nobody up"));
        ip(&format!("-n {name} route add 203.0.113.0/24 dev wire"));
        own
    }

    /// For `nsenter`.
    pub fn flag(&self) -> String {
        format!("--net=/run/netns/{}", self.0)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.0]).status();
    }
}

/// Runs `work` on a thread in a nameless namespace of its own, with loopback up.
pub fn alone<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            ip("link set lo up");
            work()
        });
        inside.join().unwrap()
    })
}

/// Runs `work` in another namespace and comes back.
pub fn within<T>(other: &File, work: impl FnOnce() -> T) -> T {
    let own = File::open("/proc/thread-self/ns/net").unwrap();
    setns(other.as_fd(), CloneFlags::CLONE_NEWNET).unwrap();
    let given = work();
    setns(own.as_fd(), CloneFlags::CLONE_NEWNET).unwrap();
    given
}
