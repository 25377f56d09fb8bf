//! Disk: the ledger (actions, audit) and the archive (events, signals, incidents, alerts).

mod archive;
#[cfg(test)]
mod archive_tests;
mod error;
pub mod ledger;
mod migrations;
mod reader;
mod writer;

pub use archive::Archive;
pub use error::StoreError;
pub use reader::{EventFilter, Found, Reader};
pub use writer::{Swept, Writer};
