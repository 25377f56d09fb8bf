//! Why the agent could not be asked: each way has its own mend.

use std::path::PathBuf;
use std::time::Duration;

use bartizan_protocol::{MAX_LINE, Refusal, VERSION};

/// Why the agent could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there (exit 3).
    #[error("no agent answers at {}: {why}", path.display())]
    NoAgent {
        /// The socket.
        path: PathBuf,
        /// What the kernel said.
        why: String,
    },
    /// The socket is there and the kernel does not let this user in.
    #[error("the agent's socket {} may not be opened by this user", path.display())]
    Denied {
        /// The socket.
        path: PathBuf,
    },
    /// Another host, or the agent there, cannot be reached (exit 3).
    #[error("{host} cannot be attached to: {why}")]
    Remote {
        /// The host as it was named.
        host: String,
        /// What ssh, or the relay there, said last.
        why: String,
    },
    /// The agent speaks another protocol version.
    #[error("the agent (version {agent}) speaks protocol {theirs}, this program speaks {VERSION}")]
    OtherVersion {
        /// Program version of the agent.
        agent: String,
        /// Its protocol version.
        theirs: u32,
    },
    /// The agent answered the greeting with a refusal.
    #[error("the agent refused this client: {}", .0.message)]
    Refused(Refusal),
    /// The connection ended.
    #[error("the agent closed the connection{}", .0.as_deref().map(|why| format!(": {why}")).unwrap_or_default())]
    Closed(Option<String>),
    /// No answer came in time.
    #[error("the agent did not answer \"{request}\" within {}", humantime::format_duration(*after))]
    Silent {
        /// What was asked.
        request: &'static str,
        /// How long was waited.
        after: Duration,
    },
    /// What came is not a line of our protocol.
    #[error("the agent sent something that is not protocol {VERSION}: {0}")]
    Garbled(String),
    /// A line longer than either side accepts.
    #[error("a message of more than {MAX_LINE} bytes was refused")]
    TooLong,
    /// Reading or writing failed.
    #[error("the connection to the agent broke: {0}")]
    Broken(#[from] std::io::Error),
    /// More questions wait for the socket than the queue holds.
    #[error("the agent is not taking questions: too many are waiting to be sent")]
    Busy,
}

impl ClientError {
    /// What to do about it, in one line.
    pub fn mend(&self) -> &str {
        match self {
            Self::NoAgent { .. } => "start one with `bartizan` or `systemctl start bartizan`, or name its socket with --socket PATH",
            Self::Remote { .. } => {
                "try `ssh HOST bartizan status`; where the program lies elsewhere or needs sudo there, name the command with --relay"
            }
            Self::Denied { .. } => "use sudo, or ask for membership of the group that owns the socket",
            Self::OtherVersion { .. } => "restart the agent after the upgrade, or run the program that belongs to it",
            Self::Refused(refusal) => &refusal.mend,
            Self::Closed(_) | Self::Broken(_) => "look at the agent's log (`journalctl -u bartizan`) and attach again",
            Self::Silent { .. } => "the agent is overloaded or stuck: look at `bartizan status` and its log",
            Self::Garbled(_) => "make sure that --socket names Bartizan's socket and both programs have the same version",
            Self::TooLong => "ask for less: fewer events, a shorter time",
            Self::Busy => "wait a moment and try again",
        }
    }

    /// Whether nobody answers at all, as opposed to somebody saying no: exit code 3 of the command line.
    pub fn is_no_agent(&self) -> bool {
        matches!(self, Self::NoAgent { .. } | Self::Remote { .. })
    }
}
