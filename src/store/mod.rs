//! Disk: the ledger (actions, audit) and the archive (events, signals, incidents, alerts).

mod archive;
mod error;
mod migrations;
mod reader;
mod writer;

pub use archive::{Archive, FILE as ARCHIVE_FILE};
pub use error::StoreError;
pub use reader::{EventFilter, Found, MOST as MOST_RECORDS, Reader};
pub use writer::{Swept, Writer};

#[cfg(test)]
mod archive_tests;
pub mod ledger;
