//! What a detector of log lines found, and which attack it belongs to.

use std::net::IpAddr;

use bartizan_logs::Origin;
use bartizan_model::{Act, Confidence, Entity, EventId, HostText, Severity, Signal, SignalId, Technique, Timestamp};

use super::super::Info;

/// How a finding is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    /// By itself.
    Alone,
    /// It opens the attack of this number: one alert.
    Opens(u64),
    /// It belongs to the attack of this number and is graver than all that was told of it: once more an alert.
    Worsens(u64),
    /// It belongs to the attack of this number, which has its alert already: the counts grow, no other alert.
    Joins(u64),
}

/// What a detector says.
#[derive(Debug)]
pub(in super::super) struct Said {
    pub(in super::super) sentence: String,
    pub(in super::super) severity: Option<Severity>,
    /// The address did something here itself.
    pub(in super::super) hostile: Option<IpAddr>,
}

impl Said {
    pub(in super::super) fn new(sentence: String) -> Self {
        Self { sentence, severity: None, hostile: None }
    }

    /// And this address did it.
    pub(in super::super) fn by(mut self, address: Option<IpAddr>) -> Self {
        self.hostile = address;
        self
    }

    /// As grave as this.
    pub(in super::super) fn rated(mut self, severity: Severity) -> Self {
        self.severity = Some(severity);
        self
    }
}

/// What a detector of log lines found.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Which detector.
    pub info: &'static Info,
    /// How it is told.
    pub fold: Fold,
    /// How bad, if true.
    pub severity: Severity,
    /// One plain sentence, without a full stop. Safe to show.
    pub sentence: String,
    /// The line's own time.
    pub at: Option<Timestamp>,
    /// The account.
    pub user: Option<HostText>,
    /// An address that may be acted on: what it did itself was written by a daemon or server. Never set from a forged line.
    pub hostile: Option<IpAddr>,
    /// The address that the server or daemon named: by it the finding joins others. Only `hostile` may be acted on.
    pub address: Option<IpAddr>,
    /// Failed attempts or attack requests of the source, as far as they are remembered.
    pub attempts: u32,
    /// How often the source was reported, each time for what was new: who goes on or comes back is held longer.
    pub strikes: u8,
    /// How far the line can be believed.
    pub origin: Origin,
    /// What else it is about: a process tree that changed behind a request.
    pub entities: Vec<Entity>,
    /// The act that it is about, where a sensor saw it, too: then both are one piece of evidence.
    pub act: Option<Act>,
}

/// What a finding takes over from the line and from its source.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct About<'a> {
    pub(in super::super) at: Option<Timestamp>,
    pub(in super::super) user: Option<&'a [u8]>,
    pub(in super::super) address: Option<IpAddr>,
    pub(in super::super) origin: Origin,
    pub(in super::super) attempts: u32,
    pub(in super::super) strikes: u8,
}

impl Finding {
    pub(in super::super) fn new(info: &'static Info, said: Said, about: About<'_>, fold: Fold) -> Self {
        let proven = about.origin != Origin::Forged;
        Self {
            info,
            fold,
            severity: said.severity.unwrap_or(info.severity),
            sentence: said.sentence,
            at: about.at,
            user: about.user.map(HostText::from),
            hostile: said.hostile.filter(|_| proven),
            address: about.address.filter(|_| proven),
            attempts: about.attempts,
            strikes: about.strikes,
            origin: about.origin,
            entities: Vec::new(),
            act: None,
        }
    }
}

impl Finding {
    /// The campaign that it belongs to.
    pub fn campaign(&self) -> Option<u64> {
        match self.fold {
            Fold::Alone => None,
            Fold::Opens(number) | Fold::Worsens(number) | Fold::Joins(number) => Some(number),
        }
    }

    /// What the correlator takes of it; it rests on this event, and happened then.
    pub fn signal(&self, event: EventId, at: Timestamp) -> Signal {
        let info = self.info;
        let mut entities: Vec<Entity> = self.campaign().map(Entity::Campaign).into_iter().collect();
        entities.extend(self.entities.iter().cloned());
        // By itself it is about one address. In a campaign only whoever did enough stands for it: the others are many.
        let address = self.hostile.or(self.address.filter(|_| self.fold == Fold::Alone));
        entities.extend(address.map(|address| Entity::Address(address.to_canonical())));
        // A user does many harmless things; only what is grave by itself joins over the user.
        let grave = self.user.clone().filter(|user| self.severity >= Severity::High && !user.is_empty());
        entities.extend(grave.map(Entity::User));
        Signal {
            id: SignalId { event, ordinal: 0 },
            at,
            detector: info.name.to_owned(),
            technique: info.technique.iter().map(|id| Technique::new(id)).collect(),
            severity: self.severity,
            confidence: Confidence::new(info.confidence),
            tier: info.tier,
            family: info.family,
            stage: info.stage,
            events: vec![event],
            entities,
            subject: None,
            act: self.act,
            hostile: self.hostile.map(|address| address.to_canonical()),
            sentence: self.sentence.clone(),
            complete: true,
            excepted: None,
        }
    }
}

/// A name as a sentence holds it: escaped, and at most 64 characters.
pub(in super::super) fn shown(name: Option<&[u8]>) -> String {
    let name = name.unwrap_or_default();
    if name.is_empty() {
        return "an empty name".to_owned();
    }
    super::super::kinship::clip(&HostText::from(name).escaped(), 64)
}
