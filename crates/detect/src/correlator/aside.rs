//! Excepted signals beside the incidents: shown with the one that they would have joined, and never counted.

use std::collections::VecDeque;

use super::record::Record;
use super::{Correlator, joint, within};
use bartizan_model::{Incident, Signal};

/// Excepted signals shown with one incident; the rest is a number.
pub(super) const MAX_SHOWN: usize = 20;
/// Excepted signals kept in case an incident begins beside them.
const MAX_ASIDE: usize = 256;

/// Excepted signals that no incident was there for, oldest first.
#[derive(Debug, Default)]
pub(super) struct Aside(VecDeque<Signal>);

impl Aside {
    fn keep(&mut self, signal: Signal) {
        if self.0.len() >= MAX_ASIDE {
            self.0.pop_front();
        }
        self.0.push_back(signal);
    }

    /// Gives a new incident those that share something with it.
    pub(super) fn join(&mut self, record: &mut Record, window: chrono::TimeDelta) {
        let shared: Vec<_> = record.joinable().filter_map(joint).collect();
        let opened = record.incident.clone();
        let mut rest = VecDeque::with_capacity(self.0.len());
        for signal in self.0.drain(..) {
            let is_kin = within(&opened, signal.at, window) && signal.entities.iter().filter_map(joint).any(|one| shared.contains(&one));
            if is_kin { record.except(signal) } else { rest.push_back(signal) }
        }
        self.0 = rest;
    }
}

impl Correlator {
    /// Takes note of a signal that a person excepted. It opens no incident, ties none together and changes no score: the oldest
    /// one that it would have joined says that it was there, and is given.
    pub fn set_aside(&mut self, signal: Signal) -> Option<Incident> {
        let Some(record) = self.kin(&signal).first().and_then(|id| self.records.get_mut(id)) else {
            self.aside.keep(signal);
            return None;
        };
        record.except(signal);
        Some(record.incident.clone())
    }
}

impl Record {
    fn except(&mut self, signal: Signal) {
        self.incident.excepted = self.incident.excepted.saturating_add(1);
        if self.excepted.len() >= MAX_SHOWN {
            self.excepted.pop_front();
        }
        self.excepted.push_back(signal);
    }
}

/// What was excepted of an incident, a sentence each.
pub(super) fn told(record: &Record) -> Vec<String> {
    let line = |signal: &Signal| {
        let by = signal.excepted.map(|id| format!(" by {id}")).unwrap_or_default();
        format!("{} {}: {} [excepted{by}: it counts for nothing]", signal.at.format("%H:%M:%S"), signal.detector, signal.sentence)
    };
    let mut out: Vec<String> = record.excepted.iter().map(line).collect();
    let more = record.incident.excepted.saturating_sub(out.len() as u64);
    if more > 0 {
        out.push(format!("and {more} more excepted signals: `bartizan signals` lists them"));
    }
    out
}
