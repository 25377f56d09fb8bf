//! What an attacker chose, made harmless for one receiver: it calls nobody, links nowhere, formats nothing and starts no line.

/// Parts a mention or a link without being seen (U+200B).
const PART: char = '\u{200b}';

/// How one receiver's text is escaped, a character at a time.
pub(crate) type Escape = fn(char, &mut String);

/// One line: no control character, no line or paragraph separator, nothing that turns the direction of writing or is invisible.
pub(crate) fn calm(text: &str) -> String {
    text.chars().filter(|c| !is_invisible(*c)).map(|c| if is_loud(c) { ' ' } else { c }).collect()
}

/// A JSON text whose strings hold nothing that a terminal or a reader takes for something else; their values stay the same.
pub(crate) fn json_text(value: &serde_json::Value) -> String {
    let mut out = String::new();
    for c in value.to_string().chars() {
        if is_loud(c) || is_invisible(c) {
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

fn is_loud(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// A calm line in which nothing becomes a link, each character escaped.
pub(crate) fn line(text: &str, escape: Escape) -> String {
    let (mut safe, mut before) = (String::new(), [' ', ' ']);
    for c in calm(text).chars() {
        if c == '/' && before == [':', '/'] {
            safe.push(PART);
        }
        before = [before[1], c];
        escape(c, &mut safe);
    }
    safe
}

/// Chat programs make a link of `evil.example` alone: a point between a name and a letter is parted from it.
fn part_name(c: char, out: &mut String) {
    let mut before = out.chars().rev();
    if c.is_alphabetic() && before.next() == Some('.') && before.next().is_some_and(char::is_alphanumeric) {
        out.push(PART);
    }
}

pub(crate) fn plain(c: char, out: &mut String) {
    out.push(c);
}

/// Unformatted text in which `@name` would call somebody, as Telegram has it.
pub(crate) fn mention(c: char, out: &mut String) {
    part_name(c, out);
    out.push(c);
    if c == '@' {
        out.push(PART);
    }
}

/// <https://api.slack.com/reference/surfaces/formatting#escaping>; Mattermost takes the same form with its own formatting on.
pub(crate) fn slack(c: char, out: &mut String) {
    part_name(c, out);
    match c {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '@' => out.extend([c, PART]),
        '*' | '_' | '~' | '`' | '[' | ']' | '#' | '|' | '(' => out.extend([PART, c]),
        other => out.push(other),
    }
}

/// CommonMark as Discord and Teams read it: <https://spec.commonmark.org/0.31.2/#backslash-escapes>, and no mention.
pub(crate) fn markdown(c: char, out: &mut String) {
    part_name(c, out);
    match c {
        '@' => out.extend([c, PART]),
        // The beginning of a line would be a list.
        '-' | '+' if out.is_empty() => out.extend(['\\', c]),
        '\\' | '*' | '_' | '~' | '`' | '|' | '>' | '<' | '#' | '[' | ']' | '(' | ')' | '!' => out.extend(['\\', c]),
        other => out.push(other),
    }
}

/// What a mail header or an HTTP header takes: printable ASCII, no more than 120 of it; the rest becomes a question mark.
pub(crate) fn header(text: &str) -> String {
    calm(text).chars().take(120).map(|c| if (' '..='~').contains(&c) { c } else { '?' }).collect()
}
