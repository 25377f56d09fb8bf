//! Where people are told: what a message is about, how each sink is, and what came back from a test.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// What a message to a person is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageKind {
    /// Something was seen.
    Alert,
    /// A person is asked.
    Question,
    /// The agent acted alone.
    Action,
    /// The agent itself cannot do something.
    Trouble,
    /// Somebody tries whether messages arrive.
    Test,
}

impl MessageKind {
    /// Those that a sink can be limited to. A test goes wherever it is sent.
    pub const CHOICES: [Self; 4] = [Self::Alert, Self::Question, Self::Action, Self::Trouble];

    /// In settings: `alert`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Question => "question",
            Self::Action => "action",
            Self::Trouble => "trouble",
            Self::Test => "test",
        }
    }

    /// In a title: `ALERT`.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Alert => "ALERT",
            Self::Question => "QUESTION",
            Self::Action => "ACTION",
            Self::Trouble => "TROUBLE",
            Self::Test => "TEST",
        }
    }
}

/// How a sink is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SinkState {
    /// Nothing was sent yet.
    Unused,
    /// It took the last message.
    Works,
    /// It did not take the last message, which is tried again.
    Failing,
    /// It failed several times in a row; the other sinks were told.
    Lost,
}

impl SinkState {
    /// In a table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unused => "unused",
            Self::Works => "works",
            Self::Failing => "failing",
            Self::Lost => "lost",
        }
    }
}

/// One sink, what became of its messages, and why the last one failed if it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkRow {
    /// Its name in the settings.
    pub name: String,
    /// What it is and where, without secrets: `slack webhook at hooks.slack.com`.
    pub place: String,
    /// How it is.
    pub state: SinkState,
    /// Messages that still have to be sent.
    pub waiting: u64,
    /// Messages that it took, alone or in the count of another.
    pub sent: u64,
    /// Of those sent: told in the count of another message.
    pub folded: u64,
    /// Messages that it refused for good.
    pub given_up: u64,
    /// Messages that a person had seen before they were sent.
    pub acknowledged: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// When it took the last message, in this run.
    pub sent_at: Option<Timestamp>,
    /// When something is sent or tried next; absent when nothing waits.
    pub next_at: Option<Timestamp>,
    /// When a message that it did not take is tried again; absent when none waits for that.
    #[serde(default)]
    pub retry_at: Option<Timestamp>,
    /// Why the last attempt failed, without secrets; absent after a success.
    pub error: Option<String>,
}

/// What came back when a test message was sent to a sink.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkTest {
    /// The sink's name.
    pub name: String,
    /// What it is and where, without secrets.
    pub place: String,
    /// Whether it took the message.
    pub taken: bool,
    /// What it answered, or why it could not be reached: one line.
    pub answer: String,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// What became of all messages to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Messages {
    /// Sinks that are configured.
    pub sinks: u64,
    /// Of those, the ones that failed several times in a row.
    pub lost_sinks: u64,
    /// Still to be sent, summed over the sinks.
    pub waiting: u64,
    /// Taken by a sink.
    pub sent: u64,
    /// Of those sent: told in the count of another message.
    pub folded: u64,
    /// Refused for good by a sink.
    pub given_up: u64,
}

impl Messages {
    /// Summed over these sinks.
    pub fn of(rows: &[SinkRow]) -> Self {
        let sum = |count: fn(&SinkRow) -> u64| rows.iter().map(count).sum();
        Self {
            sinks: rows.len() as u64,
            lost_sinks: rows.iter().filter(|row| row.state == SinkState::Lost).count() as u64,
            waiting: sum(|row| row.waiting),
            sent: sum(|row| row.sent),
            folded: sum(|row| row.folded),
            given_up: sum(|row| row.given_up),
        }
    }
}
