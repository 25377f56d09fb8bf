//! The answering end of the control socket: binds it, knows its peers, answers within their role.

mod connection;
mod ear;
mod gate;
mod peer;
mod refusals;
mod socket;
#[cfg(test)]
mod tests;
mod token;

pub use connection::serve;
pub use gate::Gate;
pub use peer::{Access, Peer};
pub use socket::{Listener, SocketError};
pub use token::LIFETIME;
