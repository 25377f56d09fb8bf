//! Doors to the operating system: one file a door. The only room with `unsafe`, netlink, BPF and child processes.

pub mod freeze;
pub mod lifeline;
pub mod nft;
#[cfg(test)]
pub(crate) mod own_netns;
pub mod pidfd;
pub mod watchdog;
