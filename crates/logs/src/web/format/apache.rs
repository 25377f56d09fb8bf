//! Apache's `LogFormat`: text with `%directives`, each with conditions, `<` or `>`, and an argument in braces (`mod_log_config`).

use super::{Field, Piece};
use crate::web::time::TimeShape;

/// What a directive writes. Unknown ones are taken for the client's.
fn field(argument: &str, letters: &str) -> Field {
    match (letters, argument.to_ascii_lowercase().as_str()) {
        ("a", "c") => Field::Connected,
        ("a" | "h", _) => Field::Peer,
        ("u", _) => Field::User,
        ("t", _) => Field::Time(time(argument)),
        ("r", _) => Field::Request,
        ("m", _) => Field::Method,
        ("U", _) => Field::Target,
        ("q", _) => Field::Query,
        ("H", _) => Field::Protocol,
        ("s", _) => Field::Status,
        ("b" | "B" | "O", _) => Field::Size,
        ("v", _) => Field::Site,
        // The client chooses it, unless `UseCanonicalName` says otherwise.
        ("V", _) => Field::Host,
        ("p" | "P" | "D" | "T" | "k" | "I" | "S", _) => Field::Number,
        ("i", "referer") => Field::Referer,
        ("i", "user-agent") => Field::Agent,
        ("i", "host") => Field::Host,
        ("i", "x-forwarded-for") => Field::Forwarded,
        _ => Field::Other,
    }
}

fn time(argument: &str) -> TimeShape {
    let argument = argument.strip_prefix("begin:").or_else(|| argument.strip_prefix("end:")).unwrap_or(argument);
    match argument {
        "" | "begin" | "end" => TimeShape::Common,
        "sec" => TimeShape::Seconds,
        "msec" => TimeShape::Milliseconds,
        "usec" => TimeShape::Microseconds,
        "%d/%b/%Y:%H:%M:%S %z" => TimeShape::Common,
        pattern => TimeShape::Pattern(pattern.into()),
    }
}

/// One directive behind its `%`: `!200,304{User-Agent}i`. The argument, the letters, and what follows.
fn directive(rest: &str) -> Option<(&str, &str, &str)> {
    let mut rest = rest.trim_start_matches(|one: char| one.is_ascii_digit() || matches!(one, '!' | ',' | '<' | '>'));
    let mut argument = "";
    if let Some(inner) = rest.strip_prefix('{') {
        (argument, rest) = inner.split_once('}')?;
        rest = rest.trim_start_matches(['<', '>']);
    }
    // `%^ti` and `%^to` are the only ones of more than one letter.
    let long = ["^ti", "^to", "^FB"].iter().any(|long| rest.starts_with(long));
    let length = if long { 3 } else { rest.chars().next()?.len_utf8() };
    let (letters, rest) = rest.split_at_checked(length)?;
    Some((argument, letters, rest))
}

pub(super) fn pieces(text: &str) -> Vec<Piece> {
    let text_of = |text: &str| Piece::Text(text.replace("\\n", "\n").replace("\\t", "\t").into_bytes().into());
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        out.push(text_of(before));
        match directive(after) {
            Some(("", "%", follows)) => {
                out.push(text_of("%"));
                rest = follows;
            }
            Some((argument, letters, follows)) => {
                let time_in_brackets = letters == "t" && matches!(argument, "" | "begin" | "end");
                out.extend(time_in_brackets.then(|| text_of("[")));
                out.push(Piece::Field(field(argument, letters)));
                out.extend(time_in_brackets.then(|| text_of("]")));
                rest = follows;
            }
            None => rest = "",
        }
    }
    out.push(text_of(rest));
    out.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
    out
}
