//! How many files, sockets and maps may be open at once (getrlimit(2)): as many as the hard limit allows, and some of few
//! kept for whoever must act.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// With fewer than these some sensor may find none; the agent itself uses about ninety.
pub const ENOUGH: u64 = 256;
/// More than these are never needed.
const MOST: u64 = 65_536;
/// Kept free of sensors: eight peers, what an action has open, and what the agent itself opens after its first sensors.
const KEPT: u64 = 28;
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
    leaves(newest, TO_ACT, limit())
}

fn leaves(newest: &impl AsFd, kept: u64, limit: u64) -> bool {
    u64::try_from(newest.as_fd().as_raw_fd()).is_ok_and(|number| number + kept < limit)
}

/// Asked before something is opened that stays open and that the agent can do without: a sensor, a log.
///
/// # Errors
/// `EMFILE` when whoever must act would be left with too few.
pub fn ask_for(count: u64) -> io::Result<()> {
    let limit = limit();
    if limit >= ENOUGH || leaves(&File::open("/dev/null")?, KEPT + count, limit) { Ok(()) } else { Err(Errno::EMFILE.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_done_without_leaves_the_last_descriptors_to_whoever_acts() {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let newest = File::open("/dev/null").unwrap();
        let number = u64::try_from(newest.as_raw_fd()).unwrap();
        assert!(ask_for(1).is_ok());
        setrlimit(Resource::RLIMIT_NOFILE, number + KEPT + 3, hard).unwrap();
        let asked = [ask_for(1).is_ok(), ask_for(2).is_err(), File::open("/dev/null").is_ok()];
        setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
        assert_eq!(asked, [true; 3]);
    }
}
