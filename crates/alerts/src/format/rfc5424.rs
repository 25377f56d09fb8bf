//! A parcel as one message of syslog: RFC 5424, facility `auth`, one line.

use bartizan_model::{Severity, Timestamp};

use super::super::escape::{calm, header};
use super::super::parcel::Parcel;

/// Facility `auth` (RFC 5424, table 1).
const AUTH: u8 = 4;
/// Longest message after the header, in characters: with it below the 2,048 octets that every receiver should take, in ASCII.
const MAX_MESSAGE: usize = 1_600;

pub(super) fn message(parcel: &Parcel, now: Timestamp) -> String {
    let host = parcel.items.first().map_or("-", |item| item.message.host.as_str());
    // HOSTNAME and MSGID are printable ASCII without spaces.
    let word = |text: &str, most: usize| {
        let word: String = header(text).chars().filter(|c| *c != ' ').take(most).collect();
        if word.is_empty() { "-".to_owned() } else { word }
    };
    let id = parcel.only().map_or("DIGEST", |only| only.message.kind.noun());
    let (body, tail) = parcel.lines();
    let text = calm(&std::iter::once(parcel.title()).chain(body).chain(tail).collect::<Vec<_>>().join("; "));
    let text: String = text.chars().take(MAX_MESSAGE).collect();
    let about = parcel.items.first().map_or("-", |item| item.message.about.as_str());
    format!(
        "<{}>1 {} {} bartizan - {} [alert@32473 id=\"{}\" severity=\"{}\" count=\"{}\"] {text}",
        AUTH * 8 + level(parcel.severity()),
        now.format("%Y-%m-%dT%H:%M:%S%.6fZ"),
        word(host, 255),
        word(id, 32),
        param(&word(about, 64)),
        parcel.severity(),
        parcel.count,
    )
}

/// RFC 5424, table 2.
fn level(severity: Severity) -> u8 {
    match severity {
        Severity::Critical => 2,
        Severity::High => 3,
        Severity::Medium => 4,
        Severity::Low => 5,
        Severity::Info => 6,
    }
}

/// A value of structured data escapes quote, backslash and closing bracket (section 6.3.3).
fn param(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if matches!(c, '"' | '\\' | ']') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
