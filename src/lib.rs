//! Bartizan: one host, one guard. This file is the map; `docs/ARCHITECTURE.md` explains the floors.
//!
//! ```text
//! 7  main · cli/                                        argv; puts the rest together
//! 6  server/  tui/                                      two faces: a socket, a person
//! 5  engine/                                            wiring: tasks, queues, lifecycle, hand-over
//! 4  responder/   redteam/                              the hand; the sparring partner
//! 3  collector/  detector/  correlator/  court/         the verbs
//! 2  host/  store/  outbound/  client/                  doors: OS, disk, network, socket
//! 1  config/  protocol/  telemetry/                     settings, words on the wire, our own logs
//! 0  model/                                             nouns: no I/O, no clock
//! ```

// Floor 0
pub mod model;

// Floor 1
pub mod config;
pub mod protocol;
pub mod telemetry;

// Floor 2
pub mod client;
#[allow(unsafe_code)] // the kernel's door: the one room that may
pub mod host;
pub mod outbound;
pub mod store;

// Floor 3
pub mod collector;
pub mod correlator;
pub mod court;
pub mod detector;

// Floor 4
pub mod redteam;
pub mod responder;

// Floor 5
pub mod engine;

// Floor 6
pub mod server;
pub mod tui;

// Floor 7
pub mod cli;
