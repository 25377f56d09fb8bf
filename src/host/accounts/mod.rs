//! Accounts of the host itself: who has which name, locking one, ending its login sessions.

mod passwd;

pub use passwd::{Account, find};

use std::io;

/// Why nothing was done about an account. All texts are safe to show.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// A file could not be read or written.
    #[error("could not {what} {file}: {why}")]
    File {
        /// What was tried.
        what: &'static str,
        /// On which file.
        file: &'static str,
        /// errno in words.
        why: io::Error,
    },
}
