//! Frames: what stands around a message. One file a kind; each takes it off and says who sent the message, and when.

pub mod docker;
pub mod journal;
pub(crate) mod repeated;
pub(crate) mod stamp;
pub(crate) mod syslog;

use bartizan_model::Timestamp;

/// A message out of its frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Frame<'a> {
    /// When, if the frame says so.
    pub at: Option<Timestamp>,
    /// The program's name as it stands there: `sshd`, `postfix/smtpd`.
    pub tag: &'a [u8],
    /// Process id, if the frame says so.
    pub pid: Option<u32>,
    /// The message.
    pub message: &'a [u8],
    /// How many equal messages it stands for.
    pub repeated: u32,
    /// What the transport shows of the sender.
    pub sender: Sender<'a>,
}

/// What the transport shows of the process that sent a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender<'a> {
    /// Nothing: a line of a file or of a container's output.
    Unknown,
    /// The kernel itself.
    Kernel,
    /// A process, as the journal saw it (systemd.journal-fields(7)).
    Process {
        /// `_UID`: the real user id that the kernel attached to the message.
        uid: Option<u32>,
        /// `_EXE`: its program; missing when it was gone before the journal looked.
        exe: Option<&'a [u8]>,
        /// `_TRANSPORT=stdout`: a service's standard output, not a call of syslog(3).
        printed: bool,
    },
    /// A container, through its runtime: any process in it may have written any line.
    Container,
}
