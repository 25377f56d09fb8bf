//! What a login detector found, and which attack it belongs to.

use std::net::IpAddr;

use bartizan_logs::{Origin, Raw};
use bartizan_model::{HostText, Severity, Timestamp};

use super::super::Info;
use super::source::Source;

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
pub(super) struct Said {
    pub(super) sentence: String,
    pub(super) severity: Option<Severity>,
    /// The address did something here itself.
    pub(super) hostile: Option<IpAddr>,
}

impl Said {
    pub(super) fn new(sentence: String) -> Self {
        Self { sentence, severity: None, hostile: None }
    }

    /// And this address did it.
    pub(super) fn by(mut self, address: Option<IpAddr>) -> Self {
        self.hostile = address;
        self
    }

    /// As grave as this.
    pub(super) fn rated(mut self, severity: Severity) -> Self {
        self.severity = Some(severity);
        self
    }
}

/// What a login detector found.
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
    /// An address that may be acted on: its own failures were written by a daemon. Never set from a forged line.
    pub hostile: Option<IpAddr>,
    /// Failed attempts of the source, as far as they are remembered.
    pub attempts: u32,
    /// How often the source was reported, each time for new failures and at least `brute_force_within` after the last: who goes on or
    /// comes back is held longer.
    pub strikes: u8,
    /// How far the line can be believed.
    pub origin: Origin,
}

impl Finding {
    pub(super) fn new(info: &'static Info, said: Said, record: &Raw<'_>, source: Option<&Source>, fold: Fold) -> Self {
        Self {
            info,
            fold,
            severity: said.severity.unwrap_or(info.severity),
            sentence: said.sentence,
            at: record.at,
            user: record.user.map(HostText::from),
            hostile: said.hostile.filter(|_| record.origin != Origin::Forged),
            attempts: source.map_or(record.attempts, |source| source.total),
            strikes: source.map_or(0, |source| source.strikes),
            origin: record.origin,
        }
    }
}

/// A name as a sentence holds it: escaped, and at most 64 characters.
pub(super) fn shown(name: Option<&[u8]>) -> String {
    let name = name.unwrap_or_default();
    if name.is_empty() {
        return "an empty name".to_owned();
    }
    super::super::kinship::clip(&HostText::from(name).escaped(), 64)
}
