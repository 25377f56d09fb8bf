//! How lines of a log are written: by name, or recognised line by line.

use bartizan_worker::{Heard, LogFormat, LogParser, LogRecord, Parser as _, Reader};

/// Services whose messages are read as `auth`, also without what a syslog daemon puts in front.
const SERVICES: [&str; 14] = [
    "sshd", "sudo", "su", "login", "cron", "dovecot", "postfix/smtpd", "vsftpd", "proftpd", "pure-ftpd", "useradd", "passwd",
    "systemd-logind", "kernel",
];

/// How lines are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineFormat {
    /// As this format says.
    Of(LogFormat),
    /// As the messages of this service; the stamp, host and name in front may be missing.
    Messages(&'static str),
    /// As each line looks.
    Auto,
}

impl LineFormat {
    /// The format of this name: those of logs, `auto`, the name of a service, or the text of a server's own `log_format` or `LogFormat`.
    pub fn named(name: &str) -> Option<Self> {
        let service = if name == "postfix" { "postfix/smtpd" } else { name };
        match SERVICES.into_iter().find(|known| *known == service) {
            Some(service) => Some(Self::Messages(service)),
            None if name == "auto" => Some(Self::Auto),
            None => LogFormat::named(name).map(Self::Of),
        }
    }

    /// All names, for an error.
    pub fn names() -> String {
        format!("{}, auto, a service ({}), or the text of a log_format", LogFormat::NAMES.join(", "), SERVICES.join(", "))
    }
}

/// The parsers of the running agent, one for each format that came up; they remember what lines before said.
#[derive(Debug)]
pub(super) struct Readers {
    format: LineFormat,
    open: Vec<(LogFormat, Reader)>,
}

impl Readers {
    pub(super) fn new(format: LineFormat) -> Self {
        Self { format, open: Vec::new() }
    }

    /// Which format a line was read as, and what it says.
    pub(super) fn read(&mut self, line: &[u8]) -> (LogFormat, Heard<LogRecord>) {
        let format = match &self.format {
            LineFormat::Of(format) => format.clone(),
            LineFormat::Messages(_) => LogFormat::Auth,
            LineFormat::Auto => looks_like(line),
        };
        let heard = self.parse(&format, line);
        if let (LineFormat::Messages(service), Heard::Unknown | Heard::Known) = (&self.format, &heard) {
            let framed = [format!("{} - {service}[1]: ", chrono::Utc::now().to_rfc3339()).as_bytes(), line].concat();
            return (format.clone(), self.parse(&format, &framed));
        }
        (format, heard)
    }

    fn parse(&mut self, format: &LogFormat, line: &[u8]) -> Heard<LogRecord> {
        let place = self.open.iter().position(|(known, _)| known == format).unwrap_or_else(|| {
            let mut reader = LogParser.open(format);
            LogParser.clock(&mut reader, chrono::Local::now().offset().local_minus_utc());
            self.open.push((format.clone(), reader));
            self.open.len() - 1
        });
        match self.open.get_mut(place) {
            Some((_, reader)) => LogParser.parse(reader, line),
            None => Heard::Unknown,
        }
    }
}

/// By how a line begins: each format has a beginning of its own.
fn looks_like(line: &[u8]) -> LogFormat {
    let head = line.get(..4096).unwrap_or(line);
    let has = |word: &str| head.windows(word.len()).any(|part| part == word.as_bytes());
    let digits = |from: usize, to: usize| line.get(from..to).is_some_and(|part| part.iter().all(u8::is_ascii_digit));
    // `[28/Nov/2026`: no other log has such a stamp.
    let is_stamp = |part: &[u8]| matches!(part, [b'[', b'0'..=b'9', b'0'..=b'9', b'/']);
    match line {
        [b'{', ..] if has("\"__REALTIME_TIMESTAMP\"") || has("\"MESSAGE\"") => LogFormat::Journal,
        [b'{', ..] if has("\"log\"") && has("\"stream\"") => LogFormat::Docker,
        [b'{', ..] => LogFormat::Access(None),
        [b't' | b'n', ..] if has("msg=audit(") => LogFormat::Audit,
        [b'[', _, _, _, b' ', ..] if has("] [") => LogFormat::ApacheError,
        [_, _, _, _, b'/', ..] if digits(0, 4) => LogFormat::NginxError,
        [_, _, _, _, b'-', ..] if digits(0, 4) => LogFormat::Auth,
        [a, b, c, b' ', ..] if [a, b, c].iter().all(|letter| letter.is_ascii_alphabetic()) => LogFormat::Auth,
        _ if head.windows(4).any(is_stamp) => LogFormat::Access(None),
        _ => LogFormat::Auth,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_recognised_by_how_it_begins() {
        for (line, format) in [
            ("Nov 28 09:00:00 h sshd[7]: Invalid user \"x [/\" from 192.0.2.1 port 5", LogFormat::Auth),
            ("Nov 28 09:00:00 h sshd[7]: Invalid user [28/Nov/2026 from 192.0.2.1 port 5", LogFormat::Auth),
            ("2026-11-28T09:00:00+01:00 h sudo: bob : TTY=pts/0", LogFormat::Auth),
            (r#"{"__REALTIME_TIMESTAMP":"1","MESSAGE":"x"}"#, LogFormat::Journal),
            (r#"{"log":"x\n","stream":"stdout"}"#, LogFormat::Docker),
            (r#"{"remote_addr":"192.0.2.1","status":200}"#, LogFormat::Access(None)),
            (r#"192.0.2.1 - - [28/Nov/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 5"#, LogFormat::Access(None)),
            ("2026/11/28 10:00:00 [error] 7#7: *1 x", LogFormat::NginxError),
            ("[Sat Nov 28 10:00:00.1 2026] [core:error] [pid 7] x", LogFormat::ApacheError),
            ("type=USER_AUTH msg=audit(1.2:3): pid=1", LogFormat::Audit),
            ("", LogFormat::Auth),
        ] {
            assert_eq!(looks_like(line.as_bytes()), format, "{line}");
        }
    }

    #[test]
    fn a_bare_message_of_a_service_is_read_and_a_name_that_nobody_knows_is_refused() {
        let mut readers = Readers::new(LineFormat::named("sshd").unwrap());
        let (_, heard) = readers.read(b"Failed password for root from 192.0.2.1 port 5 ssh2");
        assert!(matches!(heard, Heard::Record(LogRecord::Auth(record)) if record.attempts == 1));
        assert_eq!(LineFormat::named("nonsense"), None);
        assert!(LineFormat::names().contains("auditd"));
    }
}
