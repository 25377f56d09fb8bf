//! Jails taken over from fail2ban, run by the child beside our own parsers: which of them a line matches, and whom it names.
//!
//! A filter takes any word of a line for an address, also one that a client wrote. So where our own parser read the line and names
//! another address, or none, the match does not count.

use std::collections::BTreeMap;

use bartizan_fail2ban::{Filter, FilterSpec, Line};
use bartizan_logs::{Context, Format, MAX_NAME, Origin, Parsed, parse};
use bartizan_model::{HostText, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::net::IpAddr;

use super::format::LogFormat;
use super::records::LogRecord;

/// Matches that one line may have.
pub(super) const MAX_MATCHES: usize = 8;
/// Bytes of a jail's name.
const MAX_JAIL: usize = 64;
/// What the jails of one log may take as they are handed over, in bytes: less than a packet.
const MAX_HANDED: usize = 64 << 10;
/// Characters kept of an expression that is named.
const SHOWN: usize = 120;

/// A jail's filter, as it is handed to the child.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JailFilter {
    /// The jail's name, at most 64 bytes.
    pub jail: String,
    /// What is a failure.
    pub spec: FilterSpec,
}

/// A log that jails read, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jailed {
    /// How our own parser reads it; `None` where we have none for it.
    pub own: Option<LogFormat>,
    /// What our own parser reads is taken; else another log has the same lines, and it only says what of a match can be believed.
    pub counts: bool,
    /// The jails.
    pub jails: Vec<JailFilter>,
}

impl Jailed {
    /// Leaves out jails that are too much to be handed over together; their names.
    pub fn bounded(mut self) -> (Self, Vec<String>) {
        let (mut taken, mut left) = (0, Vec::new());
        self.jails.retain(|jail| {
            let length = postcard::to_stdvec(jail).map_or(MAX_HANDED, |bytes| bytes.len());
            let fits = taken + length < MAX_HANDED;
            if fits {
                taken += length
            } else {
                left.push(jail.jail.clone())
            }
            fits
        });
        (self, left)
    }
}

/// A line that is a failure by the filter of a jail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JailMatch {
    /// The jail.
    pub jail: String,
    /// Who failed.
    pub address: IpAddr,
    /// The account.
    pub user: Option<HostText>,
    /// When, if the line or one before it says so.
    pub at: Option<Timestamp>,
    /// Nobody but the service can have written it, as far as the transport shows: the address may be acted on.
    pub trusted: bool,
    /// Our own parser counts this line, here or in another log.
    pub counted: bool,
}

impl JailMatch {
    /// Whether every field is within its bounds.
    pub(super) fn holds(&self) -> bool {
        let user = self.user.as_ref().map_or(0, |user| user.as_bytes().len());
        (1..=MAX_JAIL).contains(&self.jail.len()) && user <= MAX_NAME
    }
}

/// The jails of one log at work.
#[derive(Debug)]
pub struct Jails {
    all: Vec<Jail>,
    journal: bool,
    zone: i32,
    now: Timestamp,
    notes: Vec<String>,
}

#[derive(Debug)]
struct Jail {
    name: String,
    filter: Filter,
    wanted: Wanted,
    /// Expressions that were named as too slow.
    named: usize,
}

impl Jails {
    pub(super) fn open(jailed: &Jailed) -> Self {
        let (mut all, mut notes) = (Vec::new(), Vec::new());
        for jail in &jailed.jails {
            match Filter::new(&jail.spec) {
                (Some(filter), _) => {
                    let wanted = Wanted::parse(&jail.spec.journalmatch);
                    all.push(Jail { name: jail.jail.clone(), filter, wanted, named: 0 });
                }
                (None, problems) => {
                    let why = problems.first().map(ToString::to_string).unwrap_or_default();
                    notes.push(format!("jail {} does not run: {why}", jail.jail));
                }
            }
        }
        let journal = jailed.own == Some(LogFormat::Journal);
        Self { all, journal, zone: 0, now: chrono::Utc::now(), notes }
    }

    pub(super) fn clock(&mut self, zone: i32) {
        (self.zone, self.now) = (zone, chrono::Utc::now());
    }

    /// What is to be told of the jails that was not told yet.
    pub(super) fn notes(&mut self) -> Vec<String> {
        for jail in &mut self.all {
            let off: Vec<&str> = jail.filter.switched_off().collect();
            for expression in off.get(jail.named..).unwrap_or_default() {
                let shown: String = expression.chars().take(SHOWN).collect();
                self.notes.push(format!("jail {}: an expression takes too long and is run no more: {shown}", jail.name));
            }
            jail.named = off.len();
        }
        std::mem::take(&mut self.notes)
    }

    /// The jails that a line matches; `own` is what our own parser says of it.
    pub(super) fn read(&mut self, line: &[u8], own: Option<&LogRecord>) -> Vec<JailMatch> {
        let entry = if self.journal { Some(Entry::read(line)) } else { None };
        let text = String::from_utf8_lossy(line);
        let (text, at) = match &entry {
            Some(None) => return Vec::new(),
            Some(Some(entry)) => (entry.line().into(), entry.at()),
            None => (text, None),
        };
        let (now, zone) = (self.now, self.zone);
        let mut found = Vec::new();
        for jail in &mut self.all {
            let trusted = match &entry {
                Some(Some(entry)) => jail.wanted.fits(entry),
                // Of a file it is known once the line matches.
                _ => Some(false),
            };
            let Some(trusted) = trusted else { continue };
            // A line that is too long for the expressions is none of theirs.
            let Ok(Some(failure)) = jail.filter.line(Line { text: &text, at, now, zone }) else { continue };
            let Some(address) = failure.address.filter(|address| agrees(own, *address)) else { continue };
            let trusted = trusted || entry.is_none() && (own.is_some() || !is_of_syslog(line, now));
            if found.len() < MAX_MATCHES {
                let user = failure.user.filter(|user| !user.is_empty());
                let user = user.map(|user| HostText::from(user.as_bytes().get(..MAX_NAME).unwrap_or(user.as_bytes())));
                found.push(JailMatch { jail: jail.name.clone(), address, user, at: failure.at, trusted, counted: counts(own) });
            }
        }
        found
    }
}

/// Whether a line of a file came by way of syslog(3), which takes lines from any local user: our own parsers hold theirs against what the
/// daemon writes, a filter does not.
fn is_of_syslog(line: &[u8], now: Timestamp) -> bool {
    !matches!(parse(Format::Auth, line, &mut Context::new(now, 0)), Parsed::Unparsed | Parsed::TooLong)
}

/// Whether our own parser, where it read the line, names this address, too.
fn agrees(own: Option<&LogRecord>, address: IpAddr) -> bool {
    let named = match own {
        None | Some(LogRecord::Jails(_)) => return true,
        Some(LogRecord::Auth(record)) if record.origin == Origin::Forged => return false,
        Some(LogRecord::Auth(record)) => record.address,
        Some(LogRecord::Request(request)) => request.peer,
        Some(LogRecord::Trouble(trouble)) => trouble.client,
    };
    named.is_some_and(|named| named.to_canonical() == address.to_canonical())
}

fn counts(own: Option<&LogRecord>) -> bool {
    match own {
        None | Some(LogRecord::Jails(_)) => false,
        Some(LogRecord::Auth(record)) => record.attempts > 0,
        Some(LogRecord::Request(_) | LogRecord::Trouble(_)) => true,
    }
}

/// An entry of the journal, as `journalctl --output=json` writes it.
struct Entry(BTreeMap<String, Value>);

impl Entry {
    fn read(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok().map(Self)
    }

    fn text(&self, field: &str) -> Option<String> {
        match self.0.get(field)? {
            Value::String(text) => Some(text.clone()),
            // What is no UTF-8 comes as numbers (systemd.journal-fields(7), journalctl(1)).
            Value::Array(bytes) => {
                let bytes: Option<Vec<u8>> = bytes.iter().map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok())).collect();
                Some(String::from_utf8_lossy(&bytes?).into_owned())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
        }
    }

    /// The line that fail2ban makes of it: host, program with its process, message (server/filtersystemd.py, formatJournalEntry).
    fn line(&self) -> String {
        let mut parts: Vec<String> = self.text("_HOSTNAME").into_iter().collect();
        if let Some(program) = self.text("SYSLOG_IDENTIFIER").or_else(|| self.text("_COMM")) {
            let pid = self.text("SYSLOG_PID").or_else(|| self.text("_PID")).map(|pid| format!("[{pid}]")).unwrap_or_default();
            parts.push(format!("{program}{pid}:"));
        }
        parts.extend(self.text("MESSAGE"));
        parts.join(" ")
    }

    fn at(&self) -> Option<Timestamp> {
        let field = self.text("_SOURCE_REALTIME_TIMESTAMP").or_else(|| self.text("__REALTIME_TIMESTAMP"))?;
        Timestamp::from_timestamp_micros(field.parse().ok()?)
    }

    fn is_of_a_container(&self) -> bool {
        ["CONTAINER_ID", "CONTAINER_ID_FULL", "CONTAINER_NAME"].iter().any(|field| self.0.contains_key(*field))
    }
}

/// What a jail asks the journal for (journalctl(1)): equal fields are alternatives, others must fit together, `+` begins another set.
#[derive(Debug)]
struct Wanted(Vec<BTreeMap<String, Vec<String>>>);

impl Wanted {
    fn parse(lines: &[String]) -> Self {
        let mut sets = Vec::new();
        for line in lines {
            for set in line.split_whitespace().collect::<Vec<_>>().split(|word| *word == "+") {
                let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
                for (field, value) in set.iter().filter_map(|word| word.trim_matches(['\'', '"']).split_once('=')) {
                    fields.entry(field.to_owned()).or_default().push(value.to_owned());
                }
                sets.extend(Some(fields).filter(|fields| !fields.is_empty()));
            }
        }
        Self(sets)
    }

    /// Whether an entry is one of these, and whether journald itself vouches for that: fields that begin with `_` no sender can set.
    fn fits(&self, entry: &Entry) -> Option<bool> {
        let fits = |set: &&BTreeMap<String, Vec<String>>| {
            set.iter().all(|(field, values)| entry.text(field).is_some_and(|text| values.contains(&text)))
        };
        let vouched = |set: &BTreeMap<String, Vec<String>>| set.keys().any(|field| field.starts_with('_')) && !entry.is_of_a_container();
        let mut found = self.0.iter().filter(fits).map(vouched).peekable();
        match found.peek() {
            Some(_) => Some(found.any(|vouched| vouched)),
            None => self.0.is_empty().then_some(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jails(own: Option<LogFormat>, failregex: &str, journalmatch: &[&str]) -> Jails {
        let spec = FilterSpec {
            name: "shop".to_owned(),
            failregex: vec![failregex.to_owned()],
            maxlines: 1,
            journalmatch: journalmatch.iter().map(|text| (*text).to_owned()).collect(),
            ..FilterSpec::default()
        };
        Jails::open(&Jailed { own, counts: true, jails: vec![JailFilter { jail: "shop".to_owned(), spec }] })
    }

    #[test]
    fn of_a_file_a_jail_trusts_no_line_that_any_local_user_may_have_sent_to_syslog() {
        let trusted = |line: &str| {
            let mut jails = jails(None, r"refused <HOST>$", &[]);
            jails.read(line.as_bytes(), None).first().map(|one| one.trusted)
        };
        assert_eq!(trusted("2026-11-28 12:00:00,120 WARNING shop refused 192.0.2.9"), Some(true), "a log of the application's own");
        assert_eq!(trusted("Nov 28 12:00:00 box shopd[7]: refused 192.0.2.9"), Some(false), "logger -t shopd");
        assert_eq!(trusted("2026-11-28T12:00:00.1+00:00 box shopd: refused 192.0.2.9"), Some(false));
    }

    #[test]
    fn of_the_journal_a_jail_sees_what_it_asks_for_and_trusts_what_journald_vouches_for() {
        let entry = |more: &str| format!(r#"{{"MESSAGE":"refused 192.0.2.9","_HOSTNAME":"box","_PID":"7",{more}}}"#);
        let unit = r#""SYSLOG_IDENTIFIER":"shopd","_SYSTEMD_UNIT":"shop.service","__REALTIME_TIMESTAMP":"1764324910000001""#;
        let forged = r#""SYSLOG_IDENTIFIER":"shopd","_SYSTEMD_UNIT":"user.slice","_UID":"1000""#;
        let contained = r#""SYSLOG_IDENTIFIER":"shopd","_SYSTEMD_UNIT":"shop.service","CONTAINER_NAME":"x""#;
        let trusted = |asked: &[&str], more: &str| {
            let mut jails = jails(Some(LogFormat::Journal), r"^box shopd\[7\]: refused <HOST>$", asked);
            jails.read(entry(more).as_bytes(), None).first().map(|one| one.trusted)
        };
        let asked = ["_SYSTEMD_UNIT=other.service + _SYSTEMD_UNIT=shop.service"];
        assert_eq!([unit, forged, contained].map(|more| trusted(&asked, more)), [Some(true), None, Some(false)]);
        assert_eq!([unit, forged].map(|more| trusted(&["SYSLOG_IDENTIFIER=shopd"], more)), [Some(false), Some(false)]);
        assert_eq!(trusted(&["_SYSTEMD_UNIT=shop.service SYSLOG_IDENTIFIER=a SYSLOG_IDENTIFIER=shopd"], unit), Some(true));
        assert_eq!(trusted(&["_SYSTEMD_UNIT=shop.service SYSLOG_IDENTIFIER=a"], unit), None);
        let mut jails = jails(Some(LogFormat::Journal), "refused <HOST>$", &asked);
        let found = jails.read(entry(unit).as_bytes(), None).remove(0);
        assert_eq!(found.at.map(|at| at.timestamp()), Some(1_764_324_910));
        assert_eq!(jails.read(b"no entry", None), []);
    }

    #[test]
    fn an_expression_that_takes_too_long_is_named_once_and_a_filter_that_does_not_run_too() {
        let mut evil = jails(None, r"^(?:(?:a+)+(?!x))+$ <HOST>", &[]);
        let line = format!("{}!", "a".repeat(4000));
        (0..4).for_each(|_| assert_eq!(evil.read(line.as_bytes(), None), []));
        let notes = evil.notes();
        assert!(notes.len() == 1 && notes[0].starts_with("jail shop: an expression takes too long"), "{notes:?}");
        assert!(evil.notes().is_empty());
        assert!(jails(None, "^(<HOST>", &[]).notes()[0].starts_with("jail shop does not run: "));
    }
}
