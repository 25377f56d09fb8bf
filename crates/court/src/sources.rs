//! What the host knows of an address that attacks from outside, besides the evidence: who tells it to the court, and in which words.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use bartizan_model::Timestamp;

/// How an address was held before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    /// Former holds within the time that was asked for, those that could not be begun left out.
    pub holds: u32,
    /// When the last of them ended.
    pub ended: Option<Timestamp>,
    /// One of them, however long ago, was undone before its time: which, and by whom. Safe to show.
    pub undone: Option<String>,
}

/// What a jail that was taken over from fail2ban wants for an address that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JailTerms {
    /// Its name. Safe to show.
    pub jail: String,
    /// For how long the address is to be held the first time, at most a day.
    pub lasts: Duration,
}

/// What the host knows of hostile sources. Asked only about one that would be held.
pub trait Sources: fmt::Debug {
    /// How it was held before, since this moment.
    fn history(&self, addr: IpAddr, since: Timestamp) -> History;

    /// Who logged in from there within the last thirty days: "ann logged in from there on 2026-11-20". Safe to show.
    fn login(&self, addr: IpAddr) -> Option<String>;

    /// Who holds it already besides the agent: "fail2ban (table inet f2b-table)". Safe to show.
    fn held_elsewhere(&self, addr: IpAddr) -> Option<String>;

    /// Which jail that was taken over from fail2ban named it within the hour, last.
    fn jail(&self, _addr: IpAddr) -> Option<JailTerms> {
        None
    }

    /// A number from 0 to 1 that nobody outside can guess: how much of the most that a hold may be shorter this one is.
    fn jitter(&self) -> f64;
}

/// A host that knows nothing of anybody: recordings that are judged again.
#[derive(Debug, Clone, Copy, Default)]
pub struct NothingKnown;

impl Sources for NothingKnown {
    fn history(&self, _addr: IpAddr, _since: Timestamp) -> History {
        History::default()
    }

    fn login(&self, _addr: IpAddr) -> Option<String> {
        None
    }

    fn held_elsewhere(&self, _addr: IpAddr) -> Option<String> {
        None
    }

    fn jitter(&self) -> f64 {
        0.0
    }
}
