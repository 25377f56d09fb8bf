//! Doors to the operating system: one file a door. The only room with `unsafe`, netlink, BPF and child processes.

pub mod handover;
mod home_network;
pub mod own_usage;
mod peer_groups;
pub mod privacy;
pub mod service_manager;
pub mod temporary;

pub use peer_groups::peer_groups;

pub mod freeze;
pub mod lifeline;
pub mod nft;
#[cfg(test)]
pub(crate) mod own_netns;
pub mod pidfd;
pub mod bpf;
pub mod clock;
pub mod proc_connector;
pub mod procfs;
pub mod sighting;
pub mod sock_diag;
pub mod user_names;
pub mod namespace;
pub mod digest;
mod fanotify;
mod file_handle;
pub mod file_watch;
mod inotify;
pub mod proc_events;
pub mod process_start;
pub mod random;
pub mod watchdog;
pub mod probe;
