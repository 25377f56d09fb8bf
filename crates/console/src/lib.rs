//! The console: one inbound stream of inputs, pure updates, paint from an immutable state. Speaks only the protocol.

#![forbid(unsafe_code)]

mod bounded;
mod frugal;
mod input;
mod paint;
mod run;
mod screenshot;
mod seat;
mod state;
mod terminal;
mod update;
mod view;
mod widgets;

#[cfg(test)]
mod file_tests;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod question_tests;
#[cfg(test)]
mod sentence_tests;
#[cfg(test)]
mod sheet_fixtures;
#[cfg(test)]
mod sheet_tests;
#[cfg(test)]
mod table_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod triage_tests;
#[cfg(test)]
mod truth_tests;
#[cfg(test)]
mod way_tests;

pub use run::{ConsoleError, Options, Outcome, run};
pub use screenshot::{screenshot, screenshot_with_audit};
pub use seat::{Ground, Place};
