//! One line each way. A question carries a number, its answer carries the same number; pushes carry none.

use serde::{Deserialize, Serialize};

use super::{Push, Reply, Request, Token};

/// Protocol version; both sides must speak the same one.
pub const VERSION: u32 = 3;

/// Longest line that either side accepts, in bytes. A snapshot of 20,000 processes stays below it.
pub const MAX_LINE: usize = 32 * 1024 * 1024;

/// From a client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClientFrame {
    /// Number of the question, chosen by the client.
    pub id: u64,
    /// The question.
    pub request: Request,
    /// Leave to ask it, for all that needs more than looking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
}

/// From the agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServerFrame {
    /// The answer to question `id`.
    Reply {
        /// Number of the question.
        id: u64,
        /// The answer.
        reply: Box<Reply>,
    },
    /// News, only after [`Request::Subscribe`] or a following [`Request::Events`].
    Push(Box<Push>),
}
