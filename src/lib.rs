//! Bartizan: one host, one guard. Here is the command line alone; everything else is a crate in `crates/`.
//!
//! ```text
//! 6  bartizan: main · cli/                              argv; puts the rest together
//! 5  agent     console                                  wiring, queues, lifecycle, the socket; the terminal
//! 4  responder     redteam                              changes the host and undoes it; the attack drill
//! 3  sensors     guard     detect     court             the world into events; what must never break; may we?
//! 2  store     client     outbound     enforce     worker   doors; mechanisms of change; hostile bytes without rights
//! 1  sys     config     protocol     telemetry     logs     fail2ban     integrity     rules
//! 0  model                                              nouns: no I/O, no clock
//! ```

#![forbid(unsafe_code)]

pub mod cli;
