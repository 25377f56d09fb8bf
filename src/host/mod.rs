//! Doors to the operating system: one file a door. The only room with `unsafe`, netlink, BPF and child processes.

pub mod access_copies;
pub mod accounts;
pub mod administrators;
pub mod bpf;
pub mod bpf_programs;
pub mod cgroup_number;
mod child;
pub mod clock;
pub mod container_addresses;
pub mod container_api;
pub mod data_lock;
pub mod digest;
pub mod dns_tap;
pub mod environment;
pub mod evidence;
pub mod exe_hash;
mod fanotify;
mod file_handle;
pub mod file_watch;
pub mod freeze;
pub mod handover;
mod home_network;
mod inotify;
pub mod lifeline;
pub mod manners;
mod mount_table;
pub mod mount_watch;
mod mountinfo;
mod mounts;
pub mod namespace;
pub mod nft;
#[cfg(test)]
pub(crate) mod other_user;
pub mod overtaking;
#[cfg(test)]
pub(crate) mod own_mounts;
#[cfg(test)]
pub(crate) mod own_netns;
pub mod own_usage;
pub mod package_mirrors;
pub mod packages;
mod peer_groups;
pub mod peer_sender;
pub mod pidfd;
pub mod privacy;
pub mod probe;
pub mod proc_connector;
pub mod proc_events;
pub mod process_start;
pub mod procfs;
pub mod random;
pub mod reexec;
pub mod service_manager;
pub mod sighting;
pub mod sock_destroy;
pub mod sock_diag;
pub mod socket_units;
pub mod ssh_ports;
pub mod system_log;
pub mod system_program;
pub mod temporary;
pub mod user_names;
pub mod vital;
pub mod watchdog;
pub mod xattrs;

pub use peer_groups::peer_groups;
