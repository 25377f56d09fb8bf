//! Names that an attacker chose, in every form.

use super::*;
use crate::Message;

const EVIL: &[&str] = &[
    "**@everyone** <script>alert(1)</script>",
    "<!channel> <@U123> @here [click](https://evil.example/x) ||spoiler|| `x`",
    "a\r\nBcc: victim@example.org\r\n\r\nbody",
    "a\nundo: rm -rf /\u{2028}next: \u{85}x",
    "exe\u{202e}txt.\u{2066}nod\u{200b}e\u{feff}\u{1b}[2J\0",
    "\"}],\"admin\":true,\\",
    "x] [fake@1 a=\"b\"] \\",
    "![img](http://evil.example/a.png)",
    "- www.evil.example",
];
fn all() -> [Format; 10] {
    [
        Format::Json,
        Format::Slack,
        Format::Mattermost,
        Format::Discord,
        Format::Teams,
        Format::Ntfy,
        Format::Telegram("-1001".to_owned()),
        Format::Matrix,
        Format::Mail,
        Format::Syslog,
    ]
}

fn now() -> Timestamp {
    "2026-03-01T03:00:00Z".parse().unwrap()
}

fn parcel(evil: &str, many: bool) -> Parcel {
    let message = Message {
        key: "k".to_owned(),
        kind: MessageKind::Alert,
        about: evil.to_owned(),
        host: evil.to_owned(),
        severity: Severity::High,
        sentence: format!("{evil} ran a shell"),
        sure: Some(90),
        done: vec![format!("X1: froze {evil}, until 2026-03-01 04:00 UTC")],
        asked: None,
        commands: vec!["undo: bartizan rollback X1".to_owned()],
        record: json!({ "id": evil }),
    }
    .bounded();
    let item = Item { message, count: 41, differs: false, first: now(), last: now(), due: now() };
    let items = if many { vec![item.clone(), item] } else { vec![item] };
    Parcel { count: 41 * items.len() as u64 + 7 * u64::from(many), others: 7 * u64::from(many), items }
}

/// What the receiver shows: the text inside of the body.
fn shown(body: &Body, format: &Format) -> String {
    let json = || serde_json::from_str::<Value>(&body.text).unwrap();
    match format {
        Format::Discord => json()["content"].as_str().unwrap().to_owned(),
        Format::Slack | Format::Mattermost | Format::Telegram(_) => json()["text"].as_str().unwrap().to_owned(),
        Format::Matrix => json()["body"].as_str().unwrap().to_owned(),
        Format::Teams => {
            let blocks = json()["attachments"][0]["content"]["body"].as_array().unwrap().clone();
            blocks.iter().map(|block| block["text"].as_str().unwrap()).collect::<Vec<_>>().join("\n")
        }
        Format::Json | Format::Ntfy | Format::Mail | Format::Syslog => body.text.clone(),
    }
}

#[test]
fn no_form_lets_a_name_start_a_line_or_hide() {
    for (evil, format, many) in
        EVIL.iter().flat_map(|evil| all().into_iter().flat_map(|f| [(f.clone(), false), (f, true)]).map(move |(f, m)| (evil, f, m)))
    {
        let body = render(&parcel(evil, many), &format, now());
        let text = shown(&body, &format);
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{format:?} {text:?}");
        let calm = |text: &str| !text.contains(['\u{202e}', '\u{2066}', '\u{2028}', '\u{feff}']);
        assert!(calm(&text), "{format:?} {text:?}");
        let lines = match (&format, many) {
            (Format::Json | Format::Syslog, _) => 1,
            (_, false) => 6,
            (_, true) => 5,
        };
        assert_eq!(text.lines().count(), lines, "{format:?} {text}");
        for (name, value) in &body.headers {
            assert!(value.chars().all(|c| (' '..='~').contains(&c)), "{name}: {value:?}");
        }
    }
}

#[test]
fn nobody_is_called_and_nothing_is_formatted_or_linked() {
    for evil in EVIL {
        for (format, bad) in [
            (Format::Slack, &["@everyone", "@here", "<", ">", "**", "://", "evil.example", "]("][..]),
            (Format::Mattermost, &["@everyone", "@here", " <s", " **", "://", "evil.example", "\n- ", "](", " ||"][..]),
            (Format::Discord, &["@everyone", "@here", " <@U", " **", "://", "evil.example", "\n- ", "](", " ||"][..]),
            (Format::Teams, &["@everyone", " <s", " **", "://", "evil.example", "\n- ", "]("][..]),
            (Format::Telegram("-1001".to_owned()), &["://", "evil.example", "@here", "@everyone"][..]),
            (Format::Matrix, &["://", "evil.example", "@here", "@everyone", "@room"][..]),
            (Format::Mail, &["://"][..]),
        ] {
            let body = render(&parcel(evil, false), &format, now());
            let text = shown(&body, &format);
            for bad in bad {
                assert!(!text.contains(bad), "{format:?}: {bad:?} in {text:?}");
            }
        }
    }
    let document = |format: &Format| serde_json::from_str::<Value>(&render(&parcel(EVIL[0], false), format, now()).text).unwrap();
    assert_eq!(document(&Format::Discord)["allowed_mentions"]["parse"], json!([]));
    let matrix = document(&Format::Matrix);
    assert!(matrix["m.mentions"] == json!({}) && matrix.get("format").is_none() && matrix.get("formatted_body").is_none());
    let telegram = document(&Format::Telegram("-1001".to_owned()));
    assert!(telegram["chat_id"] == "-1001" && telegram.get("parse_mode").is_none());
}

#[test]
fn json_keeps_every_byte_and_adds_no_field() {
    for evil in EVIL {
        let document = |many| serde_json::from_str::<Value>(&render(&parcel(evil, many), &Format::Json, now()).text).unwrap();
        let (one, many) = (document(false), document(true));
        assert_eq!(one["sentence"], json!(format!("{evil} ran a shell")));
        assert_eq!((&one["id"], &one["kind"], &one["times"]), (&json!(evil), &json!("alert"), &json!(41)));
        assert_eq!((&many["kind"], &many["messages"]), (&json!("summary"), &json!(89)));
        assert_eq!(many["alerts"][1]["sentence"], one["sentence"]);
        assert!(one.get("admin").is_none() && many.get("admin").is_none() && one.get("record").is_none());
    }
}

#[test]
fn syslog_is_one_line_with_one_element_of_structured_data() {
    let text = render(&parcel("web-1", false), &Format::Syslog, now()).text;
    assert_eq!(
        text,
        "<35>1 2026-03-01T03:00:00.000000Z web-1 bartizan - ALERT [alert@32473 id=\"web-1\" severity=\"high\" count=\"41\"] \
         ALERT web-1 on web-1 (high); web-1 ran a shell; the same 41 times since 2026-03-01 03:00 UTC; how sure: 90 %; \
         done: X1: froze web-1, until 2026-03-01 04:00 UTC; undo: bartizan rollback X1"
    );
    let text = render(&parcel(EVIL[6], false), &Format::Syslog, now()).text;
    assert!(text.contains(r#"id="x\][fake@1a=\"b\"\]\\" severity"#), "{text}");
    assert_eq!(text.split(' ').nth(2), Some(r#"x][fake@1a="b"]\"#));
}

#[test]
fn a_mail_has_one_subject_and_says_what_to_do() {
    let mail = render(&parcel(EVIL[2], false), &Format::Mail, now());
    let [(name, subject)] = mail.headers.as_slice() else { panic!("{:?}", mail.headers) };
    assert!(*name == "Subject" && subject.starts_with("[bartizan] ALERT a  Bcc: victim"), "{subject}");
    assert!(mail.text.contains("the same 41 times since 2026-03-01 03:00 UTC") && mail.text.ends_with("undo: bartizan rollback X1"));
}

#[test]
fn every_text_is_bounded_and_keeps_what_happened_and_what_to_do() {
    for evil in ["`".repeat(100_000), "é".repeat(100_000), "&".repeat(9_000), "\u{1f600}@".repeat(50_000)] {
        for format in all().iter().filter(|format| **format != Format::Json) {
            let mut long = parcel("web-1", false);
            long.items[0].message.sentence = format!("nginx ran {evil}");
            long.items[0].message = long.items[0].message.clone().bounded();
            let text = shown(&render(&long, format, now()), format);
            assert!(text.len() <= 2_000, "{format:?}: {}", text.len());
            assert!(text.contains("nginx ran"), "{format:?} {text}");
            assert!(*format == Format::Syslog || text.ends_with("undo: bartizan rollback X1"), "{format:?} {text}");
        }
    }
}
