//! The asking end of the control socket.
