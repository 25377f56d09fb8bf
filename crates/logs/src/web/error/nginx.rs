//! nginx's error log, in which clients' bytes stand raw: quotes, line ends and all (`ngx_http_log_error`).
//!
//! The client's address comes late in a line, after the message and before the request, host and referrer. A user name, a path, a request or a
//! referrer may hold a whole false end. So every place that could be the real one is tried, by nothing but what nginx itself writes around
//! it: what a client wrote behind it never makes the real one impossible. Where more than one stands up, or there are more than are tried,
//! the line names nobody. A name with a line end in it makes whole false lines: nginx cuts a message at 2,048 bytes, so lines
//! within that distance of a broken one name nobody either.

use std::net::IpAddr;

use super::{ErrorKind, WebError, modsecurity};
use crate::scan::cut_last;
use crate::web::access::with_port;
use crate::web::time::nginx_error as time;

/// `NGX_MAX_ERROR_STR`: the longest message that nginx writes.
const MAX_MESSAGE: usize = 2048;
/// Places in a line that are tried for the client's address; with more of them it has none.
const MAX_PLACES: usize = 8;
const CLIENT: &[u8] = b", client: ";

/// Reads the lines of one error log of nginx, in their order.
#[derive(Debug, Clone, Default)]
pub struct ErrorReader {
    /// How many bytes from here on may be a client's.
    doubtful: usize,
    /// Seconds that the server's zone lies east of Greenwich.
    east: i64,
}

impl ErrorReader {
    /// A reader of lines whose local time is this many seconds east of Greenwich.
    pub fn new(east: i64) -> Self {
        Self { doubtful: 0, east }
    }

    /// What one line says; `None` when it is no line of nginx's.
    pub fn read<'l>(&mut self, line: &'l [u8]) -> Option<WebError<'l>> {
        let doubted = self.doubtful > 0;
        self.doubtful = self.doubtful.saturating_sub(line.len() + 1);
        let (at, rest) = start(line)?;
        let level_end = memchr::memmem::find(rest, b"] ")?;
        let rest = rest.strip_prefix(b"[")?.get(level_end + 1..)?;
        let message = rest.get(memchr::memmem::find(rest, b": ")? + 2..)?;
        let Some((number, message)) = message.strip_prefix(b"*").and_then(|message| {
            let space = memchr::memchr(b' ', message)?;
            Some((message.get(..space)?, message.get(space + 1..)?))
        }) else {
            return Some(WebError { at: time(at, self.east), ..WebError::new(message) });
        };
        if !number.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let Some((own, client)) = tail(message) else {
            // What nginx says of a connection ends with its client, unless a client's line end or the cut came between.
            self.doubtful = MAX_MESSAGE.saturating_sub(line.len());
            return Some(WebError { at: time(at, self.east), ..judge(message) });
        };
        Some(WebError { at: time(at, self.east), client: client.filter(|_| !doubted), ..judge(own) })
    }
}

/// The time and what follows it, behind nothing but what syslog or the journal put before it.
fn start(line: &[u8]) -> Option<(&[u8], &[u8])> {
    const TIME: usize = "2026/11/28 10:00:00".len();
    let at = |from: usize| {
        let text = line.get(from..from + TIME)?;
        let rest = line.get(from + TIME..)?.strip_prefix(b" ")?;
        time(text, 0).map(|_| (text, rest))
    };
    at(0).or_else(|| {
        let prefix = line.get(..line.len().min(200))?;
        let mut colons = memchr::memmem::find_iter(prefix, b": ").take(3);
        colons.find_map(|colon| at(colon + 2))
    })
}

/// Where the message ends, and the client's address: `None` inside when several places could be it.
fn tail(message: &[u8]) -> Option<(&[u8], Option<IpAddr>)> {
    let mut found: Option<(&[u8], Option<IpAddr>)> = None;
    for (tried, at) in memchr::memmem::find_iter(message, CLIENT).enumerate() {
        let (own, rest) = (message.get(..at)?, message.get(at + CLIENT.len()..)?);
        if tried >= MAX_PLACES {
            return Some((found.map_or(own, |(own, _)| own), None));
        }
        let Some(place) = possible(rest).filter(|_| is_whole(own)) else { continue };
        match &mut found {
            None => found = Some((own, place)),
            Some((_, first)) if *first == place => {}
            Some((_, first)) => *first = None,
        }
    }
    found
}

/// Whether a message about a name or a file could end here, before or behind what nginx was doing (` while logging request`).
fn is_whole(message: &[u8]) -> bool {
    let is_action = |words: &[u8]| words.iter().all(|byte| byte.is_ascii_alphabetic() || *byte == b' ');
    let before = cut_last(message, b" while ").filter(|(_, action)| is_action(action)).map(|(before, _)| before);
    let ends = |fits: fn(&[u8]) -> bool| fits(message) || before.is_some_and(fits);
    if message.starts_with(b"user \"") {
        return ends(|message| message.ends_with(b"\": password mismatch") || is_unknown_user(message));
    }
    if message.starts_with(b"open() \"") || message.starts_with(b"stat() \"") {
        return ends(|message| message.ends_with(b")"));
    }
    true
}

/// `... was not found in "FILE"`
fn is_unknown_user(message: &[u8]) -> bool {
    let file = message.strip_suffix(b"\"").and_then(|message| cut_last(message, b"\" was not found in \""));
    file.is_some_and(|(_, file)| !file.contains(&b'"') && memchr::memmem::find(file, CLIENT).is_none())
}

/// Whether this could stand behind `, client: ` as nginx writes it: an address, then the next field or nothing. The fields themselves hold what
/// a client wrote, quotes and all, and a long line is cut anywhere, so nothing is asked of them. The address is `None` on a UNIX socket.
fn possible(rest: &[u8]) -> Option<Option<IpAddr>> {
    let end = memchr::memchr(b',', rest).unwrap_or(rest.len());
    let (written, rest) = (rest.get(..end)?, rest.get(end..)?);
    let next = [&b", server: "[..], b", request: \"", b", subrequest: \"", b", upstream: \"", b", host: \"", b", referrer: \""];
    if !rest.is_empty() && !next.iter().any(|name| rest.starts_with(name)) {
        return None;
    }
    match with_port(written) {
        Some(address) => Some(Some(address)),
        None => written.starts_with(b"unix:").then_some(None),
    }
}

/// What nginx's own words at the start of a message mean.
fn judge(message: &[u8]) -> WebError<'_> {
    let new = WebError::new(message);
    if let Some(rest) = message.strip_prefix(b"user \"") {
        if let Some(user) = rest.strip_suffix(b"\": password mismatch") {
            return WebError { kind: ErrorKind::BadPassword, user: Some(user), ..new };
        }
        let end = memchr::memmem::rfind(rest, b"\" was not found in \"");
        return WebError { kind: ErrorKind::UnknownUser, user: end.and_then(|end| rest.get(..end)), ..new };
    }
    if let Some(rest) = message.strip_prefix(b"PAM: user '") {
        let end = memchr::memmem::rfind(rest, b"' - not authenticated");
        return WebError { kind: ErrorKind::BadPassword, user: end.and_then(|end| rest.get(..end)), ..new };
    }
    for prefix in [&b"open() \""[..], b"stat() \"", b"\""] {
        if let Some(rest) = message.strip_prefix(prefix) {
            let end = memchr::memmem::rfind(rest, b"\" ").unwrap_or(rest.len());
            let (path, why) = (rest.get(..end), rest.get(end..).unwrap_or_default());
            let kind = match memchr::memmem::find(why, b"(2: ").or_else(|| memchr::memmem::find(why, b"(20: ")) {
                Some(_) => ErrorKind::NotFound,
                None if memchr::memmem::find(why, b"(13: ").is_some() => ErrorKind::Denied,
                None => ErrorKind::Other,
            };
            return WebError { kind, path, ..new };
        }
    }
    if let Some(at) = memchr::memmem::find(message, b"ModSecurity: ").filter(|at| *at == 0 || message.starts_with(b"[client ")) {
        let rule = message.get(at..).and_then(modsecurity::rule);
        return WebError { kind: ErrorKind::ModSecurity, rule, ..new };
    }
    const BEGINNINGS: &[(&[u8], ErrorKind)] = &[
        (b"no user/password was provided", ErrorKind::NoCredentials),
        (b"access forbidden by rule", ErrorKind::Denied),
        (b"directory index of ", ErrorKind::Denied),
        (b"FastCGI sent in stderr: \"Primary script unknown", ErrorKind::NotFound),
        (b"FastCGI sent in stderr: \"Unable to open primary script", ErrorKind::NotFound),
        (b"limiting requests", ErrorKind::Limited),
        (b"delaying request", ErrorKind::Limited),
        (b"limiting connections", ErrorKind::Limited),
        (b"SSL_do_handshake() failed", ErrorKind::BadHandshake),
        (b"SSL_read() failed", ErrorKind::BadHandshake),
        (b"client sent ", ErrorKind::BadRequest),
        (b"client intended to send too large body", ErrorKind::BadRequest),
    ];
    let kind = BEGINNINGS.iter().find(|(words, _)| message.starts_with(words)).map_or(ErrorKind::Other, |(_, kind)| *kind);
    WebError { kind, ..new }
}
