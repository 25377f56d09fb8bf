//! What this process makes on disk is for its owner alone.

use nix::sys::stat::{Mode, umask};

/// From now on new files are 0600 and new directories 0700 unless asked otherwise.
pub fn keep_files_private() {
    umask(Mode::from_bits_truncate(0o077));
}

/// The user id this process runs as.
pub fn own_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// The id of a group by its name; `None` when the host has no such group.
pub fn group_id(name: &str) -> Option<u32> {
    nix::unistd::Group::from_name(name).ok().flatten().map(|group| group.gid.as_raw())
}
