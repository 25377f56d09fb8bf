//! Doors to the operating system: one file a door. The only room with `unsafe`, netlink, BPF and child processes.

pub mod bpf;
pub mod clock;
pub mod proc_connector;
pub mod procfs;
pub mod sighting;
pub mod sock_diag;
pub mod user_names;
