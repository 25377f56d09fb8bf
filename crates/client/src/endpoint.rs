//! Where an agent is: behind a socket of this host, or on another host.

use std::fmt;
use std::path::PathBuf;

use super::ssh::{Said, SshHost, StartSsh};
use super::{ClientError, Connection};

/// Where an agent is.
#[derive(Debug, Clone)]
pub enum Endpoint {
    /// Its socket on this host.
    Socket(PathBuf),
    /// Another host, by ssh.
    Ssh {
        /// Which.
        host: SshHost,
        /// Starts ssh(1).
        start: StartSsh,
    },
}

/// A connection and who carries it.
#[derive(Debug)]
pub struct Opened {
    /// Open and greeted.
    pub connection: Connection,
    /// What ssh says, when it carries the connection: why it ended, at the end.
    pub said: Option<Said>,
}

impl Endpoint {
    /// Connects and greets. `asks`: a person is at the terminal, and ssh may ask there for a passphrase or about a host key.
    ///
    /// # Errors
    /// As [`Connection::open`], and [`ClientError::Remote`] when the other host cannot be reached.
    pub async fn open(&self, asks: bool) -> Result<Opened, ClientError> {
        match self {
            Self::Socket(path) => Connection::open(path).await.map(|connection| Opened { connection, said: None }),
            Self::Ssh { host, start } => {
                let (stream, said) = host.open(*start, asks).await?;
                let connection = Connection::from_stream(stream).await?;
                Ok(Opened { connection, said: Some(said) })
            }
        }
    }

    /// The other host, as a person calls it; `None` for an agent of this one.
    pub fn remote(&self) -> Option<String> {
        match self {
            Self::Socket(_) => None,
            Self::Ssh { host, .. } => Some(host.to_string()),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "{}", path.display()),
            Self::Ssh { host, .. } => write!(f, "ssh://{host}"),
        }
    }
}
