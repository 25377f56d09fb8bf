//! For tests: a network namespace of one's own, so that no test touches the machine's own network.

use std::process::Command;

/// Runs `body` on a thread in a fresh network namespace with loopback up. Needs root; says so and skips without.
pub(crate) fn in_own_network(body: impl FnOnce() + Send) {
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
