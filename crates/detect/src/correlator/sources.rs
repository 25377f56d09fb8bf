//! Addresses that attack an incident's host from outside, as its daemons recorded: what each did last. Bounded; the one that was
//! named longest ago makes room, and is counted.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bartizan_model::{HostileSource, Signal};

/// Sources kept of one incident: as many as one approval may block, and room for those that are held already.
pub(super) const MAX_SOURCES: usize = 1024;
/// Longest sentence kept of each, in characters.
const LONGEST: usize = 200;

/// The sources of one incident.
#[derive(Debug, Clone, Default)]
pub(super) struct Sources {
    all: BTreeMap<IpAddr, HostileSource>,
    dropped: u64,
}

impl Sources {
    /// Takes note of what a signal tells of one from outside; whether it tells of one.
    pub(super) fn add(&mut self, signal: &Signal) -> bool {
        let Some(addr) = signal.outsider() else { return false };
        let sentence = signal.sentence.chars().take(LONGEST).collect();
        self.keep(HostileSource { addr, family: signal.family, at: signal.at, sentence });
        true
    }

    pub(super) fn absorb(&mut self, other: Self) {
        self.dropped = self.dropped.saturating_add(other.dropped);
        other.all.into_values().for_each(|source| self.keep(source));
    }

    /// In the order of their addresses.
    pub(super) fn list(&self) -> Vec<HostileSource> {
        self.all.values().cloned().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// How many there was no room for.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    fn keep(&mut self, source: HostileSource) {
        if self.all.get(&source.addr).is_some_and(|known| known.at > source.at) {
            return;
        }
        if self.all.len() >= MAX_SOURCES && !self.all.contains_key(&source.addr) {
            let oldest = self.all.values().min_by_key(|known| known.at).map(|known| known.addr);
            oldest.and_then(|addr| self.all.remove(&addr));
            self.dropped += 1;
        }
        self.all.insert(source.addr, source);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bartizan_model::*;

    fn failed(addr: [u8; 4], second: i64) -> Signal {
        Signal {
            id: SignalId { event: EventId(1), ordinal: 0 },
            at: chrono::DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap(),
            detector: "login_brute_force".to_owned(),
            technique: vec![],
            severity: Severity::Medium,
            confidence: Confidence::new(0.8),
            tier: Tier::Stable,
            family: Family::Auth,
            stage: Stage::InitialAccess,
            events: vec![],
            entities: vec![],
            subject: None,
            act: None,
            hostile: Some(addr.into()),
            sentence: "it failed to log in".to_owned(),
            complete: true,
            excepted: None,
        }
    }

    #[test]
    fn a_flood_of_sources_is_bounded_and_the_newest_stay() {
        let mut sources = Sources::default();
        for n in 0..MAX_SOURCES as u32 + 76 {
            assert!(sources.add(&failed((0xCB00_0000 + n).to_be_bytes(), i64::from(n))));
        }
        assert_eq!((sources.list().len(), sources.dropped()), (MAX_SOURCES, 76));
        assert_eq!(sources.list()[0].addr, IpAddr::from([0xCB, 0, 0, 76]));
    }

    #[test]
    fn a_far_end_of_something_that_runs_here_is_no_source() {
        let shell =
            Signal { act: Some(Act { of: ProcessKey { boot: BootId(1), pid: 9, start: 1 }, told: true }), ..failed([203, 0, 113, 9], 0) };
        assert!(!Sources::default().add(&shell));
    }
}
