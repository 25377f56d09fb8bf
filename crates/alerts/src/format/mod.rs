//! A parcel in the form that its receiver takes.

mod rfc5424;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use bartizan_model::{Severity, Timestamp};

use super::escape::{Escape, header, json_text, line, markdown, mention, plain, slack};
use super::parcel::Parcel;

/// Longest text, in bytes: Discord takes 2,000 characters, ntfy 4,096 bytes, Telegram 4,096 characters.
const MAX_TEXT: usize = 1_900;

/// The form that a receiver takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// One JSON document, for programs.
    #[default]
    Json,
    /// Incoming webhooks of Slack and of Mattermost.
    Slack,
    /// Webhooks of Discord.
    Discord,
    /// A workflow of Teams that posts a text.
    Teams,
    /// A topic of ntfy.
    Ntfy,
    /// `sendMessage` of Telegram's bots, without formatting; the chat is in the address.
    Telegram,
    /// Lines for people.
    Text,
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
pub fn render(parcel: &Parcel, format: Format, now: Timestamp) -> Body {
    let text = |escape: Escape| message(parcel, escape);
    match format {
        Format::Json => as_json(&document(parcel, now)),
        Format::Slack => as_json(&json!({
            "text": text(slack), "mrkdwn": false, "link_names": false, "unfurl_links": false, "unfurl_media": false,
        })),
        // 4 is SUPPRESS_EMBEDS of the message flags.
        Format::Discord => as_json(&json!({ "content": text(markdown), "allowed_mentions": { "parse": [] }, "flags": 4 })),
        Format::Teams => as_json(&json!({ "text": text(markdown) })),
        Format::Telegram => as_json(&json!({ "text": text(mention), "link_preview_options": { "is_disabled": true } })),
        Format::Ntfy => {
            let headers = vec![("Title", header(&parcel.title())), ("Priority", priority(parcel).to_owned())];
            Body { content_type: "text/plain; charset=utf-8", headers, text: text(plain) }
        }
        Format::Text => as_text(Vec::new(), text(plain)),
        Format::Mail => as_text(vec![("Subject", format!("[bartizan] {}", header(&parcel.title())))], text(plain)),
        Format::Syslog => as_text(Vec::new(), rfc5424::message(parcel, now)),
    }
}

fn as_json(body: &Value) -> Body {
    Body { content_type: "application/json", headers: Vec::new(), text: json_text(body) }
}

fn as_text(headers: Vec<(&'static str, String)>, text: String) -> Body {
    Body { content_type: "text/plain; charset=utf-8", headers, text }
}

/// For programs: every string as it is, for JSON escapes it.
fn document(parcel: &Parcel, now: Timestamp) -> Value {
    json!({
        "title": parcel.title(), "severity": parcel.severity(), "sent_at": now, "count": parcel.count,
        "others": parcel.others, "alerts": parcel.items,
    })
}

fn priority(parcel: &Parcel) -> &'static str {
    match parcel.severity() {
        Severity::Critical => "5",
        Severity::High => "4",
        Severity::Medium => "3",
        Severity::Low | Severity::Info => "2",
    }
}

/// As many lines as fit; the last ones tell what to do and stay.
fn message(parcel: &Parcel, escape: Escape) -> String {
    let (body, tail) = parcel.lines();
    let tail: Vec<String> = tail.iter().map(|text| line(text, escape)).collect();
    let mut left = MAX_TEXT.saturating_sub(tail.iter().map(|text| text.len() + 1).sum());
    let mut out: Vec<String> = Vec::new();
    for text in std::iter::once(&parcel.title()).chain(&body).map(|text| line(text, escape)) {
        let length = text.len() + 1;
        if length > left {
            out.push("...".to_owned());
            break;
        }
        left -= length;
        out.push(text);
    }
    out.extend(tail);
    out.join("\n")
}
