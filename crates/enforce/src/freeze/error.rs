//! Why a tree could not be held or released.

use std::io;

use bartizan_model::HostText;

/// Why a tree could not be held or released.
#[derive(Debug, thiserror::Error)]
pub enum FreezeError {
    /// It has ended.
    #[error("there is nothing to stop: the process and all below it have ended")]
    Nothing,
    /// Another freeze holds part of the tree.
    #[error("pid {pid} is held already by {group}: undo that first, or kill the tree")]
    Held {
        /// Whom.
        pid: u32,
        /// The cgroup that holds it.
        group: HostText,
    },
    /// It could not be put back afterwards.
    #[error(
        "pid {pid} runs in cgroup {group}, outside of what bartizan can reach here (it runs in a container of its own): it could not be put back, so nothing was frozen; run bartizan on the host itself"
    )]
    OutOfReach {
        /// Whom.
        pid: u32,
        /// The cgroup that it is in.
        group: HostText,
    },
    /// One of the tree may not be stopped.
    #[error("pid {pid} belongs to the tree and may not be stopped: {why}")]
    Forbidden {
        /// Whom.
        pid: u32,
        /// Why not.
        why: String,
    },
    /// More processes than we take, or new ones faster than they can be caught.
    #[error("the tree could not be caught whole within 5s ({0} processes so far): kill it instead")]
    TooMany(usize),
    /// The kernel does not confirm.
    #[error("the kernel does not confirm it: {0}")]
    Unconfirmed(String),
    /// A file of a cgroup or of ours.
    #[error("could not {what}: {why}")]
    File {
        /// What was tried.
        what: &'static str,
        /// errno in words.
        why: io::Error,
    },
}
