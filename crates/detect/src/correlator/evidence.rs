//! What an incident rests on: the strongest signal of each family in each act, the stages seen, the hostile addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::score::Scales;
use bartizan_model::{Act, Family, Signal, Stage, Timestamp};

/// Acts kept of one incident; beyond it those that cannot count any more are forgotten.
pub(super) const MAX_ACTS: usize = 48;
/// Hostile addresses kept of one incident.
const MAX_HOSTILE: usize = 64;

/// The strongest signal of one family. All fade at the same rate, so the strongest stays the strongest.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Peak {
    pub(super) confidence: f64,
    pub(super) at: Timestamp,
    pub(super) detector: String,
}

/// What speaks for one act.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Deed {
    pub(super) peaks: BTreeMap<Family, Peak>,
    /// The addresses at the far end of it that did something here themselves: seen by two kinds of sensor at once.
    pub(super) hostile: BTreeSet<IpAddr>,
}

/// All of it, act by act. Those of which nobody knows who did them count as one.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Evidence {
    pub(super) deeds: BTreeMap<Option<Act>, Deed>,
    pub(super) stages: Vec<Stage>,
    pub(super) hostile: BTreeSet<IpAddr>,
}

impl Deed {
    fn keep(&mut self, family: Family, new: Peak, scales: &Scales) {
        match self.peaks.get_mut(&family) {
            Some(old) if !scales.outweighs(&new, old) => {}
            Some(old) => *old = new,
            None => drop(self.peaks.insert(family, new)),
        }
    }
}

impl Evidence {
    pub(super) fn add(&mut self, signal: &Signal, scales: &Scales) {
        let new = Peak { confidence: signal.confidence.get(), at: signal.at, detector: signal.detector.clone() };
        let deed = self.deeds.entry(signal.act).or_default();
        deed.keep(signal.family, new, scales);
        // Who only knocks from outside shows no hand in what runs here: their acts are counted apart (`sources`).
        if let Some(addr) = signal.hostile.filter(|_| signal.outsider().is_none()).map(|addr| addr.to_canonical()) {
            deed.hostile.insert(addr);
            self.hostile.insert(addr);
        }
        if let Err(place) = self.stages.binary_search(&signal.stage) {
            self.stages.insert(place, signal.stage);
        }
        self.bound(scales);
    }

    pub(super) fn absorb(&mut self, other: Self, scales: &Scales) {
        for (act, deed) in other.deeds {
            let mine = self.deeds.entry(act).or_default();
            mine.hostile.extend(deed.hostile);
            deed.peaks.into_iter().for_each(|(family, peak)| mine.keep(family, peak, scales));
        }
        self.hostile.extend(other.hostile);
        self.stages.extend(other.stages);
        self.stages.sort();
        self.stages.dedup();
        self.bound(scales);
    }

    /// Whether somebody directs it while it goes on: commands are typed over a socket, or a far end is proven.
    pub(super) fn shows_a_hand(&self) -> bool {
        !self.hostile.is_empty() || self.deeds.keys().flatten().any(|act| act.told)
    }

    /// The strongest signal of each family, whatever the act.
    pub(super) fn peaks(&self, scales: &Scales) -> BTreeMap<Family, &Peak> {
        let mut strongest: BTreeMap<Family, &Peak> = BTreeMap::new();
        for (family, peak) in self.deeds.values().flat_map(|deed| &deed.peaks) {
            let known = strongest.entry(*family).or_insert(peak);
            if scales.outweighs(peak, known) {
                *known = peak;
            }
        }
        strongest
    }

    /// The same as if this family had never spoken.
    pub(super) fn without(&self, family: Family) -> Self {
        let mut rest = self.clone();
        rest.deeds.values_mut().for_each(|deed| drop(deed.peaks.remove(&family)));
        rest
    }

    fn bound(&mut self, scales: &Scales) {
        while self.hostile.len() > MAX_HOSTILE {
            self.hostile.pop_last();
        }
        if self.deeds.len() <= MAX_ACTS {
            return;
        }
        // A piece is one act for one family, so of each family no more acts than there are families can ever count.
        let newest = self.deeds.values().flat_map(|deed| deed.peaks.values()).map(|peak| peak.at).max().unwrap_or_default();
        let mut kept: BTreeSet<Option<Act>> = BTreeSet::new();
        for family in Family::ALL {
            let proof = |deed: &Deed| deed.peaks.get(&family).map(|peak| scales.proof(family, peak, newest));
            let mut best: Vec<(f64, Option<Act>)> = self.deeds.iter().filter_map(|(act, deed)| Some((proof(deed)?, *act))).collect();
            best.sort_by(|a, b| b.0.total_cmp(&a.0));
            kept.extend(best.into_iter().take(Family::ALL.len()).map(|(_, act)| act));
        }
        self.deeds.retain(|act, _| kept.contains(act));
    }
}
