//! What stands beside an event and decides whether it may teach anything.

/// What others know about an event and the process behind it. Asked for only when something new is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Circumstances {
    /// A detector or a rule speaks about this very event.
    pub reported: bool,
    /// The process descends from a service that strangers can talk to, and is not that service itself.
    pub below_service: bool,
    /// A package manager in the hands of root is at work, with no such service above it.
    pub installing: bool,
    /// Others than root can change the executable, or it has no file.
    pub writable: bool,
    /// It is a shell, an interpreter or a tool of the network: which package brought it says nothing about what it does.
    pub anything: bool,
}
