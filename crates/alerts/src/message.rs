//! One thing that a person is told, before anybody decides when and in which form.

use serde::{Deserialize, Serialize};

use bartizan_model::Severity;

/// Longest sentence or line, in characters: what is longer is cut with a mark.
const MAX_LINE: usize = 400;
/// Most lines of each kind.
const MAX_LINES: usize = 5;

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Something was seen.
    Alert,
    /// A person is asked.
    Question,
    /// The agent acted, or an action ended or failed.
    Action,
    /// The agent itself cannot do something.
    Trouble,
}

impl Kind {
    /// In a title.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Alert => "ALERT",
            Self::Question => "QUESTION",
            Self::Action => "ACTION",
            Self::Trouble => "TROUBLE",
        }
    }
}

/// What a person is told. Its strings may hold what an attacker chose: only [`super::render`] makes them safe to send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// What folds: messages with one key are one message with a count.
    pub key: String,
    /// What it is about.
    pub kind: Kind,
    /// The name that commands take (A6, Q5), or a word for what has none.
    pub about: String,
    /// On which host.
    pub host: String,
    /// How bad.
    pub severity: Severity,
    /// What happened, in one plain sentence.
    pub sentence: String,
    /// How sure, in percent; none where nothing is judged.
    pub sure: Option<u8>,
    /// What was done and until when, one line each.
    pub done: Vec<String>,
    /// What to do next and how to undo: commands on that host, one line each.
    pub next: Vec<String>,
}

impl Message {
    /// The same, cut to its bounds.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        for text in [&mut self.key, &mut self.about, &mut self.host, &mut self.sentence] {
            cut(text);
        }
        for lines in [&mut self.done, &mut self.next] {
            lines.truncate(MAX_LINES);
            lines.iter_mut().for_each(cut);
        }
        self
    }

    /// In one line: kind, name, host and severity.
    pub fn title(&self) -> String {
        format!("{} {} on {} ({})", self.kind.noun(), self.about, self.host, self.severity)
    }
}

fn cut(text: &mut String) {
    if let Some((at, _)) = text.char_indices().nth(MAX_LINE) {
        text.truncate(at);
        text.push_str("...");
    }
}
