//! The answering end of the control socket: binds it, knows its peers, answers within their role.

mod connection;
mod peer;
mod socket;

pub use connection::serve;
pub use peer::{Access, Peer};
pub use socket::{Listener, SocketError};
