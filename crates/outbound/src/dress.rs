//! A notice in the form that its receiver wants. What an attacker chose (names, paths, addresses) calls nobody, links nowhere
//! and formats nothing.

use super::notice::{Kind, Notice};
use bartizan_config::WebhookFormat;
use bartizan_model::Severity;

/// Longest line, and longest message: Discord takes 2,000 characters, ntfy 4,096 bytes.
const LINE: usize = 400;
const MESSAGE: usize = 1_800;
/// Parts a mention or a link without being seen (U+200B).
const PART: char = '\u{200b}';

/// A request's body and headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dressed {
    pub content_type: &'static str,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

pub(super) fn dress(notice: &Notice, format: WebhookFormat, unsent: u64) -> Dressed {
    let text = |escape: fn(char, &mut String)| message(&notice.head(), &notice.tail(unsent), escape);
    let json = |body: serde_json::Value| Dressed { content_type: "application/json", headers: Vec::new(), body: body.to_string() };
    match format {
        WebhookFormat::Json => json(notice.document(unsent)),
        WebhookFormat::Slack => json(serde_json::json!({
            "text": text(slack), "mrkdwn": false, "link_names": false, "unfurl_links": false, "unfurl_media": false,
        })),
        // 4 is SUPPRESS_EMBEDS of the message flags.
        WebhookFormat::Discord => json(serde_json::json!({
            "content": text(discord), "allowed_mentions": { "parse": [] }, "flags": 4,
        })),
        WebhookFormat::Ntfy => {
            let title = format!("{} {} on {}", notice.kind.noun(), notice.about, notice.host);
            let headers = vec![("Title", header(&title)), ("Priority", priority(notice).to_owned()), ("Tags", "rotating_light".to_owned())];
            Dressed { content_type: "text/plain; charset=utf-8", headers, body: text(plain) }
        }
    }
}

fn priority(notice: &Notice) -> &'static str {
    match (notice.kind, notice.severity) {
        (Kind::Question, _) | (_, Severity::Critical) => "5",
        (_, Severity::High) => "4",
        (_, Severity::Medium) => "3",
        (_, Severity::Low | Severity::Info) => "2",
    }
}

/// Lines of bounded length, as many as fit; the last ones tell how to answer and stay.
fn message(head: &[String], tail: &[String], escape: fn(char, &mut String)) -> String {
    let tail: Vec<String> = tail.iter().map(|text| line(text, escape)).collect();
    let mut left = MESSAGE.saturating_sub(tail.iter().map(|text| text.chars().count() + 1).sum());
    let mut out: Vec<String> = Vec::new();
    for text in head.iter().map(|text| line(text, escape)) {
        let length = text.chars().count() + 1;
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

fn line(text: &str, escape: fn(char, &mut String)) -> String {
    let (mut safe, mut before) = (String::new(), [' ', ' ']);
    for c in calm(text).chars().take(LINE) {
        // "://" would become a link.
        if c == '/' && before == [':', '/'] {
            safe.push(PART);
        }
        before = [before[1], c];
        escape(c, &mut safe);
    }
    if text.chars().count() > LINE {
        safe.push_str("...");
    }
    safe
}

/// One line without what a terminal or a reader could take for something else, or would not see at all.
fn calm(line: &str) -> String {
    let is_loud = |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let is_unseen = |c: &char| matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2065}' | '\u{feff}');
    line.chars().filter(|c| !is_unseen(c)).map(|c| if is_loud(c) { ' ' } else { c }).collect()
}

fn plain(c: char, out: &mut String) {
    out.push(c);
}

/// <https://api.slack.com/reference/surfaces/formatting#escaping>
fn slack(c: char, out: &mut String) {
    match c {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '@' => out.extend([c, PART]),
        // Formatting is off; other programs that take this form have it on.
        '*' | '_' | '~' | '`' => out.extend([PART, c]),
        other => out.push(other),
    }
}

/// <https://support.discord.com/hc/en-us/articles/210298617>
fn discord(c: char, out: &mut String) {
    match c {
        '@' => out.extend([c, PART]),
        '\\' | '*' | '_' | '~' | '`' | '|' | '>' | '<' | '#' | '[' | ']' | '(' | ')' => out.extend(['\\', c]),
        other => out.push(other),
    }
}

/// A header takes printable ASCII only.
fn header(text: &str) -> String {
    text.chars().filter(|c| (' '..='~').contains(c)).take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_model::{Alert, AlertId, AlertState, IncidentId, Timestamp};

    fn notice(sentence: &str) -> Notice {
        let at = Timestamp::from_timestamp(1_700_000_000, 0).unwrap();
        let alert = Alert {
            id: AlertId(6),
            incident: IncidentId(1),
            at,
            updated: at,
            severity: Severity::High,
            sentence: sentence.to_owned(),
            count: 1,
            state: AlertState::New,
            by: None,
        };
        Notice::alert("web-1", &alert, &[])
    }

    const EVIL: &str = "@everyone @here <!channel> <@U123> **loud** `x` [click](https://evil.example/x) ||spoiler||\r\n# head \u{202e}txt";

    #[test]
    fn a_hostile_name_calls_nobody_links_nowhere_and_formats_nothing() {
        let slack = dress(&notice(EVIL), WebhookFormat::Slack, 0);
        let text = serde_json::from_str::<serde_json::Value>(&slack.body).unwrap()["text"].as_str().unwrap().to_owned();
        for bad in ["<!channel>", "<@U123>", "@everyone", "@here", "://", "\r", "\u{202e}", "**"] {
            assert!(!text.contains(bad), "{bad:?} in {text:?}");
        }
        let discord = dress(&notice(EVIL), WebhookFormat::Discord, 0);
        let body: serde_json::Value = serde_json::from_str(&discord.body).unwrap();
        assert_eq!(body["allowed_mentions"]["parse"], serde_json::json!([]));
        let text = body["content"].as_str().unwrap();
        for bad in ["@everyone", "@here", "<@U123>", " **", "](", " ||", "://", "\r", "\u{202e}"] {
            assert!(!text.contains(bad), "{bad:?} in {text:?}");
        }
        assert_eq!(text.lines().count(), 3, "a line break cannot be brought in: {text}");
        let ntfy = dress(&notice(EVIL), WebhookFormat::Ntfy, 0);
        assert!(ntfy.headers.iter().all(|(_, value)| value.chars().all(|c| (' '..='~').contains(&c))));
        assert!(!ntfy.headers.iter().any(|(name, _)| *name == "Markdown"));
    }

    #[test]
    fn nothing_unseen_hides_in_a_name_or_joins_what_was_parted() {
        let evil = "sh\u{200b}ell @\u{feff}here ht\u{2060}tp:/\u{200d}/evil.example";
        let dressed = dress(&notice(evil), WebhookFormat::Ntfy, 0);
        let shown = dressed.body.lines().nth(1).unwrap();
        assert_eq!(shown, format!("shell @here http:/{PART}/evil.example"));
    }

    #[test]
    fn every_message_is_bounded_and_says_how_many_were_not_sent() {
        for format in [WebhookFormat::Slack, WebhookFormat::Discord, WebhookFormat::Ntfy] {
            for sentence in ["`".repeat(100_000), "é".repeat(100_000), "a b".repeat(50_000)] {
                let dressed = dress(&notice(&sentence), format, 7);
                assert!(dressed.body.len() < 4_096, "{} bytes", dressed.body.len());
                assert!(
                    dressed.body.contains("look: bartizan explain I1") && dressed.body.contains("7 more were not sent"),
                    "{}",
                    dressed.body
                );
                let content = serde_json::from_str::<serde_json::Value>(&dressed.body).ok();
                let chars = content.and_then(|body| Some(body["content"].as_str()?.chars().count())).unwrap_or(0);
                assert!(chars <= 2_000, "{chars} characters");
            }
        }
    }
}
