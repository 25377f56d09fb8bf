//! What one sink is sent, and when.

use chrono::{NaiveTime, TimeDelta};

use bartizan_model::{Hours, MessageKind, Severity, Timestamp};

use super::message::Message;

/// The rules of one sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The sink's name.
    pub sink: String,
    /// What it is and where, without secrets.
    pub place: String,
    /// Only these kinds; all of them when empty.
    pub kinds: Vec<MessageKind>,
    /// Nothing below this is sent at all.
    pub at_least: Severity,
    /// From here on it is sent at once; what is below waits for the digest.
    pub at_once: Severity,
    /// When what waits is sent, in UTC.
    pub digest: NaiveTime,
    /// When only critical messages and questions are sent; the rest waits for the end.
    pub quiet: Option<Hours>,
    /// For escalation: how long a message must have gone unacknowledged before this sink is sent it.
    pub after: TimeDelta,
}

impl Route {
    /// When this message may be sent; none when this sink is not for it.
    pub fn due(&self, message: &Message, now: Timestamp) -> Option<Timestamp> {
        if message.severity < self.at_least || !(self.kinds.is_empty() || self.kinds.contains(&message.kind)) {
            return None;
        }
        let due = now.checked_add_signed(self.after).unwrap_or(now);
        if message.severity == Severity::Critical || message.asks() {
            return Some(due);
        }
        if message.severity < self.at_once {
            return Some(Hours::next(self.digest, due));
        }
        Some(self.quiet.and_then(|quiet| quiet.end_of(due)).unwrap_or(due))
    }
}
