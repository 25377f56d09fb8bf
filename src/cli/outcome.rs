//! How a command can end: the exit codes of the contract.

use bartizan_client::ClientError;
use bartizan_config::ConfigError;
use bartizan_protocol::{ErrorCode, Refusal};

/// It was tried and failed.
pub(super) const FAILED: u8 = 1;
/// The command line makes no sense.
pub(super) const USAGE: u8 = 2;
/// No agent answers.
pub(super) const NO_AGENT: u8 = 3;
/// Refused by policy, role or lifeline.
pub(super) const REFUSED: u8 = 4;
/// The check itself found something.
pub(super) const FOUND: u8 = 5;

/// A command that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is done.
    Done,
    /// The check found something.
    Found,
    /// What another process ended with.
    Code(u8),
}

/// A command that failed: one line says what and why, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) code: u8,
    pub(super) message: String,
    pub(super) mend: String,
}

impl Failure {
    pub(super) fn new(code: u8, message: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { code, message: message.into(), mend: mend.into() }
    }

    pub(super) fn usage(message: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(USAGE, message, mend)
    }

    pub(super) fn failed(message: impl std::fmt::Display) -> Self {
        Self::new(FAILED, message.to_string(), "")
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal.code {
            ErrorCode::Failed => FAILED,
            ErrorCode::Usage => USAGE,
            ErrorCode::Refused | ErrorCode::Lapsed => REFUSED,
        };
        Self { code, message: refusal.message, mend: refusal.mend }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(refusal) => refusal.into(),
            ClientError::NoAgent { .. } => Self::new(NO_AGENT, error.to_string(), ""),
            ClientError::Denied { .. } => Self::new(REFUSED, error.to_string(), ""),
            other => Self::new(FAILED, other.to_string(), ""),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(FAILED, error.to_string(), "")
    }
}

impl From<bartizan_agent::scan_history::StoredError> for Failure {
    fn from(error: bartizan_agent::scan_history::StoredError) -> Self {
        Self::new(1, error.message, error.mend)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::failed(error)
    }
}
