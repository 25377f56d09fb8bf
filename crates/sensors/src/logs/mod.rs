//! Logs are followed without losing or repeating a line: here files are opened and watched; what is in them, a process without rights reads.
//!
//! The lines of a file are read from where they were left off, known by device, inode, offset and a hash of its beginning. A renamed file is
//! read to its end while the new one is read from its beginning; of a copied and cut one, what was not read yet is read from the copy.

mod discovery;
mod file;
mod follower;
mod journal;
mod kept;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use bartizan_model::{HostText, LogSource};
use bartizan_worker::At;

pub use discovery::places;
pub use follower::LogFollower;

/// Where lines come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file, under this name.
    File(PathBuf),
    /// The journal of systemd.
    Journal,
}

/// A log to follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPlace<S> {
    /// Where.
    pub place: Place,
    /// What a reader must know of it.
    pub source: S,
    /// How its lines are written, in a word for people.
    pub format: String,
    /// Why it is not read, if so: it is listed all the same.
    pub off: Option<String>,
}

/// Who takes what comes of logs.
pub trait LogSink<R>: Send {
    /// What a line says.
    fn take(&self, source: &HostText, record: At<R>);
    /// How the sources are now.
    fn rows(&self, rows: Vec<LogSource>);
    /// How far they are read: to be handed to the next run. What was taken before is kept before.
    fn keep(&self, text: String);
    /// The process that reads them does not work; with `None`, it does.
    fn trouble(&self, trouble: Option<String>);
}
