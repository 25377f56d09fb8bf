//! The other end of the agent's socket: connect, say hello, ask, listen.

#![forbid(unsafe_code)]

mod connection;
mod endpoint;
mod error;
mod line;
mod relay;
mod split;
mod ssh;
mod token_cache;

pub use connection::Connection;
pub use endpoint::{Endpoint, Opened};
pub use error::ClientError;
pub use relay::relay;
pub use split::{Asker, Inbox, News};
pub use ssh::{BadHost, RELAY, Said, SshHost, StartSsh};
