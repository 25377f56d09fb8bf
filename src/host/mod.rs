//! Doors to the operating system: one file a door. The only room with `unsafe`, netlink, BPF and child processes.

pub mod digest;
mod fanotify;
mod file_handle;
pub mod file_watch;
mod inotify;
pub mod proc_events;
pub mod process_start;
pub mod random;
