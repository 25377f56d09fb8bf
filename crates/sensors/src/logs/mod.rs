//! Logs are followed without losing or repeating a line: here files are opened and watched; what is in them, a process without rights reads.
//!
//! The lines of a file are read from where they were left off, known by device, inode, offset and a hash of its beginning. A renamed file is
//! read to its end while the new one is read from its beginning; of a copied and cut one, what was not read yet is read from the copy.

mod container_logs;
mod discovery;
mod file;
mod follower;
mod held_file;
mod jail_logs;
mod journal;
mod kept;
mod round;
mod row;
mod settled;
#[cfg(test)]
mod tests;
mod web_config;

use std::path::PathBuf;

use crate::Stop;
use bartizan_model::{HostText, LogSource, LogState};
use bartizan_sys::growth::Growth;
use bartizan_worker::{At, Parser, Worker};

pub use discovery::{LogFinder, places};
pub use follower::{Find, LogFollower};

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
    /// What people call it; no two places have the same name.
    pub name: HostText,
    /// Where.
    pub place: Place,
    /// What a reader must know of it.
    pub source: S,
    /// How its lines are written, in a word for people.
    pub format: String,
    /// In what state it is instead of being read, and why; it is listed all the same.
    pub off: Option<(LogState, String)>,
}

impl<S> LogPlace<S> {
    /// A place under the name of its file, or `journal`.
    pub fn new(place: Place, source: S, format: String) -> Self {
        let name = match &place {
            Place::File(path) => HostText::from(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str())),
            Place::Journal => HostText::from("journal"),
        };
        Self { name, place, source, format, off: None }
    }
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

/// What a source needs for its turn.
struct Hands<'a, P: Parser, K> {
    worker: &'a mut Worker<P::Source, P::Record>,
    growth: &'a Growth,
    sink: &'a K,
    next_id: &'a mut u32,
    /// The end of the agent is seen between two readings.
    stop: &'a Stop,
}

impl<P: Parser, K> Hands<'_, P, K> {
    /// A number for a descriptor that is handed over.
    fn id(&mut self) -> u32 {
        *self.next_id = self.next_id.wrapping_add(1);
        *self.next_id
    }
}
