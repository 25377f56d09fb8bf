//! Disk: the ledger (actions, audit) and the archive (events, signals, incidents, alerts).

mod archive;
#[cfg(test)]
mod archive_tests;
mod error;
pub mod ledger;
mod migrations;
mod reader;
mod writer;

pub use archive::{Archive, FILE as ARCHIVE_FILE};
pub use error::StoreError;
pub use reader::{EventFilter, Found, MOST as MOST_RECORDS, Reader};
pub use writer::{Swept, Writer};
