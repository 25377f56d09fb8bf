//! Apache's error log: brackets that the server writes, the client's among them, before any byte of the client's (`ErrorLogFormat`).

use std::net::IpAddr;

use super::{ErrorKind, WebError, between, modsecurity};
use crate::web::access::with_port;
use crate::web::time::apache_error as time;

/// Brackets at the start of a line that are read.
const MAX_BRACKETS: usize = 8;
/// How far an error of the system may reach, `(13)Permission denied: `, before the client's bracket.
const MAX_SYSTEM_ERROR: usize = 200;

/// The first bracket of a text and what follows; an IPv6 address has brackets of its own inside.
fn bracket(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let inner = text.strip_prefix(b"[")?;
    let from = if inner.starts_with(b"client [") || inner.starts_with(b"remote [") { memchr::memchr(b']', inner)? + 1 } else { 0 };
    let end = from + memchr::memchr(b']', inner.get(from..)?)?;
    let rest = inner.get(end + 1..)?;
    Some((inner.get(..end)?, rest.strip_prefix(b" ").unwrap_or(rest)))
}

/// The bracket of a client behind an error of the system.
fn after_system_error(text: &[u8]) -> Option<&[u8]> {
    let head = text.get(..text.len().min(MAX_SYSTEM_ERROR))?;
    let digits = head.strip_prefix(b"(")?;
    if !digits.first()?.is_ascii_digit() {
        return None;
    }
    let at = memchr::memmem::find(head, b": [client ").or_else(|| memchr::memmem::find(head, b": [remote "))?;
    text.get(at + 2..)
}

/// What one line says; `None` when it does not begin as Apache's lines do. `east` is how many seconds the server's zone lies east of Greenwich.
pub fn read(line: &[u8], east: i64) -> Option<WebError<'_>> {
    let (mut at, mut client, mut module, mut levelled) = (None, None, &b""[..], false);
    let mut rest = line;
    for _ in 0..MAX_BRACKETS {
        if client.is_none() {
            rest = after_system_error(rest).unwrap_or(rest);
        }
        let Some((inside, after)) = bracket(rest) else { break };
        if let Some(address) = inside.strip_prefix(b"client ").or_else(|| inside.strip_prefix(b"remote ")) {
            client = with_port(address);
            rest = after;
            // What follows may be a client's.
            break;
        }
        match memchr::memchr(b':', inside) {
            _ if inside.starts_with(b"pid ") => {}
            Some(colon) if !inside.contains(&b' ') => (module, levelled) = (inside.get(..colon).unwrap_or_default(), true),
            _ if is_level(inside) => levelled = true,
            _ => at = at.or_else(|| time(inside, east)),
        }
        rest = after;
    }
    // ModSecurity 2 writes the client once more.
    if let Some((inside, after)) =
        bracket(rest).filter(|(inside, after)| inside.starts_with(b"client ") && after.starts_with(b"ModSecurity: "))
    {
        client = client.or_else(|| inside.get(7..).and_then(with_port));
        rest = after;
    }
    levelled.then(|| WebError { at, ..judge(rest, module, client) })
}

fn is_level(word: &[u8]) -> bool {
    const LEVELS: [&[u8]; 9] = [b"emerg", b"alert", b"crit", b"error", b"warn", b"notice", b"info", b"debug", b"trace"];
    LEVELS.iter().any(|level| word.starts_with(level)) && word.len() <= 7
}

/// `AH01617: ` at the start of a message, and what follows it.
fn code(message: &[u8]) -> (Option<u32>, &[u8]) {
    let numbered = between(message, b"AH", b": ").and_then(|(digits, rest)| Some((std::str::from_utf8(digits).ok()?.parse().ok()?, rest)));
    numbered.map_or((None, message), |(code, rest)| (Some(code), rest))
}

fn judge<'l>(message: &'l [u8], module: &[u8], client: Option<IpAddr>) -> WebError<'l> {
    let (code, text) = code(message);
    let new = WebError { client, ..WebError::new(message) };
    if text.starts_with(b"ModSecurity: ") {
        return WebError { kind: ErrorKind::ModSecurity, rule: modsecurity::rule(text), ..new };
    }
    let text = text.strip_prefix(b"Digest: ").unwrap_or(text);
    if let Some(rest) = text.strip_prefix(b"user ") {
        return user(rest, code, new);
    }
    if let Some((user, _)) = between(text, b"Authorization of user ", b" to access ") {
        return WebError { kind: ErrorKind::Denied, user: Some(user), ..new };
    }
    let path = memchr::memmem::find(text, b": ").and_then(|at| text.get(at + 2..));
    const BEGINNINGS: &[(&[u8], ErrorKind)] = &[
        (b"client used wrong authentication scheme", ErrorKind::AuthAbuse),
        (b"invalid qop ", ErrorKind::AuthAbuse),
        (b"realm mismatch ", ErrorKind::AuthAbuse),
        (b"unknown algorithm ", ErrorKind::AuthAbuse),
        (b"uri mismatch ", ErrorKind::AuthAbuse),
        (b"File does not exist", ErrorKind::NotFound),
        (b"script not found or unable to stat", ErrorKind::NotFound),
        (b"script '", ErrorKind::NotFound),
        (b"Cannot serve directory", ErrorKind::Denied),
        (b"Cannot map ", ErrorKind::BadRequest),
        (b"Invalid URI in request", ErrorKind::BadRequest),
        (b"invalid URI path", ErrorKind::BadRequest),
        (b"request failed: ", ErrorKind::BadRequest),
        (b"erroneous characters after protocol string", ErrorKind::BadRequest),
        (b"Invalid method in request", ErrorKind::BadRequest),
        (b"Hostname ", ErrorKind::BadRequest),
        (b"No hostname was provided via SNI", ErrorKind::BadRequest),
    ];
    let kind = match BEGINNINGS.iter().find(|(words, _)| text.starts_with(words)) {
        Some((_, kind)) => *kind,
        // mod_evasive says so to whom it limits.
        None if text.starts_with(b"client denied by server configuration") => {
            if module.starts_with(b"evasive") {
                ErrorKind::Limited
            } else {
                ErrorKind::Denied
            }
        }
        // A nonce with a wrong hash is what every client sends after the server was restarted.
        None if text.starts_with(b"invalid nonce ") && memchr::memmem::find(text, b" - hash is not ").is_none() => ErrorKind::AuthAbuse,
        None => ErrorKind::Other,
    };
    WebError { kind, path, ..new }
}

/// `bob: authentication failure for "/x": Password Mismatch` and its relatives. The number says which; without one, how it ends.
fn user<'l>(rest: &'l [u8], code: Option<u32>, new: WebError<'l>) -> WebError<'l> {
    const ENDS: &[(&[u8], u32, ErrorKind)] = &[
        (b": authentication failure for \"", 1617, ErrorKind::BadPassword),
        (b": authorization failure for \"", 1631, ErrorKind::Denied),
        (b": password mismatch: ", 1792, ErrorKind::BadPassword),
        (b" not found", 1618, ErrorKind::UnknownUser),
        (b" in realm ", 1790, ErrorKind::UnknownUser),
    ];
    let by_code = ENDS.iter().find(|(_, own, _)| Some(*own) == code);
    // The last words decide: a name may hold the others.
    let placed = |end: &&(&[u8], u32, ErrorKind)| memchr::memmem::rfind(rest, end.0);
    let chosen = by_code.or_else(|| ENDS.iter().filter(|end| placed(end).is_some()).max_by_key(placed));
    let Some(chosen) = chosen else { return WebError { kind: ErrorKind::Other, ..new } };
    let user = placed(&chosen).and_then(|end| rest.get(..end));
    let quoted = |name: &'l [u8]| name.strip_prefix(b"`").map_or(name, |name| name.strip_suffix(b"'").unwrap_or(name));
    let in_realm = |name: &'l [u8]| memchr::memmem::find(name, b"' in realm `").and_then(|end| name.get(..=end)).unwrap_or(name);
    WebError { kind: chosen.2, user: user.map(in_realm).map(quoted), ..new }
}
