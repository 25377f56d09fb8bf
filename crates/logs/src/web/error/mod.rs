//! Error logs of nginx and Apache: who failed to log in, asked for what is not there, or was stopped by the server or ModSecurity.

mod apache;
mod modsecurity;
mod nginx;

use std::net::IpAddr;

use bartizan_model::Timestamp;
use serde::{Deserialize, Serialize};

pub use apache::read as read_apache;
pub use modsecurity::Rule;
pub use nginx::ErrorReader as NginxErrors;

/// What a line of an error log is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ErrorKind {
    /// A wrong password for an account that exists.
    BadPassword,
    /// An account that does not exist.
    UnknownUser,
    /// An authentication header that no honest client sends: another scheme, realm, algorithm, a nonce of our future.
    AuthAbuse,
    /// Nothing was given: a browser's first request, before it asks its user.
    NoCredentials,
    /// The configuration forbids this path, this address or this account.
    Denied,
    /// A file, directory or script that is not there.
    NotFound,
    /// More requests or connections than the server's limits allow.
    Limited,
    /// A TLS handshake that failed for what the client sent.
    BadHandshake,
    /// A request that is no proper HTTP, or names no site of this server.
    BadRequest,
    /// A rule of ModSecurity matched.
    ModSecurity,
    /// Anything else.
    Other,
}

/// One line of an error log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebError<'l> {
    /// When, if the line says so; by the zone that the reader was given.
    pub at: Option<Timestamp>,
    /// Whom the server talked to; `None` when the line does not say, or when a client may have written it.
    pub client: Option<IpAddr>,
    /// What happened.
    pub kind: ErrorKind,
    /// The account that the client named.
    pub user: Option<&'l [u8]>,
    /// The file or path that it is about.
    pub path: Option<&'l [u8]>,
    /// ModSecurity's rule.
    pub rule: Option<Rule<'l>>,
    /// The server's message.
    pub message: &'l [u8],
}

impl<'l> WebError<'l> {
    fn new(message: &'l [u8]) -> Self {
        Self { at: None, client: None, kind: ErrorKind::Other, user: None, path: None, rule: None, message }
    }
}

impl ErrorKind {
    /// Whether it is a login that failed.
    pub fn is_failed_login(self) -> bool {
        match self {
            Self::BadPassword | Self::UnknownUser | Self::AuthAbuse => true,
            Self::NoCredentials
            | Self::Denied
            | Self::NotFound
            | Self::Limited
            | Self::BadHandshake
            | Self::BadRequest
            | Self::ModSecurity
            | Self::Other => false,
        }
    }
}

/// What stands between these two, at the start of a text; and what follows.
fn between<'l>(text: &'l [u8], before: &[u8], after: &[u8]) -> Option<(&'l [u8], &'l [u8])> {
    let rest = text.strip_prefix(before)?;
    let end = memchr::memmem::find(rest, after)?;
    Some((rest.get(..end)?, rest.get(end + after.len()..)?))
}

#[cfg(test)]
mod tests;
