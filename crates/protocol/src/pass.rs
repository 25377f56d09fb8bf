//! A pass: leave to ask within one scope, on one connection, for a few minutes.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use bartizan_model::Role;

/// Longest token that is looked at, in bytes; ours take about 130.
const LONGEST: usize = 256;

/// What a client shows with each question that needs more than looking. Only the agent that made it can read it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token(String);

impl Token {
    /// A token of this text.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Its text; empty when it is too long to be one of ours.
    pub fn text(&self) -> &str {
        if self.0.len() <= LONGEST { &self.0 } else { "" }
    }
}

impl fmt::Debug for Token {
    /// Never the token itself: what is logged is read by others.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(...)")
    }
}

/// A token with what its holder must know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    /// To be shown with questions.
    pub token: Token,
    /// The most that it allows.
    pub scope: Role,
    /// How long it holds from now on, in milliseconds.
    pub lasts_ms: u64,
}

impl Pass {
    /// How long it holds from now on.
    pub fn lasts(&self) -> Duration {
        Duration::from_millis(self.lasts_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_logged_and_a_huge_one_is_none() {
        assert_eq!(format!("{:?}", Token::new("secret".to_owned())), "Token(...)");
        assert_eq!(Token::new("x".repeat(LONGEST + 1)).text(), "");
    }
}
