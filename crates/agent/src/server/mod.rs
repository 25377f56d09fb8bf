//! The answering end of the control socket: binds it, knows its peers, answers within their role.

mod connection;
mod door;
mod gate;
mod line_reader;
mod peer;
mod places;
mod refusals;
mod silent;
mod socket;
#[cfg(test)]
mod tests;
mod token;

pub use connection::serve;
pub use door::attend;
pub use gate::Gate;
pub use peer::{Access, Peer};
pub use places::Places;
pub use socket::{Listener, SocketError};
pub use token::LIFETIME;
