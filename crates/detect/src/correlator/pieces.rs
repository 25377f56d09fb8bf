//! Which evidence is independent: different acts, seen by different kinds of sensor. What one act produces is one piece.
//!
//! Each act stands for one family and each family for one act, chosen so that together they prove most. Two things
//! soften that, and no more:
//! - An act with a proven far end stands for all its families: that the shell reads from the socket and that somebody
//!   is at its other end was recorded by the kernel twice. It stays one piece.
//! - Lineage says whose work something is. It never stands beside another act as a piece of its own: that a service
//!   starts shells all day says nothing about what else it does.

use std::collections::BTreeMap;

use super::evidence::{Evidence, Peak};
use super::score::{SECOND_OPINION, Scales};
use bartizan_model::{Act, Family, Timestamp};

/// Every set of families as bits.
const SETS: usize = 1 << Family::ALL.len();

/// One piece of evidence.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Piece<'a> {
    pub(super) act: Option<Act>,
    /// What counts of it, with what each proves now; one, unless its far end is proven.
    pub(super) counts: Vec<(Family, &'a Peak, f64)>,
}

impl Piece<'_> {
    /// What speaks against it.
    pub(super) fn doubt(&self) -> f64 {
        self.counts.iter().map(|(_, _, proof)| 1.0 - proof).product()
    }

    /// Whether it proves enough to count as another piece.
    pub(super) fn is_one(&self) -> bool {
        1.0 - self.doubt() >= SECOND_OPINION
    }
}

/// What an act may stand for: a set of families as bits, and how much that proves (minus the logarithm of the doubt).
type Choice = (usize, f64);

/// The independent pieces of `evidence`, those of the earliest process first.
pub(super) fn of<'a>(evidence: &'a Evidence, scales: &Scales, now: Timestamp) -> Vec<Piece<'a>> {
    let only_lineage = evidence.deeds.values().all(|deed| deed.peaks.keys().all(|family| *family == Family::Lineage));
    let beside = chosen(evidence, scales, now, false);
    if only_lineage {
        return chosen(evidence, scales, now, true);
    }
    // Where the lineage of some act proves more by itself than all else together, it is that.
    let alone = strongest_lineage(evidence, scales, now);
    let doubt = |pieces: &[Piece<'_>]| pieces.iter().map(Piece::doubt).product::<f64>();
    if doubt(&alone) < doubt(&beside) { alone } else { beside }
}

fn strongest_lineage<'a>(evidence: &'a Evidence, scales: &Scales, now: Timestamp) -> Vec<Piece<'a>> {
    let each = evidence.deeds.iter().filter_map(|(act, deed)| {
        let peak = deed.peaks.get(&Family::Lineage)?;
        Some(Piece { act: *act, counts: vec![(Family::Lineage, peak, scales.proof(Family::Lineage, peak, now))] })
    });
    each.min_by(|a, b| a.doubt().total_cmp(&b.doubt())).into_iter().collect()
}

/// Goes through the acts one by one and keeps, for each set of families that are taken, the best way to get there.
fn chosen<'a>(evidence: &'a Evidence, scales: &Scales, now: Timestamp, lineage_alone: bool) -> Vec<Piece<'a>> {
    let mut best: [Option<f64>; SETS] = [None; SETS];
    best[0] = Some(0.0);
    let mut steps: Vec<[usize; SETS]> = Vec::with_capacity(evidence.deeds.len());
    for deed in evidence.deeds.values() {
        let choices = choices(&deed.peaks, !deed.hostile.is_empty(), lineage_alone, scales, now);
        let (before, mut step) = (best, [0; SETS]);
        for (taken, so_far) in before.iter().enumerate().filter_map(|(taken, so_far)| Some((taken, (*so_far)?))) {
            for (set, weight) in choices.iter().filter(|(set, _)| set & taken == 0) {
                let (Some(there), Some(by)) = (best.get_mut(taken | set), step.get_mut(taken | set)) else { continue };
                if there.is_none_or(|known| so_far + weight > known) {
                    (*there, *by) = (Some(so_far + weight), *set);
                }
            }
        }
        steps.push(step);
    }
    let end = best.iter().enumerate().max_by(|(_, a), (_, b)| a.unwrap_or(-1.0).total_cmp(&b.unwrap_or(-1.0)));
    let mut taken = end.map_or(0, |(set, _)| set);
    let mut pieces = Vec::new();
    for ((act, deed), step) in evidence.deeds.iter().zip(&steps).rev() {
        let set = step.get(taken).copied().unwrap_or_default();
        taken &= !set;
        let counts: Vec<_> = deed.peaks.iter().filter(|(family, _)| set & bit(**family) != 0).collect();
        if !counts.is_empty() {
            let counts = counts.into_iter().map(|(family, peak)| (*family, peak, scales.proof(*family, peak, now))).collect();
            pieces.push(Piece { act: *act, counts });
        }
    }
    pieces.reverse();
    pieces
}

fn choices(peaks: &BTreeMap<Family, Peak>, far_end: bool, lineage_alone: bool, scales: &Scales, now: Timestamp) -> Vec<Choice> {
    let lineage = lineage_alone || peaks.keys().any(|family| *family != Family::Lineage);
    let usable = peaks.iter().filter(|(family, _)| lineage || **family != Family::Lineage);
    let each: Vec<Choice> = usable.map(|(family, peak)| (bit(*family), -(1.0 - scales.proof(*family, peak, now)).ln())).collect();
    if !far_end {
        return each;
    }
    let mut sets: Vec<Choice> = vec![(0, 0.0)];
    for (one, weight) in each {
        let with: Vec<Choice> = sets.iter().map(|(set, sum)| (set | one, sum + weight)).collect();
        sets.extend(with);
    }
    sets.retain(|(set, _)| *set != 0);
    sets
}

fn bit(family: Family) -> usize {
    1 << Family::ALL.iter().position(|known| *known == family).unwrap_or_default()
}
