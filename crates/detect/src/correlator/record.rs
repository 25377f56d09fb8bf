//! One incident under observation: its signals, its evidence, what it shares with others.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;

use super::aside;
use super::campaign;
use super::evidence::Evidence;
use super::pieces;
use super::score::Scales;
use super::sources::Sources;
use super::story;
use bartizan_model::{Entity, Family, Incident, IncidentId, IncidentState, ProcessKey, Proof, Severity, Signal, Stage, Tier, Timestamp};

/// Signals kept with an incident; beyond it the weakest is dropped, and counted.
pub(super) const MAX_SIGNALS: usize = 256;
/// Entities of an incident by which others may join.
pub(super) const MAX_ENTITIES: usize = 256;
/// Hops named as lossy with an incident.
const MAX_HOPS: usize = 16;
/// Remote addresses of an incident.
pub(super) const MAX_ADDRESSES: usize = 256;

#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) incident: Incident,
    pub(super) signals: Vec<Signal>,
    pub(super) evidence: Evidence,
    /// The same from stable detectors alone.
    stable: Evidence,
    /// Who attacks from outside, by stable detectors.
    sources: Sources,
    /// Losses that touch it: hop and count.
    pub(super) lost: BTreeMap<String, u64>,
    /// Their numbers, so that none counts twice.
    known_losses: BTreeSet<u64>,
    /// By what others may join it.
    joinable: BTreeSet<Entity>,
    /// What an attack of many sources comes to, in place of its signals.
    pub(super) summary: Option<String>,
    /// The first signals that are excepted, as many as are shown: shown with it, and nothing more.
    pub(super) excepted: VecDeque<Signal>,
}

impl Record {
    /// An incident that begins with this signal.
    pub(super) fn open(id: IncidentId, signal: Signal, scales: &Scales) -> Self {
        let incident = Self::empty(id, signal.at, signal.severity);
        let mut record = Self::bare(incident);
        record.add(signal, scales);
        record
    }

    /// An incident from the store, with the signals that the store still has.
    pub(super) fn restored(incident: Incident, signals: Vec<Signal>, scales: &Scales) -> Self {
        let mut record = Self::bare(incident);
        let (count, complete, sentence) = (record.incident.signal_count, record.incident.complete, record.incident.sentence.clone());
        record.incident.signals.clear();
        record.incident.signal_count = 0;
        record.joinable.extend(record.incident.entities.iter().take(MAX_ENTITIES).cloned());
        let known = !signals.is_empty();
        for signal in signals {
            record.add(signal, scales);
        }
        record.incident.signal_count = count.max(record.incident.signal_count);
        record.incident.complete &= complete;
        record.summary = campaign::of(&record.incident.entities).map(|_| story::summary_in(&sentence, &record.signals));
        if known {
            record.settle();
        } else {
            record.incident.sentence = sentence;
        }
        record
    }

    fn empty(id: IncidentId, at: Timestamp, severity: Severity) -> Incident {
        Incident {
            id,
            opened: at,
            updated: at,
            state: IncidentState::Open,
            confidence: Default::default(),
            severity,
            posture: Default::default(),
            stages: Vec::new(),
            entities: Vec::new(),
            signals: Vec::new(),
            signal_count: 0,
            families: Vec::new(),
            subject: None,
            addresses: Vec::new(),
            sentence: String::new(),
            complete: true,
            excepted: 0,
        }
    }

    fn bare(incident: Incident) -> Self {
        Self {
            incident,
            signals: Vec::new(),
            evidence: Evidence::default(),
            stable: Evidence::default(),
            sources: Sources::default(),
            lost: BTreeMap::new(),
            known_losses: BTreeSet::new(),
            joinable: BTreeSet::new(),
            summary: None,
            excepted: VecDeque::new(),
        }
    }

    /// Takes a signal in.
    pub(super) fn add(&mut self, signal: Signal, scales: &Scales) {
        self.evidence.add(&signal, scales);
        if signal.tier == Tier::Stable {
            self.stable.add(&signal, scales);
            self.sources.add(&signal);
        }
        let incident = &mut self.incident;
        incident.opened = incident.opened.min(signal.at);
        incident.updated = incident.updated.max(signal.at);
        incident.severity = incident.severity.max(signal.severity);
        incident.signal_count += 1;
        // What only asks for attention decides nothing about what may be done.
        incident.complete &= signal.complete || signal.tier != Tier::Stable;
        let place = self.signals.partition_point(|kept| (kept.at, kept.id) <= (signal.at, signal.id));
        self.signals.insert(place, signal);
        self.settle();
    }

    /// Takes another incident in: both were one.
    pub(super) fn absorb(&mut self, other: Self, scales: &Scales) {
        self.evidence.absorb(other.evidence, scales);
        self.stable.absorb(other.stable, scales);
        self.sources.absorb(other.sources);
        let (mine, its) = (&mut self.incident, other.incident);
        mine.opened = mine.opened.min(its.opened);
        mine.updated = mine.updated.max(its.updated);
        mine.severity = mine.severity.max(its.severity);
        mine.signal_count += its.signal_count;
        mine.excepted += its.excepted;
        mine.complete &= its.complete;
        if mine.state != IncidentState::Contained && its.state == IncidentState::Contained {
            mine.state = IncidentState::Contained;
        }
        self.excepted.extend(other.excepted.into_iter().take(aside::MAX_SHOWN.saturating_sub(self.excepted.len())));
        self.signals.extend(other.signals);
        self.signals.sort_by_key(|signal| (signal.at, signal.id));
        for (hop, count) in other.lost {
            // Mostly the same losses: the larger count is nearer to the truth than the sum.
            let known = self.lost.entry(hop).or_default();
            *known = count.max(*known);
        }
        self.known_losses.extend(other.known_losses);
        self.summary = self.summary.take().or(other.summary);
        self.settle();
    }

    /// Keeps the bounds and derives what follows from the signals.
    fn settle(&mut self) {
        while self.signals.len() > MAX_SIGNALS {
            let weakest = self
                .signals
                .iter()
                .enumerate()
                .min_by(|(_, a), (_, b)| weight(a).partial_cmp(&weight(b)).unwrap_or(std::cmp::Ordering::Equal));
            let Some(place) = weakest.map(|(place, _)| place) else { break };
            self.signals.remove(place);
        }
        let mut addresses: Vec<IpAddr> = Vec::new();
        for entity in self.signals.iter().flat_map(|signal| &signal.entities) {
            if self.joinable.len() < MAX_ENTITIES {
                self.joinable.insert(entity.clone());
            }
            if let Entity::Address(addr) = entity
                && addresses.len() < MAX_ADDRESSES
                && !addresses.contains(&addr.to_canonical())
            {
                addresses.push(addr.to_canonical());
            }
        }
        let incident = &mut self.incident;
        incident.entities = self.joinable.iter().cloned().collect();
        incident.addresses = addresses;
        incident.signals = self.signals.iter().map(|signal| signal.id).collect();
        incident.stages.clone_from(&self.evidence.stages);
        let families: BTreeSet<Family> = self.evidence.deeds.values().flat_map(|deed| deed.peaks.keys().copied()).collect();
        incident.families = families.into_iter().collect();
        incident.subject = subject(&self.signals).or(incident.subject);
        incident.sentence = story::tell(&self.signals, incident.signal_count, self.summary.as_deref());
    }

    /// Tells it so from now on; the worst sources stand first. True when a reader can see a change.
    pub(super) fn summarize(&mut self, sentence: &str, worst: &[IpAddr]) -> bool {
        let before = (self.incident.sentence.clone(), self.incident.addresses.clone());
        self.summary = Some(sentence.to_owned());
        self.incident.sentence = story::tell(&self.signals, self.incident.signal_count, Some(sentence));
        let rank = |address: &IpAddr| worst.iter().position(|one| one == address).unwrap_or(usize::MAX);
        self.incident.addresses.sort_by_key(rank);
        before != (self.incident.sentence.clone(), self.incident.addresses.clone())
    }

    /// Scores it as of now; true when something a reader can see changed.
    pub(super) fn weigh(&mut self, scales: &Scales, now: Timestamp) -> bool {
        let before = (self.incident.confidence.to_string(), self.incident.posture);
        self.incident.confidence = scales.score(&self.evidence, now);
        self.incident.posture = scales.posture(self.incident.confidence);
        before != (self.incident.confidence.to_string(), self.incident.posture)
    }

    /// What stable detectors alone prove.
    pub(super) fn proof(&self, scales: &Scales, now: Timestamp) -> Proof {
        let (pieces, sources) = (pieces::of(&self.stable, scales, now), self.sources.list());
        let hostile: BTreeSet<IpAddr> = self.stable.hostile.iter().copied().chain(sources.iter().map(|source| source.addr)).collect();
        Proof {
            confidence: scales.scored(&self.stable, &pieces),
            pieces: pieces.iter().filter(|piece| piece.is_one()).count(),
            stages: self.stable.stages.len(),
            apart: !self.stable.shows_a_hand(),
            hostile: hostile.into_iter().collect(),
            sources,
            sources_dropped: self.sources.dropped(),
        }
    }

    /// Whether somebody attacks from outside, by stable detectors.
    pub(super) fn has_sources(&self) -> bool {
        !self.sources.is_empty()
    }

    /// Whether this loss is counted already.
    pub(super) fn knows_loss(&self, loss: u64) -> bool {
        self.known_losses.contains(&loss)
    }

    /// Events were lost around its time.
    pub(super) fn mark_lost(&mut self, loss: u64, hop: &str, count: u64) {
        self.incident.complete = false;
        self.known_losses.insert(loss);
        if self.known_losses.len() > MAX_SIGNALS {
            // Numbers grow, and losses that old are forgotten by the correlator too.
            self.known_losses.pop_first();
        }
        if self.lost.len() < MAX_HOPS || self.lost.contains_key(hop) {
            let lost = self.lost.entry(hop.to_owned()).or_default();
            *lost = lost.saturating_add(count);
        }
    }

    /// What to say of an incident that is not there: nothing, but under its name.
    pub(super) fn vanished(id: IncidentId, now: Timestamp) -> Incident {
        Self::empty(id, now, Severity::Info)
    }

    /// By what others may join it.
    pub(super) fn joinable(&self) -> impl Iterator<Item = &Entity> {
        self.joinable.iter()
    }
}

fn weight(signal: &Signal) -> (Severity, f64, Timestamp) {
    (signal.severity, signal.confidence.get(), signal.at)
}

/// The process that the most kinds of evidence, then the most stages, then the latest signal point to: of stable detectors, as long as one
/// of them points to any. It is what would be frozen, so others must not be able to move it.
fn subject(signals: &[Signal]) -> Option<ProcessKey> {
    let is_stable = |signal: &&Signal| signal.tier == Tier::Stable;
    most_pointed_to(signals.iter().filter(is_stable)).or_else(|| most_pointed_to(signals.iter()))
}

fn most_pointed_to<'a>(signals: impl Iterator<Item = &'a Signal>) -> Option<ProcessKey> {
    let mut seen: HashMap<ProcessKey, (BTreeSet<Family>, BTreeSet<Stage>, Timestamp)> = HashMap::new();
    for signal in signals {
        if let Some(key) = signal.subject {
            let entry = seen.entry(key).or_insert_with(|| (BTreeSet::new(), BTreeSet::new(), signal.at));
            entry.0.insert(signal.family);
            entry.1.insert(signal.stage);
            entry.2 = entry.2.max(signal.at);
        }
    }
    seen.into_iter().max_by_key(|(key, (families, stages, at))| (families.len(), stages.len(), *at, *key)).map(|(key, _)| key)
}
