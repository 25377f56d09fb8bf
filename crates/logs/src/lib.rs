//! Log lines into typed records: what a line proves, and nothing that a client wrote into it.
//!
//! Bytes in, records out; no I/O, no clock, no threads. Whoever reads the files hands the lines in. [`parse`] is the way in: it takes
//! the frame off (`frame/`: syslog, journal, Docker), lets the parser of the service read the message (`parsers/`), and joins the lines of
//! one SSH connection so that an attempt counts once (`sessions`).

#![forbid(unsafe_code)]

pub mod frame;
mod parse;
pub mod parsers;
mod peer;
mod record;
mod scan;
mod sessions;
pub mod web;

pub use parse::{Context, Format, MAX_LINE, Parsed, parse};
pub use peer::{Peer, address};
pub use record::{AccountChange, MAX_DETAIL, MAX_NAME, Method, Origin, Raw, Record, Service, What};
