//! What the end-to-end tests stand on: an isolated agent, a private network, a terminal, and patience with an end.

#![allow(dead_code, unreachable_pub, missing_docs)] // each test binary uses its own part of it
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test fails by panic

pub mod agent;
pub mod attack;
pub mod dice;
pub mod docker;
pub mod driven;
pub mod effects;
pub mod ends;
pub mod guarded;
pub mod hand;
pub mod lan;
pub mod network;
pub mod obstacles;
pub mod programs;
pub mod ssh;
pub mod state;
pub mod systemd_host;
pub mod terminal;
pub mod trees;
pub mod wire;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The program under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_bartizan");

/// Whether this test can run here; says aloud why not.
pub fn can_run(needs: &[&str]) -> bool {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root (namespaces, sensors, packet filter)");
        return false;
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let lacking: Vec<_> =
        needs.iter().filter(|tool| !path.split(':').any(|place| std::path::Path::new(place).join(tool).is_file())).collect();
    if !lacking.is_empty() {
        eprintln!("skipped: these programs are missing: {lacking:?} (./test.sh installs them where it may)");
    }
    lacking.is_empty()
}

/// While it is held no other test undoes what this one froze: an emergency stop sweeps the whole host, and the unit tests
/// (crates/sys/src/own_netns.rs, same lock) run beside these. Not for longer than some seconds: they wait for it.
pub fn alone_on_this_host() -> nix::fcntl::Flock<std::fs::File> {
    let file = std::fs::File::create(std::env::temp_dir().join("bartizan-freezing-tests.lock")).unwrap();
    nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusive).unwrap()
}

/// A name that no other test uses at the same time. At most 15 bytes: it may name a network interface.
pub fn unique(what: &str) -> String {
    static TURN: AtomicU32 = AtomicU32::new(0);
    format!("{what}{:x}n{}", std::process::id(), TURN.fetch_add(1, Ordering::Relaxed))
}

/// Waits until `look` finds something; after `patience` the test fails and says what `state` shows.
pub fn wait_for<T>(what: &str, patience: Duration, mut look: impl FnMut() -> Option<T>, state: impl FnOnce() -> String) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {patience:?} for {what}; now:\n{}", state());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// As [`wait_for`], for a yes.
pub fn wait_until(what: &str, patience: Duration, mut look: impl FnMut() -> bool) {
    wait_for(what, patience, || look().then_some(()), String::new);
}
