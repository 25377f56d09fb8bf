//! A finding about a line becomes an event, which holds the line as evidence, and a signal that rests on it.

use std::net::IpAddr;
use std::time::Duration;

use bartizan_detect::detectors::logins::{Finding, Fold};
use bartizan_logs::{Method, Record, What};
use bartizan_model::{Event, EventId, EventKind, HostText, LogLine, Login, Signal, Source, Timestamp, WebAttack};
use bartizan_worker::{JailMatch, LogRecord};

/// What a line leads to: a fact, and perhaps an opinion on it.
#[derive(Debug)]
pub(super) struct Told {
    at: Timestamp,
    kind: EventKind,
    /// From where somebody was let in.
    entered: Option<IpAddr>,
    /// The account whose own login it is: not that of sudo.
    account: Option<HostText>,
    finding: Option<Finding>,
    /// The jail of fail2ban that names the address, and for how long it wants it held.
    jail: Option<(String, Duration)>,
}

/// Whether it is one of many that go into an attack which has its alert already.
pub(super) fn is_one_of_many(finding: &Finding) -> bool {
    matches!(finding.fold, Fold::Joins(_))
}

/// The fact, with its line, and the finding.
pub(super) fn told(record: &Record<HostText>, finding: Option<Finding>, line: LogLine, at: Timestamp) -> Told {
    let auth = Login {
        service: record.service.noun().to_owned(),
        user: record.user.clone(),
        from: record.address,
        method: Some(record.method).filter(|method| *method != Method::Unknown).map(|method| method.noun().to_owned()),
        key: record.fingerprint.clone(),
        attempts: finding.as_ref().map_or(record.attempts, |finding| finding.attempts),
        line,
    };
    let is_in = matches!(record.what, What::LoginAccepted | What::PrivilegeUsed | What::SessionOpened);
    let kind = if is_in { EventKind::LoginAccepted { auth } } else { EventKind::LoginFailed { auth } };
    let account = record.user.clone().filter(|_| record.what == What::LoginAccepted);
    Told { at, kind, entered: record.address.filter(|_| is_in), account, finding, jail: None }
}

impl Told {
    /// The account that was let in, from where and when.
    pub(super) fn login(&self) -> Option<(&HostText, IpAddr, Timestamp)> {
        Some((self.account.as_ref()?, self.entered?, self.at))
    }

    /// Whom a jail names, which one, and for how long it wants the address held.
    pub(super) fn jailed(&self) -> Option<(IpAddr, &str, Duration)> {
        let (jail, lasts) = self.jail.as_ref()?;
        Some((self.finding.as_ref()?.hostile?, jail, *lasts))
    }

    /// As a line that anybody in a container may have written: its address may not be acted on, and a login in it protects nobody.
    pub(super) fn without_consequence(mut self) -> Self {
        if let Some(finding) = &mut self.finding {
            finding.hostile = None;
        }
        Self { account: None, ..self }
    }

    /// The event of this number, and the signal that rests on it with the attack that it is part of.
    pub(super) fn numbered(self, id: EventId) -> (Event, Option<(Signal, Option<u64>)>) {
        let Self { at, kind, entered: _, account: _, finding, jail: _ } = self;
        let event = Event { id, at, kind, process: None, source: Source::Logs, complete: true };
        let signal = finding.map(|finding| (finding.signal(id, at), finding.campaign()));
        (event, signal)
    }
}

/// The same for a line of a web server: what was asked for, and the finding about it.
pub(super) fn told_web(record: &LogRecord, finding: Finding, line: LogLine, at: Timestamp) -> Option<Told> {
    let (method, path, status, kinds) = match record {
        LogRecord::Request(request) => {
            let mut kinds: Vec<String> = request.attacks.iter().map(|attack| attack.family.name().to_owned()).collect();
            kinds.dedup();
            (Some(request.method.clone()), request.target.as_bytes(), request.status, kinds)
        }
        LogRecord::Trouble(trouble) => (None, trouble.path.as_ref().map(HostText::as_bytes).unwrap_or_default(), None, Vec::new()),
        LogRecord::Auth(_) | LogRecord::Jails(_) => return None,
    };
    let path = HostText::from(path.get(..WebAttack::LONGEST_PATH).unwrap_or(path));
    let web = WebAttack { client: finding.address, method, path, status, kinds, attempts: finding.attempts, line };
    Some(Told { at, kind: EventKind::WebAttack { web }, entered: None, account: None, finding: Some(finding), jail: None })
}

/// The same for a line that a jail of fail2ban took for a failure.
pub(super) fn told_jail(one: &JailMatch, web: bool, terms: (String, Duration), finding: Finding, line: LogLine, at: Timestamp) -> Told {
    let (jail, attempts) = (format!("jail {}", terms.0), finding.attempts);
    let kind = if web {
        let (client, path) = (Some(one.address), HostText::from(""));
        EventKind::WebAttack { web: WebAttack { client, method: None, path, status: None, kinds: vec![jail], attempts, line } }
    } else {
        let (user, from) = (one.user.clone(), Some(one.address));
        EventKind::LoginFailed { auth: Login { service: jail, user, from, method: None, key: None, attempts, line } }
    };
    Told { at, kind, entered: None, account: None, finding: Some(finding), jail: Some(terms) }
}
