//! Bartizan: one host, one guard. Here is the command line alone; everything else is a crate in `crates/`.
//!
//! ```text
//! 6  bartizan: main · cli/                              argv; puts the rest together
//! 5  agent     console                                  wiring, queues, lifecycle, the socket; the terminal
//! 4  responder     redteam                              changes the host and undoes it; the sparring partner
//! 3  sensors     detect     court                       the world into events; events into incidents; may we?
//! 2  sys     store     client     outbound              doors: OS, disk, socket, network
//! 1  config     protocol     telemetry                  settings, words on the wire, our own logs
//! 0  model                                              nouns: no I/O, no clock
//! ```

#![forbid(unsafe_code)]

pub mod cli;
