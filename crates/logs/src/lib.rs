//! Log lines into typed records: what a line proves, and nothing that a client wrote into it.
//!
//! Bytes in, records out; no I/O, no clock, no threads. Whoever reads the files hands the lines in.

#![forbid(unsafe_code)]

pub mod web;
