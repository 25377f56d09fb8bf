//! Words on the wire between the agent and whoever asks: one JSON document a line over a Unix socket.

#![forbid(unsafe_code)]

mod baseline;
mod exceptions;
mod filter;
mod findings;
mod frame;
mod mirror;
mod pass;
mod push;
mod reply;
mod request;

pub use baseline::{BaselineRequest, HabitQuery};
pub use exceptions::ExceptionRequest;
pub use filter::{
    Condition, Field, Filter, FilterError, Form, LONGEST, MAX_CONDITIONS, Needle, Pattern, Value, is_a_kind, is_of_kind, kind_values, word,
};
pub use findings::{FileDiff, FindingRequest, FindingsPage};
pub use frame::{ClientFrame, MAX_LINE, ServerFrame, VERSION};
pub use mirror::{Applied, Mirror};
pub use pass::{Pass, Token};
pub use push::{Change, ProcessRow, Push, Snapshot, SocketRow};
pub use reply::{AuditVerdict, ErrorCode, Hello, Refusal, Reply};
pub use request::{EventQuery, FeedbackVerdict, Request};
