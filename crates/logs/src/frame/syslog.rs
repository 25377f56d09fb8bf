//! Lines as syslog daemons write them: RFC 3164, RFC 5424, and the same with an ISO stamp, without a host, or without a stamp.

use super::stamp::Clock;
use super::{Frame, Sender};
use crate::scan::{first_word, leading_number, number};

/// Takes the frame off a line of a syslog file.
pub(crate) fn unwrap<'a>(line: &'a [u8], clock: &Clock) -> Option<Frame<'a>> {
    let line = match line.strip_prefix(b"<").and_then(leading_number) {
        Some((_, rest)) => match rest.strip_prefix(b">1 ") {
            Some(rest) => return modern(rest, clock),
            None => rest.strip_prefix(b">")?,
        },
        None => line,
    };
    match clock.read(line) {
        Some((at, rest)) => {
            let (tag, pid, message) = header(rest)?;
            Some(Frame { at: Some(at), tag, pid, message, repeated: 1, sender: Sender::Unknown })
        }
        // As `journalctl -o cat` with names: `host sshd[1]: message`.
        None => {
            let (tag, pid, message) = header(line)?;
            Some(Frame { at: None, tag, pid, message, repeated: 1, sender: Sender::Unknown })
        }
    }
}

/// `host sshd[13709]: message`, `sshd[13709]: message`, `host [sshd] message`, `host proftpd[12345] message`
fn header(line: &[u8]) -> Option<(&[u8], Option<u32>, &[u8])> {
    // vsftpd's own log: `[pid 27202] [anonymous] FAIL LOGIN: ...`
    if let Some((pid, rest)) = line.strip_prefix(b"[pid ").and_then(leading_number) {
        return Some((b"vsftpd", u32::try_from(pid).ok(), rest.strip_prefix(b"] ")?));
    }
    let (first, rest) = first_word(line);
    if let Some((tag, pid)) = tag(first) {
        return Some((tag, pid, rest));
    }
    // No host has such letters: dovecot's `auth(NAME,ADDRESS): ` with a space in the name.
    if first.iter().any(|byte| b"(<,\"='".contains(byte)) {
        return None;
    }
    let (second, rest) = first_word(rest);
    let (tag, pid) = tag(second)?;
    Some((tag, pid, rest))
}

/// `sshd[13709]:`, `sshd:`, `[sshd]:`, `[sshd]`, `proftpd[12345]`
fn tag(word: &[u8]) -> Option<(&[u8], Option<u32>)> {
    let (bare, ended) = match word.strip_suffix(b":") {
        Some(bare) => (bare, true),
        None => (word, false),
    };
    if let Some(inside) = bare.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")) {
        return (!inside.is_empty()).then_some((inside, None));
    }
    if let Some(open) = bare.strip_suffix(b"]").and_then(|rest| rest.iter().rposition(|byte| *byte == b'[').map(|at| (rest, at))) {
        let (rest, at) = open;
        let pid = u32::try_from(number(rest.get(at + 1..)?)?).ok()?;
        return Some((rest.get(..at)?, Some(pid)));
    }
    (ended && !bare.is_empty()).then_some((bare, None))
}

/// RFC 5424 after `<PRI>1 `: `STAMP HOST APP PROCID MSGID [data] message`
fn modern<'a>(line: &'a [u8], clock: &Clock) -> Option<Frame<'a>> {
    let (at, rest) = match line.strip_prefix(b"- ") {
        Some(rest) => (None, rest),
        None => clock.read(line).map(|(at, rest)| (Some(at), rest))?,
    };
    let (_host, rest) = first_word(rest);
    let (tag, rest) = first_word(rest);
    let (process, rest) = first_word(rest);
    let (_kind, rest) = first_word(rest);
    let rest = structured_data(rest)?;
    let message = rest.strip_prefix(b" ").unwrap_or(rest);
    let message = message.strip_prefix("\u{feff}".as_bytes()).unwrap_or(message);
    let pid = number(process).and_then(|pid| u32::try_from(pid).ok());
    Some(Frame { at, tag, pid, message, repeated: 1, sender: Sender::Unknown })
}

/// What follows `-` or `[id name="value"]...`; in a value `\"`, `\\` and `\]` are escaped (RFC 5424, 6.3.3).
fn structured_data(line: &[u8]) -> Option<&[u8]> {
    if let Some(rest) = line.strip_prefix(b"-") {
        return Some(rest);
    }
    let mut rest = line;
    while let Some(inside) = rest.strip_prefix(b"[") {
        let (mut quoted, mut escaped, mut end) = (false, false, None);
        for (at, byte) in inside.iter().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                b']' if !quoted => {
                    end = Some(at);
                    break;
                }
                _ => {}
            }
        }
        rest = inside.get(end? + 1..)?;
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<(String, Option<u32>, String)> {
        let clock = Clock::new("2026-08-14T10:00:00Z".parse().unwrap(), 0);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        unwrap(line.as_bytes(), &clock).map(|frame| (text(frame.tag), frame.pid, text(frame.message)))
    }

    #[test]
    fn tag_pid_and_message_are_found_in_every_dress() {
        let some = |tag: &str, pid, message: &str| Some((tag.to_owned(), pid, message.to_owned()));
        for (line, expected) in [
            ("Jun 21 16:47:48 host sshd[13709]: hello: you", some("sshd", Some(13709), "hello: you")),
            ("<38>Jun 21 16:47:48 host sshd: hello", some("sshd", None, "hello")),
            ("Jun 21 16:47:48 sshd[1]: hello", some("sshd", Some(1), "hello")),
            ("Jun 21 16:47:48 [sshd]: hello", some("sshd", None, "hello")),
            ("Jun 21 16:47:48 [sshd] hello", some("sshd", None, "hello")),
            ("Jun 21 16:47:48 host proftpd[7] host (a[1.2.3.4]): hello", some("proftpd", Some(7), "host (a[1.2.3.4]): hello")),
            ("2026-06-21T16:47:48.1+02:00 host postfix/smtpd[9]: hello", some("postfix/smtpd", Some(9), "hello")),
            ("host sshd[13709]: hello", some("sshd", Some(13709), "hello")),
            ("<38>1 2026-06-21T16:47:48Z h sshd 5 - - hello", some("sshd", Some(5), "hello")),
            ("<38>1 - h sshd - - [a b=\"]\\\"\"][c] \u{feff}hello", some("sshd", None, "hello")),
            ("<38>1 - h sshd - - [a b=\"", None),
            ("no frame here", None),
            ("Jun 21 16:47:48 auth(x imap-login: Login: user=<root>, rip=192.0.2.1, lip=::1", None),
            ("", None),
        ] {
            assert_eq!(read(line), expected, "{line}");
        }
    }
}
