//! The other end of the agent's socket: connect, say hello, ask, listen.

#![forbid(unsafe_code)]

mod connection;
mod error;
mod line;
mod split;
mod token_cache;

pub use connection::Connection;
pub use error::ClientError;
pub use split::{Asker, Inbox, News};
