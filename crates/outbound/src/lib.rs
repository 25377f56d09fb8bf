//! What leaves the machine, and only when configured.

#![forbid(unsafe_code)]

mod heartbeat;
mod mail;
pub mod probe;
mod secret;
mod sink;
mod syslog;
mod web;
mod web_client;

pub use heartbeat::Heartbeat;
pub use sink::{Sink, place, test_all};

#[cfg(test)]
mod sink_tests;
