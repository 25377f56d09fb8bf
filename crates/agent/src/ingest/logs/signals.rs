//! A finding about a line becomes an event, which holds the line as evidence, and a signal that rests on it.

use std::net::IpAddr;

use bartizan_detect::detectors::logins::{Finding, Fold};
use bartizan_logs::{Method, Record, What};
use bartizan_model::{
    Confidence, Entity, Event, EventId, EventKind, HostText, LogLine, Login, Severity, Signal, SignalId, Source, Technique, Timestamp,
};

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
}

/// Whether it is one of many that go into an attack which has its alert already.
pub(super) fn is_one_of_many(finding: &Finding) -> bool {
    matches!(finding.fold, Fold::Joins(_))
}

/// The attack that a finding belongs to.
pub(super) fn campaign(finding: &Finding) -> Option<u64> {
    match finding.fold {
        Fold::Alone => None,
        Fold::Opens(number) | Fold::Worsens(number) | Fold::Joins(number) => Some(number),
    }
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
    Told { at, kind, entered: record.address.filter(|_| is_in), account, finding }
}

impl Told {
    /// The account that was let in, from where and when.
    pub(super) fn login(&self) -> Option<(&HostText, IpAddr, Timestamp)> {
        Some((self.account.as_ref()?, self.entered?, self.at))
    }

    /// The event of this number, and the signal that rests on it with the attack that it is part of.
    pub(super) fn numbered(self, id: EventId) -> (Event, Option<(Signal, Option<u64>)>) {
        let Self { at, kind, entered, account: _, finding } = self;
        let event = Event { id, at, kind, process: None, source: Source::Logs, complete: true };
        let signal = finding.map(|finding| {
            let campaign = campaign(&finding);
            let mut entities: Vec<Entity> = campaign.map(Entity::Campaign).into_iter().collect();
            // Who was let in is in the story too, though nothing was done that could be acted on.
            entities.extend(finding.hostile.or(entered).map(|address| Entity::Address(address.to_canonical())));
            // A user does many harmless things; only what is grave by itself joins over the user.
            let grave = finding.user.clone().filter(|user| finding.severity >= Severity::High && !user.is_empty());
            entities.extend(grave.map(Entity::User));
            (signal(id, at, entities, finding), campaign)
        });
        (event, signal)
    }
}

fn signal(event: EventId, at: Timestamp, entities: Vec<Entity>, finding: Finding) -> Signal {
    let info = finding.info;
    Signal {
        id: SignalId { event, ordinal: 0 },
        at,
        detector: info.name.to_owned(),
        technique: info.technique.iter().map(|id| Technique::new(id)).collect(),
        severity: finding.severity,
        confidence: Confidence::new(info.confidence),
        tier: info.tier,
        family: info.family,
        stage: info.stage,
        events: vec![event],
        entities,
        subject: None,
        act: None,
        hostile: finding.hostile.map(|address| address.to_canonical()),
        sentence: finding.sentence,
        complete: true,
    }
}
