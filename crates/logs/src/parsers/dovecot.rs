//! Dovecot's login processes (`... (auth failed, 2 attempts in 9 secs): user=<U>, method=PLAIN, rip=A, lip=B`) and its authentication
//! (`sql(U,A,<session>): Password mismatch`).
//!
//! A login process begins its message with its name, then its own words for what happened, directly before what the client chose; it names
//! the user left of the address and only its own words right of it: the last ` rip=` counts. Every other line is the authentication's,
//! where a client's name stands anywhere and, with auth_verbose_passwords, its secret right: with two addresses there, none is taken.
//! Attempts are counted from the login processes alone, which tell of each attempt once more.

use super::Parser;
use super::origin::Writer;
use crate::frame::Frame;
use crate::peer::address;
use crate::record::{MAX_NAME, Method, Raw, Service, What};
use crate::scan::{clip, cut_last, cut_once, leading_number};

/// One connection has at most so many attempts (login.c; the default is 10).
const MAX_ATTEMPTS: u64 = 100;
/// What the login processes call failures beside `auth failed`.
const FAILURES: [&[u8]; 3] = [b"tried to use dis", b"proxy dest auth failed", b"auth failed"];
/// What they call clients that never got to a login.
const PROBES: [&[u8]; 4] =
    [b"no auth attempts", b"disconnected before auth was ready", b"client didn't finish SASL auth", b"disconnected during TLS handshake"];
/// How the authentication says no.
const REFUSALS: [&[u8]; 5] = [b"assword mismatch", b"unknown user", b"pam_authenticate() failed", b"invalid credentials", b"Login failed"];

/// The processes that talk to clients before they are logged in.
const LOGIN_PROCESSES: [&[u8]; 4] = [b"imap-login", b"pop3-login", b"managesieve-login", b"submission-login"];

pub(super) const PARSER: Parser = Parser {
    name: "dovecot",
    service: Service::Dovecot,
    tags: &["dovecot", "dovecot-auth", "auth", "auth-worker", "imap-login", "pop3-login", "managesieve-login", "submission-login"],
    writer: Writer::System(&["dovecot", "log", "auth", "imap-login", "pop3-login", "managesieve-login", "submission-login"]),
    read,
};

fn read<'a>(frame: &Frame<'a>) -> Option<Raw<'a>> {
    if let Some(said) = of_login_process(frame) {
        let (before, after) = cut_last(said, b" rip=")?;
        return login(before, after);
    }
    if !REFUSALS.iter().any(|words| cut_once(frame.message, words).is_some()) {
        return None;
    }
    let mut record = Raw::new(Service::Dovecot, What::LoginFailed);
    // Since 2.4 it stands in the name: `auth(U,A,sasl:login)<session>: Info: sql: Password mismatch`.
    let (user, found) = identity(frame.message).or_else(|| identity(frame.tag))?;
    (record.user, record.address) = (user.map(|user| clip(user, MAX_NAME)), found);
    Some(record)
}

/// What a login process said; `None`: another process wrote it. The authentication's tag may hold a client's name (`auth(U,A):`), so only
/// the name of dovecot itself may stand before that of a login process.
fn of_login_process<'a>(frame: &Frame<'a>) -> Option<&'a [u8]> {
    let message = frame.message.strip_prefix(b"dovecot: ").unwrap_or(frame.message);
    let said = match frame.tag {
        tag if LOGIN_PROCESSES.contains(&tag) => message,
        b"dovecot" => {
            let (process, said) = cut_once(message, b": ")?;
            LOGIN_PROCESSES.contains(&process).then_some(said)?
        }
        _ => return None,
    };
    Some(said.strip_prefix(b"Info: ").or_else(|| said.strip_prefix(b"Debug: ")).unwrap_or(said))
}

/// `WORDS (WHY)[ (CODE)]:` directly before what the client chose; of a proxy (`proxy(U,...): WORDS`) the client's name stands there too.
fn why(reason: &[u8]) -> Option<&[u8]> {
    let by_another = [&b"proxy("[..], b"Error: ", b"Warning: ", b"Fatal: ", b"Panic: "];
    if by_another.iter().any(|begin| reason.starts_with(begin)) {
        return None;
    }
    let (words, why) = cut_last(reason.strip_suffix(b"):")?, b" (")?;
    let is_code = why.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b'_');
    match words.strip_suffix(b")").filter(|_| is_code).and_then(|words| cut_last(words, b" (")) {
        Some((_, why)) => Some(why),
        None => Some(why),
    }
}

/// `U,A` within brackets; no address where there are two.
fn identity(text: &[u8]) -> Option<(Option<&[u8]>, Option<std::net::IpAddr>)> {
    let mut found: Option<(usize, std::net::IpAddr)> = None;
    for comma in memchr::memchr_iter(b',', text) {
        let after = text.get(comma + 1..)?;
        let end = after.iter().take(64).position(|byte| matches!(byte, b',' | b')')).unwrap_or(0);
        let Some(here) = after.get(..end).and_then(address) else { continue };
        match found {
            None => found = Some((comma, here)),
            Some((_, first)) if first == here => {}
            Some(_) => return Some((None, None)),
        }
    }
    let (comma, address) = found?;
    let before = text.get(..comma)?;
    let user = memchr::memchr(b'(', before).and_then(|_| cut_last(before, b"(")).map(|(_, user)| user);
    Some((user, Some(address)))
}

fn login<'a>(before: &'a [u8], after: &'a [u8]) -> Option<Raw<'a>> {
    // What a client chose begins with its name.
    let named = cut_once(before, b" user=<").or_else(|| cut_once(before, b" method="));
    let reason = named.map_or(before, |(reason, _)| reason);
    let (what, why) = match reason {
        b"Login:" => (What::LoginAccepted, &b""[..]),
        reason => match why(reason)? {
            why if FAILURES.iter().any(|words| why.starts_with(words)) => (What::LoginFailed, why),
            why if PROBES.iter().any(|words| why.starts_with(words)) => (What::Probe, why),
            _ => return None,
        },
    };
    let mut record = Raw::new(Service::Dovecot, what);
    let end = after.iter().take(64).position(|byte| matches!(byte, b',' | b' ')).unwrap_or(after.len());
    record.address = Some(after.get(..end).and_then(address)?);
    record.preauth = what == What::Probe;
    if let Some((_, user)) = cut_once(before, b" user=<") {
        record.user = cut_last(user, b">").map(|(user, _)| clip(user, MAX_NAME)).filter(|user| !user.is_empty());
    }
    record.method = match cut_last(before, b" method=") {
        Some(_) => Method::Password,
        None => Method::Unknown,
    };
    if what == What::LoginFailed {
        let counted = why.strip_prefix(b"auth failed, ").and_then(leading_number);
        record.attempts = counted.map_or(Some(1), |(count, _)| u32::try_from(count.clamp(1, MAX_ATTEMPTS)).ok())?;
    }
    Some(record)
}
