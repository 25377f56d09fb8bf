//! How many files, sockets and maps may be open at once (getrlimit(2)): as many as the hard limit allows, and some of few
//! kept for whoever must act.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// With fewer than these some sensor may find none; the agent itself uses about ninety.
pub const ENOUGH: u64 = 256;
/// More than these are never needed.
const MOST: u64 = 65_536;
/// Kept free while the sensors take theirs.
const KEPT: usize = 16;

/// Kept free of peers at the control socket: what the largest action has open at once.
const TO_ACT: u64 = 6;

/// Raises the soft limit to the hard one; gives how many may be open from now on.
pub fn raise() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return ENOUGH };
    let wanted = hard.min(MOST);
    if soft >= wanted || setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_err() {
        return soft;
    }
    wanted
}

/// How many may be open.
pub fn limit() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(ENOUGH, |(soft, _)| soft)
}

/// Whether enough to act are left beside this one that was just opened. The kernel gives the lowest number that is free
/// (open(2)), so all below it are taken.
pub fn leaves_enough(newest: &impl AsFd) -> bool {
    u64::try_from(newest.as_fd().as_raw_fd()).is_ok_and(|number| number + TO_ACT < limit())
}

/// Descriptors that are free again when this is dropped.
pub fn keep_free() -> Vec<File> {
    (0..KEPT).map_while(|_| File::open("/dev/null").ok()).collect()
}
