//! Judges events: each detector answers to one behaviour, the correlator joins their signals into incidents.
//!
//! An event in, incidents out; no I/O, no clock, no threads. The two halves do not know each other: what calls them joins them.

#![forbid(unsafe_code)]

pub mod correlator;
pub mod detectors;
pub mod indicators;
