//! Doors to the operating system: one file a door. The only room with `unsafe`, netlink, BPF and child processes.

pub mod namespace;
pub mod probe;
