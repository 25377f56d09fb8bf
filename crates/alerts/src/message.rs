//! One thing that a person is told, before anybody decides when and in which form.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use bartizan_model::{MessageKind, Severity};

/// Longest sentence or line, in characters: what is longer is cut with a mark.
const MAX_LINE: usize = 400;
/// Most lines of each kind.
const MAX_LINES: usize = 5;
/// Longest record, as JSON in bytes: a longer one is left out.
const MAX_RECORD: usize = 4_096;

/// What a person is told. Its strings may hold what an attacker chose: only [`super::render`] makes them safe to send.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// What folds: messages with one key are one message with a count. Also what an acknowledgement names.
    pub key: String,
    /// What it is about.
    pub kind: MessageKind,
    /// On which host.
    pub host: String,
    /// The name that commands take (L6, Q5, A12), or a word for what has none.
    pub about: String,
    /// How bad.
    pub severity: Severity,
    /// What happened, in one plain sentence.
    pub sentence: String,
    /// How sure, in percent; none where nothing is judged.
    pub sure: Option<u8>,
    /// What was done and until when, one line each.
    pub done: Vec<String>,
    /// What waits for an answer.
    pub asked: Option<String>,
    /// What to do next and how to undo: commands on that host, one line each.
    pub commands: Vec<String>,
    /// The alert, question or action itself, for programs; null when it is too long to be kept.
    #[serde(default)]
    pub record: Value,
}

impl Message {
    /// The same, cut to its bounds.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        for text in [&mut self.key, &mut self.about, &mut self.host, &mut self.sentence].into_iter().chain(&mut self.asked) {
            cut(text);
        }
        for lines in [&mut self.done, &mut self.commands] {
            lines.truncate(MAX_LINES);
            lines.iter_mut().for_each(cut);
        }
        if self.record.to_string().len() > MAX_RECORD {
            self.record = Value::Null;
        }
        self
    }

    /// In one line: kind, name, host and severity.
    pub fn title(&self) -> String {
        format!("{} {} on {} ({})", self.kind.noun(), self.about, self.host, self.severity)
    }

    /// Whether a person waits behind it: quiet hours and limits for alerts do not hold it back.
    pub(crate) fn asks(&self) -> bool {
        self.kind == MessageKind::Question
    }
}

fn cut(text: &mut String) {
    if let Some((at, _)) = text.char_indices().nth(MAX_LINE) {
        text.truncate(at);
        text.push_str("...");
    }
}
