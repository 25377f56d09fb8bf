//! What a person is told who is not at the console: where, what was seen, what was done and until when, what is asked and
//! how to answer, how to undo it.

use serde::Serialize;
use serde_json::{Value, json};

use bartizan_model::{Action, Alert, Approval, Severity, Timestamp};

/// Most actions that one notice names.
const MAX_ACTIONS: usize = 5;

/// One message to the owner.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Notice {
    /// What it is: `alert`, `question` or `action`.
    pub kind: Kind,
    /// On which host.
    pub host: String,
    /// What it is about, by the name that commands take: A6, Q5.
    pub about: String,
    /// How bad.
    pub severity: Severity,
    /// One plain sentence.
    pub sentence: String,
    /// What was done and until when, one line each.
    pub done: Vec<String>,
    /// What waits for an answer.
    pub asked: Option<String>,
    /// How to answer, to look or to undo: commands on that host.
    pub commands: Vec<String>,
    /// The record itself, for programs.
    #[serde(skip)]
    record: Value,
}

/// What a notice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Something was seen.
    Alert,
    /// A person is asked.
    Question,
    /// The agent acted alone.
    Action,
}

impl Kind {
    /// In a title.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Alert => "ALERT",
            Self::Question => "QUESTION",
            Self::Action => "ACTION",
        }
    }
}

fn clock(at: Timestamp) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

fn done(action: &Action) -> String {
    format!("{}: {} {}, until {}", action.id, action.kind.verb(), action.target, clock(action.ends_at()))
}

fn undo(action: &Action) -> Option<String> {
    action.kind.is_reversible().then(|| format!("undo: bartizan rollback {}", action.id))
}

impl Notice {
    /// An alert that is new or grew worse, with what is done about its incident now.
    pub fn alert(host: &str, alert: &Alert, active: &[Action]) -> Self {
        let mine: Vec<&Action> = active.iter().filter(|action| action.incident == Some(alert.incident)).take(MAX_ACTIONS).collect();
        let look = format!("look: bartizan explain {}", alert.incident);
        Self {
            kind: Kind::Alert,
            host: host.to_owned(),
            about: alert.id.to_string(),
            severity: alert.severity,
            sentence: alert.sentence.clone(),
            done: mine.iter().map(|action| done(action)).collect(),
            asked: None,
            commands: mine.iter().filter_map(|action| undo(action)).chain([look]).collect(),
            record: json!(alert),
        }
    }

    /// A question that waits for a person.
    pub fn question(host: &str, approval: &Approval, severity: Severity) -> Self {
        let id = approval.id;
        let lasts = humantime::format_duration(approval.action.lasts());
        let reversible = approval.action.kind().is_reversible();
        let time = if reversible { format!(" for {lasts}") } else { ", for good".to_owned() };
        let mut commands = vec![format!("yes: bartizan approve {id}"), format!("no: bartizan reject {id}")];
        commands.push(if reversible { "undo later: bartizan rollback --all".to_owned() } else { "it cannot be undone".to_owned() });
        Self {
            kind: Kind::Question,
            host: host.to_owned(),
            about: id.to_string(),
            severity,
            sentence: approval.reason.clone(),
            done: Vec::new(),
            asked: Some(format!("{}{time}? Answer until {}, else nothing is done", approval.action, clock(approval.expires_at))),
            commands,
            record: json!(approval),
        }
    }

    /// What the agent did alone.
    pub fn action(host: &str, action: &Action, severity: Severity) -> Self {
        Self {
            kind: Kind::Action,
            host: host.to_owned(),
            about: action.id.to_string(),
            severity,
            sentence: action.reason.clone(),
            done: vec![done(action)],
            asked: None,
            commands: undo(action).into_iter().collect(),
            record: json!(action),
        }
    }

    /// For programs: what every notice has, with the record itself; an alert's own fields lie beside them.
    pub(super) fn document(&self, unsent: u64) -> Value {
        let mut document = json!(self);
        let Value::Object(fields) = &mut document else { return document };
        fields.insert("unsent".to_owned(), json!(unsent));
        match (self.kind, self.record.clone()) {
            (Kind::Alert, Value::Object(record)) => fields.extend(record),
            (Kind::Alert | Kind::Action, record) => drop(fields.insert("action".to_owned(), record)),
            (Kind::Question, record) => drop(fields.insert("approval".to_owned(), record)),
        }
        document
    }

    /// For people, what it is about: the first line says what it is and where.
    pub(super) fn head(&self) -> Vec<String> {
        let mut lines = vec![format!("{} {} on {} ({})", self.kind.noun(), self.about, self.host, self.severity), self.sentence.clone()];
        lines.extend(self.asked.iter().cloned());
        lines.extend(self.done.iter().map(|done| format!("done: {done}")));
        lines
    }

    /// For people, what they can do: never cut off by what stands before it.
    pub(super) fn tail(&self, unsent: u64) -> Vec<String> {
        let more = (unsent > 0).then(|| format!("{unsent} more were not sent, there were too many: bartizan alerts, bartizan approvals"));
        self.commands.iter().cloned().chain(more).collect()
    }
}
