//! A parcel in the form that its receiver takes.

mod rfc5424;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use bartizan_model::{MessageKind, Severity, Timestamp};

use super::escape::{Escape, header, json_text, line, markdown, mention, plain, slack};
use super::message::Message;
use super::parcel::{Item, Parcel};

/// What one character becomes at most, in bytes: `&amp;`, or four bytes and a mark of three that parts it.
const LONGEST_ESCAPE: usize = 8;
/// Longest text, in bytes: Discord takes 2,000 characters, ntfy 4,096 bytes, Telegram 4,096 characters.
const MAX_TEXT: usize = 1_900;

/// The form that a receiver takes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Format {
    /// One JSON document, for programs.
    #[default]
    Json,
    /// Incoming webhooks of Slack.
    Slack,
    /// Incoming webhooks of Mattermost, which reads Markdown.
    Mattermost,
    /// Webhooks of Discord.
    Discord,
    /// A workflow of Teams that posts an adaptive card.
    Teams,
    /// A topic of ntfy.
    Ntfy,
    /// `sendMessage` of Telegram's bots, without formatting, to this chat.
    Telegram(String),
    /// An event `m.room.message` of Matrix, without formatting.
    Matrix,
    /// A mail: the subject is a header.
    Mail,
    /// A message of syslog, RFC 5424.
    Syslog,
}

/// A body and its headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// What kind of body it is.
    pub content_type: &'static str,
    /// Further headers; their values are printable ASCII.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub text: String,
}

/// The parcel as this receiver takes it. `now` is when it is sent.
pub fn render(parcel: &Parcel, format: &Format, now: Timestamp) -> Body {
    let text = |escape: Escape| lines(parcel, escape).join("\n");
    match format {
        Format::Json => as_json(&document(parcel, now)),
        Format::Slack => as_json(&json!({
            "text": text(slack), "mrkdwn": false, "link_names": false, "unfurl_links": false, "unfurl_media": false,
        })),
        Format::Mattermost => as_json(&json!({ "text": text(markdown) })),
        // 4 is SUPPRESS_EMBEDS of the message flags.
        Format::Discord => as_json(&json!({ "content": text(markdown), "allowed_mentions": { "parse": [] }, "flags": 4 })),
        Format::Teams => as_json(&card(&lines(parcel, markdown))),
        Format::Telegram(chat) => {
            as_json(&json!({ "chat_id": chat, "text": text(mention), "link_preview_options": { "is_disabled": true } }))
        }
        Format::Matrix => as_json(&json!({ "msgtype": "m.text", "body": text(mention), "m.mentions": {} })),
        Format::Ntfy => {
            let headers = vec![("Title", header(&parcel.title())), ("Priority", priority(parcel).to_owned())];
            as_text(headers, text(plain))
        }
        Format::Mail => as_text(vec![("Subject", format!("[bartizan] {}", header(&parcel.title())))], text(plain)),
        Format::Syslog => as_text(Vec::new(), rfc5424::message(parcel, now)),
    }
}

/// What a workflow "when a Teams webhook request is received" posts: <https://adaptivecards.io/explorer/TextBlock.html>, a block for each line.
fn card(lines: &[String]) -> Value {
    let blocks: Vec<Value> = lines.iter().map(|text| json!({ "type": "TextBlock", "text": text, "wrap": true })).collect();
    let content = json!({ "type": "AdaptiveCard", "version": "1.4", "body": blocks });
    json!({
        "type": "message",
        "attachments": [{ "contentType": "application/vnd.microsoft.card.adaptive", "content": content }],
    })
}

fn as_json(body: &Value) -> Body {
    Body { content_type: "application/json", headers: Vec::new(), text: json_text(body) }
}

fn as_text(headers: Vec<(&'static str, String)>, text: String) -> Body {
    Body { content_type: "text/plain; charset=utf-8", headers, text }
}

/// For programs: every string as it is, for JSON escapes it. The fields of a single message lie at the top, and those of an alert's
/// record beside them; a summary has `alerts` alone.
fn document(parcel: &Parcel, now: Timestamp) -> Value {
    let item = |item: &Item| {
        let mut one = single(&item.message);
        if let Value::Object(fields) = &mut one {
            fields.extend([
                ("times".to_owned(), json!(item.count)),
                ("first".to_owned(), json!(item.first)),
                ("last".to_owned(), json!(item.last)),
            ]);
        }
        one
    };
    let mut document = match parcel.only() {
        Some(only) => item(only),
        None => {
            json!({ "kind": "summary", "host": parcel.items.first().map(|item| &item.message.host), "alerts": parcel.items.iter().map(item).collect::<Vec<_>>() })
        }
    };
    if let Value::Object(fields) = &mut document {
        fields.extend([
            ("title".to_owned(), json!(parcel.title())),
            ("severity".to_owned(), json!(parcel.severity())),
            ("sent_at".to_owned(), json!(now)),
            ("messages".to_owned(), json!(parcel.count)),
        ]);
    }
    document
}

fn single(message: &Message) -> Value {
    let mut document = json!(message);
    let Value::Object(fields) = &mut document else { return document };
    drop((fields.remove("key"), fields.remove("record")));
    match (message.kind, message.record.clone()) {
        (_, Value::Null) => {}
        (MessageKind::Alert, Value::Object(record)) => fields.extend(record),
        (MessageKind::Question, record) => drop(fields.insert("approval".to_owned(), record)),
        (MessageKind::Alert | MessageKind::Action | MessageKind::Trouble | MessageKind::Test, record) => {
            drop(fields.insert("action".to_owned(), record));
        }
    }
    document
}

fn priority(parcel: &Parcel) -> &'static str {
    let asks = parcel.items.iter().any(|item| item.message.asks());
    match parcel.severity() {
        _ if asks => "5",
        Severity::Critical => "5",
        Severity::High => "4",
        Severity::Medium => "3",
        Severity::Low | Severity::Info => "2",
    }
}

/// As many lines as fit; the last ones tell what to do and stay.
fn lines(parcel: &Parcel, escape: Escape) -> Vec<String> {
    let (body, tail) = parcel.lines();
    let tail: Vec<String> = tail.iter().map(|text| line(text, escape)).collect();
    let mut left = MAX_TEXT.saturating_sub(tail.iter().map(|text| text.len() + 1).sum());
    let mut out: Vec<String> = Vec::new();
    for text in std::iter::once(&parcel.title()).chain(&body) {
        let escaped = line(text, escape);
        if escaped.len() + 1 > left {
            // A character is at most as long as this once it is escaped.
            let fits: String = text.chars().take(left / LONGEST_ESCAPE).collect();
            out.push(format!("{}...", line(&fits, escape)));
            break;
        }
        left -= escaped.len() + 1;
        out.push(escaped);
    }
    out.extend(tail);
    out
}
