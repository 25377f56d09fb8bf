//! The parsers of `logs`, as the child runs them, and the record that goes back.

use serde::{Deserialize, Serialize};

use super::format::LogFormat;
use super::frame::Record;
use super::jails::{JailMatch, Jails, MAX_MATCHES};
use super::serve::{Heard, Parser};
use bartizan_fail2ban::FilterSpec;
use bartizan_logs::frame::docker::{Broken, unwrap as docker};
use bartizan_logs::web::error::{ErrorKind, NginxErrors, Rule, WebError, read_apache};
use bartizan_logs::web::{Access, AccessReader, Finding, Judge, MAX_FINDINGS};
use bartizan_logs::{Context, Format as AuthFormat, MAX_DETAIL, MAX_NAME, Parsed, parse};
use bartizan_model::{HostText, Timestamp};
use std::borrow::Cow;
use std::net::IpAddr;

/// Bytes kept of what a web client sent; what is longer is cut.
const MAX_TARGET: usize = 2048;
const MAX_WORD: usize = 256;

/// What one request to a web server was, as its access log has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebRequest {
    /// Whom the server talked to.
    pub peer: Option<IpAddr>,
    /// `X-Forwarded-For`: the client's word, until a configured proxy stands behind it.
    pub forwarded: HostText,
    /// The name that the client gave for HTTP authentication.
    pub user: HostText,
    /// When.
    pub at: Option<Timestamp>,
    /// `GET`.
    pub method: HostText,
    /// Path and query, as requested; at most 2 KiB.
    pub target: HostText,
    /// What the server answered.
    pub status: Option<u16>,
    /// Bytes of the answer.
    pub size: Option<u64>,
    /// The attacks in it: looked for in all of it, before anything was cut.
    pub attacks: Vec<Finding>,
    /// Where the client says it came from.
    pub referer: HostText,
    /// What the client says it is.
    pub agent: HostText,
    /// The host that was asked for.
    pub host: HostText,
}

/// What one line of a web server's error log says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebTrouble {
    /// When.
    pub at: Option<Timestamp>,
    /// Whom the server talked to.
    pub client: Option<IpAddr>,
    /// What happened.
    pub kind: ErrorKind,
    /// The account that the client named.
    pub user: Option<HostText>,
    /// The file or path that it is about.
    pub path: Option<HostText>,
    /// The number of ModSecurity's rule, and whether it stopped the request.
    pub rule: Option<(u32, bool)>,
}

impl WebRequest {
    /// The request as detectors take it, with [`attacks`](Self::attacks) beside it.
    pub fn access(&self) -> Access<'_> {
        Access {
            peer: self.peer,
            forwarded: lent(&self.forwarded),
            user: lent(&self.user),
            at: self.at,
            method: lent(&self.method),
            target: lent(&self.target),
            status: self.status,
            size: self.size,
            referer: lent(&self.referer),
            agent: lent(&self.agent),
            host: lent(&self.host),
            ..Access::default()
        }
    }
}

impl WebTrouble {
    /// The error as detectors take it.
    pub fn error(&self) -> WebError<'_> {
        WebError {
            at: self.at,
            client: self.client,
            kind: self.kind,
            user: self.user.as_ref().map(HostText::as_bytes),
            path: self.path.as_ref().map(HostText::as_bytes),
            rule: self.rule.map(|(id, denied)| Rule { id, message: &[], denied }),
            message: &[],
        }
    }
}

/// What one line says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogRecord {
    /// Logins, privileges, accounts, packets.
    Auth(Box<bartizan_logs::Record<HostText>>),
    /// A request.
    Request(Box<WebRequest>),
    /// An error of a web server.
    Trouble(Box<WebTrouble>),
    /// Failures by the filters of jails taken over from fail2ban: at least one, each of another jail.
    Jails(Vec<JailMatch>),
}

impl Record for LogRecord {
    fn holds(&self) -> bool {
        let within = |text: &HostText, most: usize| text.as_bytes().len() <= most;
        let all = |texts: &[(Option<&HostText>, usize)]| texts.iter().all(|(text, most)| text.is_none_or(|text| within(text, *most)));
        match self {
            Self::Auth(record) => {
                let names = [&record.user, &record.target, &record.host, &record.fingerprint].map(|name| (name.as_ref(), MAX_NAME));
                all(&names) && all(&[(record.detail.as_ref(), MAX_DETAIL)])
            }
            Self::Request(request) => {
                let words = [&request.forwarded, &request.user, &request.method, &request.referer, &request.agent, &request.host];
                let attacks = request.attacks.len() <= MAX_FINDINGS && request.attacks.iter().all(Finding::holds);
                attacks && within(&request.target, MAX_TARGET) && words.iter().all(|word| within(word, MAX_WORD))
            }
            Self::Trouble(trouble) => all(&[(trouble.user.as_ref(), MAX_WORD), (trouble.path.as_ref(), MAX_TARGET)]),
            Self::Jails(matches) => (1..=MAX_MATCHES).contains(&matches.len()) && matches.iter().all(JailMatch::holds),
        }
    }
}

/// What is remembered of the lines of one source.
#[derive(Debug)]
pub enum Reader {
    /// Logins and their kin.
    Auth(AuthFormat, Box<Context>),
    /// Lines of a container: requests in a usual format, or logins and their kin.
    Container(Box<Context>, Requests, Broken, Vec<u8>),
    /// Requests.
    Access(Requests),
    /// Errors of nginx; the zone that it was made for.
    NginxError(NginxErrors, i32),
    /// Errors of Apache, and the zone.
    ApacheError(i32),
    /// Jails, what our own parser remembers, and whether what it reads is taken.
    Jailed(Box<Jails>, Option<Box<Reader>>, bool),
}

/// Access lines of one source, and the judge of what they ask for.
#[derive(Debug)]
pub struct Requests {
    reader: AccessReader,
    judge: Judge,
}

impl Requests {
    fn of(reader: AccessReader) -> Self {
        Self { reader, judge: Judge::default() }
    }

    fn read(&mut self, line: &[u8]) -> Option<LogRecord> {
        let access = self.reader.read(line)?;
        let attacks = self.judge.judge(&access);
        Some(LogRecord::Request(Box::new(request(&access, attacks))))
    }
}

/// The parsers of `logs`.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogParser;

impl Parser for LogParser {
    type Source = LogFormat;
    type State = Reader;
    type Record = LogRecord;

    /// The first expression that is made asks for the number of processors (`regex`): a file is opened for it.
    fn warm_up(&mut self) {
        let _ = bartizan_fail2ban::Filter::new(&FilterSpec { failregex: vec!["^<HOST> (?!x)".to_owned()], ..FilterSpec::default() });
        let mut reader = self.open(&LogFormat::Access(None));
        let _ =
            self.parse(&mut reader, br#"- - - [28/Nov/2026:00:00:00 +0000] "GET /?q=<script>alert(1)</script> HTTP/1.1" 200 5 "-" "-""#);
    }

    fn open(&mut self, source: &LogFormat) -> Reader {
        let auth = |format| Reader::Auth(format, Box::new(Context::new(chrono::Utc::now(), 0)));
        match source {
            LogFormat::Auth => auth(AuthFormat::Auth),
            LogFormat::Journal => auth(AuthFormat::Journal),
            LogFormat::Docker => {
                let context = Box::new(Context::new(chrono::Utc::now(), 0));
                Reader::Container(context, Requests::of(AccessReader::guessing()), Broken::default(), Vec::new())
            }
            LogFormat::Audit => auth(AuthFormat::Audit),
            LogFormat::Access(None) => Reader::Access(Requests::of(AccessReader::guessing())),
            LogFormat::Access(Some(format)) => Reader::Access(Requests::of(AccessReader::of(format.clone()))),
            LogFormat::NginxError => Reader::NginxError(NginxErrors::new(0), 0),
            LogFormat::ApacheError => Reader::ApacheError(0),
            LogFormat::Jailed(jailed) => {
                let own = jailed.own.as_ref().map(|own| Box::new(self.open(own)));
                Reader::Jailed(Box::new(Jails::open(jailed)), own, jailed.counts)
            }
        }
    }

    fn clock(&mut self, state: &mut Reader, zone: i32) {
        match state {
            Reader::Auth(_, context) | Reader::Container(context, ..) => context.set_time(chrono::Utc::now(), zone),
            Reader::Access(_) => {}
            Reader::NginxError(_, known) if *known == zone => {}
            Reader::NginxError(errors, known) => (*errors, *known) = (NginxErrors::new(i64::from(zone)), zone),
            Reader::ApacheError(known) => *known = zone,
            Reader::Jailed(jails, own, _) => {
                jails.clock(zone);
                own.iter_mut().for_each(|own| self.clock(own, zone));
            }
        }
    }

    fn parse(&mut self, state: &mut Reader, line: &[u8]) -> Heard<LogRecord> {
        match state {
            Reader::Auth(format, context) => login(parse(*format, line, context)),
            Reader::Container(context, requests, broken, inner) => container(line, context, requests, broken, inner),
            Reader::Access(requests) => requests.read(line).map_or(Heard::Unknown, Heard::Record),
            Reader::NginxError(errors, _) => trouble(errors.read(line)),
            Reader::ApacheError(zone) => trouble(read_apache(line, i64::from(*zone))),
            Reader::Jailed(jails, own, takes) => {
                let heard = own.as_mut().map(|own| self.parse(own, line));
                jailed(jails, heard, *takes, line)
            }
        }
    }

    fn notes(&mut self, state: &mut Reader) -> Vec<String> {
        if let Reader::Jailed(jails, ..) = state { jails.notes() } else { Vec::new() }
    }
}

fn lent(text: &HostText) -> Cow<'_, [u8]> {
    Cow::Borrowed(text.as_bytes())
}

fn login(parsed: Parsed<'_>) -> Heard<LogRecord> {
    match parsed {
        Parsed::Record(record) => Heard::Record(LogRecord::Auth(Box::new(record.keep()))),
        Parsed::Other => Heard::Known,
        Parsed::Unparsed | Parsed::TooLong => Heard::Unknown,
    }
}

/// What our own parser says of a line, if it is to be taken, and what jails say.
fn jailed(jails: &mut Jails, own: Option<Heard<LogRecord>>, takes: bool, line: &[u8]) -> Heard<LogRecord> {
    let record = if let Some(Heard::Record(record)) = &own { Some(record) } else { None };
    let found = jails.read(line, record);
    match (own.filter(|_| takes), found.is_empty()) {
        (Some(heard), true) => heard,
        // Nobody can say of a line that no jail counts whether it should.
        (None, true) => Heard::Known,
        (Some(Heard::Record(record)), false) => Heard::Both(record, LogRecord::Jails(found)),
        (Some(Heard::Both(..) | Heard::Known | Heard::Unknown) | None, false) => Heard::Record(LogRecord::Jails(found)),
    }
}

/// A whole line of a container. What it writes is in no format that could be looked up, so a request is tried first.
fn container(line: &[u8], context: &mut Context, requests: &mut Requests, broken: &mut Broken, inner: &mut Vec<u8>) -> Heard<LogRecord> {
    if docker(line, broken, inner).is_none() {
        // The other reader must hear of the break too.
        return login(parse(AuthFormat::Docker, line, context));
    }
    match requests.read(inner) {
        Some(request) => Heard::Record(request),
        None => login(parse(AuthFormat::Docker, line, context)),
    }
}

fn cut(bytes: &[u8], most: usize) -> HostText {
    HostText::from(bytes.get(..most).unwrap_or(bytes))
}

fn request(access: &Access<'_>, attacks: Vec<Finding>) -> WebRequest {
    let asked = access.asked();
    WebRequest {
        peer: access.peer,
        forwarded: cut(&access.forwarded, MAX_WORD),
        user: cut(&access.user, MAX_WORD),
        at: access.at,
        method: cut(asked.method, MAX_WORD),
        target: cut(asked.target, MAX_TARGET),
        status: access.status,
        size: access.size,
        attacks,
        referer: cut(&access.referer, MAX_WORD),
        agent: cut(&access.agent, MAX_WORD),
        host: cut(&access.host, MAX_WORD),
    }
}

fn trouble(error: Option<WebError<'_>>) -> Heard<LogRecord> {
    let Some(error) = error else { return Heard::Unknown };
    if error.kind == ErrorKind::Other {
        return Heard::Known;
    }
    Heard::Record(LogRecord::Trouble(Box::new(WebTrouble {
        at: error.at,
        client: error.client,
        kind: error.kind,
        user: error.user.map(|user| cut(user, MAX_WORD)),
        path: error.path.map(|path| cut(path, MAX_TARGET)),
        rule: error.rule.map(|rule| (rule.id, rule.denied)),
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_judged_whole_and_what_is_said_of_it_is_believed_only_within_bounds() {
        let mut reader = LogParser.open(&LogFormat::Access(None));
        let line = format!(
            r#"203.0.113.9 - - [28/Nov/2026:10:00:00 +0000] "GET /a?pad={}&id=1%20UNION%20SELECT%20null,version()-- HTTP/1.1" 200 5 "-" "x""#,
            "a".repeat(4000)
        );
        let Heard::Record(LogRecord::Request(request)) = LogParser.parse(&mut reader, line.as_bytes()) else { panic!("no request") };
        assert_eq!((request.target.as_bytes().len(), request.size), (MAX_TARGET, Some(5)));
        assert!(!request.attacks.is_empty(), "what was cut off was judged before");
        let sent = postcard::to_stdvec(&LogRecord::Request(request.clone())).unwrap();
        let LogRecord::Request(got) = postcard::from_bytes(&sent).unwrap() else { panic!("no request") };
        assert_eq!(got, request);
        assert_eq!(got.access().peer, "203.0.113.9".parse().ok());
        assert!(LogRecord::Request(got.clone()).holds());
        for lie in [
            Finding { excerpt: HostText::from(&[b'x'; 4096][..]), ..got.attacks[0].clone() },
            Finding { why: "x".repeat(4096).into(), ..got.attacks[0].clone() },
        ] {
            let mut lying = got.clone();
            lying.attacks = vec![lie];
            assert!(!LogRecord::Request(lying).holds());
        }
        let mut lying = got.clone();
        lying.attacks = vec![got.attacks[0].clone(); MAX_FINDINGS + 1];
        assert!(!LogRecord::Request(lying).holds());
    }

    fn heard(source: &LogFormat, lines: &[&str]) -> Vec<Heard<LogRecord>> {
        let mut state = LogParser.open(source);
        lines.iter().map(|line| LogParser.parse(&mut state, line.as_bytes())).collect()
    }

    #[test]
    fn a_container_may_write_requests_and_logins_and_a_broken_line_is_neither() {
        let entry = |log: &str| format!(r#"{{"log":"{log}","stream":"stdout","time":"2026-11-28T10:00:00Z"}}"#);
        let request = r#"192.0.2.9 - - [28/Nov/2026:10:00:00 +0000] \"GET /a HTTP/1.1\" 200 5 \"-\" \"curl\""#;
        let login = "Nov 28 10:00:00 box sshd[7]: Failed password for root from 192.0.2.8 port 4242 ssh2";
        let lines = [
            entry(&format!(r"{request}\n")),
            entry(&format!(r"{login}\n")),
            entry("GET /long"),
            entry(&format!(r"{request}\n")),
            entry(&format!(r"{login}\n")),
            "no entry".to_owned(),
        ];
        let heard = heard(&LogFormat::Docker, &lines.each_ref().map(String::as_str));
        let what: Vec<&str> = heard
            .iter()
            .map(|heard| match heard {
                Heard::Record(LogRecord::Request(_)) => "request",
                Heard::Record(LogRecord::Auth(_)) => "login",
                Heard::Record(LogRecord::Trouble(_)) => "trouble",
                Heard::Record(LogRecord::Jails(_)) | Heard::Both(..) => "jail",
                Heard::Known => "known",
                Heard::Unknown => "unknown",
            })
            .collect();
        assert_eq!(what, ["request", "login", "unknown", "unknown", "login", "unknown"]);
    }

    #[test]
    fn a_packet_that_met_a_log_rule_is_read_from_the_journal() {
        let entry = |transport: &str| {
            format!(
                r#"{{"__CURSOR":"s=a","_TRANSPORT":"{transport}","_UID":"1000","SYSLOG_IDENTIFIER":"kernel","__REALTIME_TIMESTAMP":"1764324910000001",
                "MESSAGE":"bad: IN=eth0 OUT= MAC=00 SRC=198.51.100.7 DST=10.0.0.1 LEN=60 TOS=0x00 PROTO=TCP SPT=4242 DPT=23 SYN URGP=0"}}"#
            )
            .replace('\n', "")
        };
        for (transport, origin) in [("kernel", bartizan_logs::Origin::Proven), ("syslog", bartizan_logs::Origin::Forged)] {
            match heard(&LogFormat::Journal, &[&entry(transport)]).remove(0) {
                Heard::Record(LogRecord::Auth(record)) => {
                    assert_eq!((record.address, record.port, record.origin), ("198.51.100.7".parse().ok(), Some(4242), origin));
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
