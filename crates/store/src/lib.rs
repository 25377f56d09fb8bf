//! Disk: the ledger (actions, audit) and the archive (events, signals, incidents, alerts).

#![forbid(unsafe_code)]

mod archive;
#[cfg(test)]
mod archive_tests;
mod baseline;
mod block;
#[cfg(test)]
mod block_tests;
mod connection;
mod digests;
mod error;
mod events;
mod habits;
mod kinds;
pub mod ledger;
mod migrations;
mod prefilter;
mod reader;
mod readers;
mod retention;
#[cfg(test)]
mod specimens;
mod writer;
pub mod wtmpdb;

pub use archive::Archive;
pub use baseline::{Baseline, BaselineReader, BaselineVersion, NewVersion, Rewrite, baseline_file};
pub use block::{Block, Packer};
pub use digests::FileDigest;
pub use error::StoreError;
pub use habits::{Habits, Turn};
pub use reader::{Found, Reader};
pub use readers::{Lent, Readers, Who};
pub use retention::Swept;
pub use writer::Writer;
