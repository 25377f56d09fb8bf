//! What one sink is sent, and when.

use chrono::{NaiveTime, TimeDelta};

use bartizan_model::{Severity, Timestamp};

use super::hours::{Hours, next};
use super::message::{Kind, Message};

/// The rules of one sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The sink's name.
    pub sink: String,
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
    /// Everything from medium on at once, the rest at 08:00 UTC, never quiet, no waiting for somebody else.
    pub fn to(sink: &str) -> Self {
        Self {
            sink: sink.to_owned(),
            at_least: Severity::Info,
            at_once: Severity::Medium,
            digest: NaiveTime::MIN + TimeDelta::hours(8),
            quiet: None,
            after: TimeDelta::zero(),
        }
    }

    /// When this message may be sent; none when this sink is not for it.
    pub fn due(&self, message: &Message, now: Timestamp) -> Option<Timestamp> {
        if message.severity < self.at_least {
            return None;
        }
        let asks = message.kind == Kind::Question;
        let due = now.checked_add_signed(self.after).unwrap_or(now);
        if message.severity < self.at_once && !asks {
            return Some(next(self.digest, due));
        }
        if message.severity == Severity::Critical || asks {
            return Some(due);
        }
        Some(self.quiet.and_then(|quiet| quiet.end_of(due)).unwrap_or(due))
    }
}
