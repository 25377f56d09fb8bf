//! Accounts of the host itself: who has which name, locking one, ending its login sessions.

mod lock;
mod passwd;
mod rewrite;
mod sessions;
mod shadow;
mod standing;

pub use passwd::{Account, Group, all, find, find_uid, groups};
pub use rewrite::{line_of, rewrite};
pub use sessions::{Ended, Sessions};
pub use shadow::{Look, Marks, Removed};
pub use standing::{Password, Standing, standing};

use std::io;

use bartizan_model::HostText;

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
    /// Somebody else holds the lock of the account files.
    #[error("somebody else changes accounts right now (/etc/.pwd.lock or /etc/shadow.lock is held for longer than 5 seconds): try again")]
    Busy,
    /// Not in /etc/passwd.
    #[error(
        "account {0} is not in /etc/passwd: only accounts of this host itself can be disabled; lock one of a directory service (LDAP, NIS, AD) there"
    )]
    Foreign(HostText),
    /// The name belongs to another user id.
    #[error("account {name} has uid {now} in /etc/passwd, not {meant}: nothing was done, look who is meant")]
    OtherUid {
        /// Its name.
        name: HostText,
        /// Its uid now.
        now: u32,
        /// The uid that was meant.
        meant: u32,
    },
    /// Not in /etc/shadow.
    #[error("account {0} has no line in /etc/shadow, so it cannot be locked there: run pwconv, or lock it where its password is kept")]
    NoShadow(HostText),
    /// Its line is no line of shadow(5).
    #[error("the line of account {0} in /etc/shadow is not as shadow(5) says: correct it with vipw -s first")]
    Malformed(HostText),
}
