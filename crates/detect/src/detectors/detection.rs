//! What every detector says of itself, and what it says of one event.

use std::net::IpAddr;

use bartizan_model::{Confidence, Entity, Event, EventId, Family, ProcessKey, Severity, Stage, Tier};

use super::DetectorContext;

/// What never changes about a detector; the reference in `docs/` is made from it.
#[derive(Debug, Clone, PartialEq)]
pub struct Info {
    /// Its stable name, as in JSON: `web_server_shell`.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// ATT&CK technique ids.
    pub technique: &'static [&'static str],
    /// Which kind of evidence it gives.
    pub family: Family,
    /// Where in a kill chain it stands.
    pub stage: Stage,
    /// How far it is trusted.
    pub tier: Tier,
    /// How bad, if true and nothing speaks against it.
    pub severity: Severity,
    /// How sure, 0 to 1, if nothing speaks against it.
    pub confidence: f64,
    /// What it means when it speaks.
    pub meaning: &'static str,
    /// Who else does this without harm.
    pub false_positives: &'static str,
    /// What the owner can do when it speaks in vain.
    pub quiet: &'static str,
}

/// What varies from event to event.
#[derive(Debug, Clone, PartialEq)]
pub struct Detection {
    /// One plain sentence, without a full stop. Safe to show.
    pub sentence: String,
    /// What it is about, beyond what follows from the process of the event.
    pub entities: Vec<Entity>,
    /// The process to act on, if one.
    pub subject: Option<ProcessKey>,
    /// Other than the detector's usual.
    pub severity: Option<Severity>,
    /// Other than the detector's usual.
    pub confidence: Option<Confidence>,
    /// Other than the detector's usual.
    pub technique: Option<&'static [&'static str]>,
    /// Other than the detector's usual.
    pub family: Option<Family>,
    /// Earlier events that it also rests on.
    pub events: Vec<EventId>,
    /// The process reads its commands from a socket: what it does from now on, it is told as it goes.
    pub told: bool,
    /// An address that did something here itself, and was not merely called.
    pub hostile: Option<IpAddr>,
}

impl Detection {
    /// The usual detection of a detector in these words.
    pub fn new(sentence: String) -> Self {
        Self {
            sentence,
            entities: Vec::new(),
            subject: None,
            severity: None,
            confidence: None,
            technique: None,
            family: None,
            events: Vec::new(),
            told: false,
            hostile: None,
        }
    }

    /// With this process to act on.
    pub fn on(mut self, subject: ProcessKey) -> Self {
        self.subject = Some(subject);
        self
    }

    /// Rated otherwise than usual.
    pub fn rated(mut self, severity: Severity, confidence: f64) -> Self {
        (self.severity, self.confidence) = (Some(severity), Some(Confidence::new(confidence)));
        self
    }

    /// About this, too.
    pub fn about(mut self, entity: Entity) -> Self {
        self.entities.push(entity);
        self
    }

    /// As another family of evidence than usual.
    pub fn family(mut self, family: Family) -> Self {
        self.family = Some(family);
        self
    }

    /// As another technique than usual.
    pub fn technique(mut self, technique: &'static [&'static str]) -> Self {
        self.technique = Some(technique);
        self
    }
}

/// One behaviour. It may remember, within bounds, but has no clock and does no I/O: the same events always give
/// the same detection.
pub trait Detector: Send {
    /// What it is.
    fn info(&self) -> &'static Info;

    /// What it thinks of an event.
    fn observe(&mut self, event: &Event, context: &DetectorContext<'_>) -> Option<Detection>;
}
