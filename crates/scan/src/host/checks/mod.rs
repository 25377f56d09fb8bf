//! The checks, one file each; the list is in `host/mod.rs`.

pub(super) mod accounts;
pub(super) mod certificates;
pub(super) mod credential_files;
pub(super) mod directories;
pub(super) mod docker_containers;
pub(super) mod docker_daemon;
pub(super) mod firewall;
pub(super) mod kernel_settings;
pub(super) mod listeners;
pub(super) mod set_uid;
pub(super) mod ssh_server;
pub(super) mod startup_files;
pub(super) mod sudoers;
pub(super) mod time_sync;
pub(super) mod updates;
mod x509;
