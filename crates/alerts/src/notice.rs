//! What becomes a message: an alert, a question, an action of the agent, trouble with a sink, a test.

use serde_json::{Value, json};

use super::message::Message;
use bartizan_model::{Action, Alert, Approval, Confidence, MessageKind, Severity, Timestamp};

/// Most actions that one message names.
const MAX_ACTIONS: usize = 4;

fn clock(at: Timestamp) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

fn done(action: &Action) -> String {
    format!("{}: {} {}, until {}", action.id, action.kind.verb(), action.target, clock(action.ends_at()))
}

fn undo(action: &Action) -> Option<String> {
    action.kind.is_reversible().then(|| format!("undo: bartizan rollback {}", action.id))
}

impl Message {
    /// An alert that is new or grew worse, with what is done about its incident now.
    pub fn alert(host: &str, alert: &Alert, sure: Confidence, active: &[Action]) -> Self {
        let mine: Vec<&Action> = active.iter().filter(|action| action.incident == Some(alert.incident)).take(MAX_ACTIONS).collect();
        let next = [format!("look: bartizan explain {}", alert.incident), format!("seen: bartizan ack {}", alert.id)];
        Self {
            key: alert.id.to_string(),
            kind: MessageKind::Alert,
            host: host.to_owned(),
            about: alert.id.to_string(),
            severity: alert.severity,
            sentence: alert.sentence.clone(),
            sure: Some(sure.percent()),
            done: mine.iter().map(|action| done(action)).collect(),
            asked: None,
            commands: mine.iter().filter_map(|action| undo(action)).chain(next).collect(),
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
        commands.push(if reversible {
            "undo later: bartizan actions shows its name, bartizan rollback NAME undoes it".to_owned()
        } else {
            "it cannot be undone".to_owned()
        });
        Self {
            key: id.to_string(),
            kind: MessageKind::Question,
            host: host.to_owned(),
            about: id.to_string(),
            severity,
            sentence: approval.reason.clone(),
            sure: Some(approval.confidence.percent()),
            done: Vec::new(),
            asked: Some(format!("{}{time}? Answer until {}, else nothing is done", approval.action, clock(approval.expires_at))),
            commands,
            record: json!(approval),
        }
    }

    /// What the agent did alone.
    pub fn action(host: &str, action: &Action, severity: Severity) -> Self {
        Self {
            key: action.id.to_string(),
            kind: MessageKind::Action,
            host: host.to_owned(),
            about: action.id.to_string(),
            severity,
            sentence: action.reason.clone(),
            sure: None,
            done: vec![done(action)],
            asked: None,
            commands: undo(action).into_iter().collect(),
            record: json!(action),
        }
    }

    /// Somebody tries whether messages reach this sink.
    pub fn test(host: &str, sink: &str) -> Self {
        let sentence = format!("This is a test of the sink {sink}. Nothing has happened on {host}");
        Self::plain(host, MessageKind::Test, sink, Severity::Info, sentence)
    }

    /// A sink does not take messages; for the others.
    pub(crate) fn lost(host: &str, sink: &str, why: &str) -> Self {
        let sentence = format!("alerts do not reach {sink}: {why}; they are kept and tried again");
        Self::plain(host, MessageKind::Trouble, sink, Severity::High, sentence)
    }

    /// It takes them again. As severe as the loss: whoever was told of that wants to know its end at the same hour.
    pub(crate) fn found(host: &str, sink: &str, tries: u32) -> Self {
        let sentence = format!("alerts reach {sink} again, after {tries} failed attempts");
        Self::plain(host, MessageKind::Trouble, sink, Severity::High, sentence)
    }

    fn plain(host: &str, kind: MessageKind, about: &str, severity: Severity, sentence: String) -> Self {
        Self {
            key: format!("sink {about}"),
            kind,
            host: host.to_owned(),
            about: about.to_owned(),
            severity,
            sentence,
            sure: None,
            done: Vec::new(),
            asked: None,
            commands: vec!["look: bartizan alerts sinks".to_owned()],
            record: Value::Null,
        }
    }
}
