//! What is sent in one go: one message, or a summary of many.

use serde::{Deserialize, Serialize};

use bartizan_model::{Severity, Timestamp};

use super::message::Message;

/// Messages that a summary names; the others are counted.
pub(crate) const MAX_NAMED: usize = 5;

/// One message and how often it came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// The message as it came last.
    pub message: Message,
    /// How often it came since this sink was last sent it.
    pub count: u64,
    /// Not always with these words.
    #[serde(default)]
    pub differs: bool,
    /// The first time.
    pub first: Timestamp,
    /// The last time.
    pub last: Timestamp,
    /// From when on it may be sent.
    pub due: Timestamp,
}

/// What is sent in one go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parcel {
    /// The gravest messages, at most five; one alone is sent as it is.
    pub items: Vec<Item>,
    /// Different messages beyond those.
    pub others: u64,
    /// How often they came, all together.
    pub count: u64,
}

impl Parcel {
    /// The gravest severity in it.
    pub fn severity(&self) -> Severity {
        self.items.iter().map(|item| item.message.severity).max().unwrap_or(Severity::Info)
    }

    /// The one message, if it is a parcel of one.
    pub(crate) fn only(&self) -> Option<&Item> {
        match self.items.as_slice() {
            [only] if self.others == 0 && self.count == only.count => Some(only),
            _ => None,
        }
    }

    /// One message, sent as it is.
    pub fn single(message: Message, now: Timestamp) -> Self {
        Self {
            items: vec![Item { message: message.bounded(), count: 1, differs: false, first: now, last: now, due: now }],
            others: 0,
            count: 1,
        }
    }

    /// The same without what somebody outside may have chosen: kinds, names, severities and commands are left.
    pub(crate) fn without_details(&self) -> Self {
        let mut parcel = self.clone();
        for message in parcel.items.iter_mut().map(|item| &mut item.message) {
            "details are left out, because this sink refused the message with them".clone_into(&mut message.sentence);
            message.asked = message.asked.take().map(|_| "a question waits for an answer".to_owned());
            message.done.clear();
            message.record = serde_json::Value::Null;
        }
        parcel
    }

    fn asks(&self) -> bool {
        self.items.iter().any(|item| item.message.asks())
    }

    /// The title in one line.
    pub fn title(&self) -> String {
        if let Some(only) = self.only() {
            return only.message.title();
        }
        let host = self.items.first().map_or("this host", |item| item.message.host.as_str());
        let noun = if self.asks() { "questions" } else { "alerts" };
        format!("{} {noun} on {host} ({})", self.count, self.severity())
    }

    /// The lines below the title, and the last ones, which are never cut off: what to do.
    pub fn lines(&self) -> (Vec<String>, Vec<String>) {
        match self.only() {
            Some(only) => (told(only), only.message.commands.clone()),
            None => (self.items.iter().map(named).collect(), self.rest()),
        }
    }

    fn rest(&self) -> Vec<String> {
        let named: u64 = self.items.iter().map(|item| item.count).sum();
        let more = self.count.saturating_sub(named);
        let all = if self.asks() { "see all: bartizan approvals" } else { "see all: bartizan alerts" };
        let more = (more > 0).then(|| format!("and {more} more, not shown here"));
        more.into_iter().chain([all.to_owned()]).collect()
    }
}

fn told(item: &Item) -> Vec<String> {
    let message = &item.message;
    let mut lines = vec![message.sentence.clone()];
    if item.count > 1 {
        let since = item.first.format("%Y-%m-%d %H:%M UTC");
        lines.push(match item.differs {
            false => format!("the same {} times since {since}", item.count),
            true => format!("{} messages about {} since {since}; this is the latest", item.count, message.about),
        });
    }
    lines.extend(message.asked.clone());
    lines.extend(message.sure.map(|percent| format!("how sure: {percent} %")));
    lines.extend(message.done.iter().map(|done| format!("done: {done}")));
    lines
}

fn named(item: &Item) -> String {
    let times = if item.count > 1 { format!(" ({} times)", item.count) } else { String::new() };
    format!("{} {} ({}): {}{times}", item.message.kind.noun(), item.message.about, item.message.severity, item.message.sentence)
}
