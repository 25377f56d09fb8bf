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
use super::score::{SECOND_DETECTION, Scales};
use bartizan_model::{Act, Family, Timestamp};

/// Every set of families as bits.
const SETS: usize = 1 << Family::ALL.len();
/// Words that are told apart: none, one, more ([`Scales::detection`]).
const WORDS: usize = 3;

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
        1.0 - self.doubt() >= SECOND_DETECTION
    }
}

/// What an act may stand for.
#[derive(Debug, Clone, Copy, Default)]
struct Choice {
    /// Families as bits.
    set: usize,
    /// How much they prove: minus the logarithm of the doubt.
    weight: f64,
    /// How many of them are a word of their own.
    words: usize,
}

/// The independent pieces of `evidence`, those of the earliest process first: whichever way to choose them scores most, so
/// that further evidence never lowers a score. One strong piece stops at its weight where two weaker ones need not.
pub(super) fn of<'a>(evidence: &'a Evidence, scales: &Scales, now: Timestamp) -> Vec<Piece<'a>> {
    let only_lineage = evidence.deeds.values().all(|deed| deed.peaks.keys().all(|family| *family == Family::Lineage));
    let mut ways = chosen(evidence, scales, now, only_lineage);
    if !only_lineage {
        // Where the lineage of some act proves more by itself than all else together, it is that.
        ways.push(strongest_lineage(evidence, scales, now));
    }
    let rank = |pieces: &[Piece<'_>]| {
        let doubt = pieces.iter().map(Piece::doubt).product::<f64>();
        (scales.scored(evidence, pieces).get(), 1.0 - doubt)
    };
    let ranked = ways.into_iter().map(|pieces| (rank(&pieces), pieces));
    // Of equal ones the first: the more words, the earlier it stands.
    let best = ranked.reduce(|best, next| if next.0 > best.0 { next } else { best });
    best.map(|(_, pieces)| pieces).unwrap_or_default()
}

fn strongest_lineage<'a>(evidence: &'a Evidence, scales: &Scales, now: Timestamp) -> Vec<Piece<'a>> {
    let each = evidence.deeds.iter().filter_map(|(act, deed)| {
        let peak = deed.peaks.get(&Family::Lineage)?;
        Some(Piece { act: *act, counts: vec![(Family::Lineage, peak, scales.proof(Family::Lineage, peak, now))] })
    });
    each.min_by(|a, b| a.doubt().total_cmp(&b.doubt())).into_iter().collect()
}

/// For more words, one and none: the pieces that prove most. Goes through the acts one by one and keeps, for each set of
/// families that are taken and each number of words, the best way to get there.
fn chosen<'a>(evidence: &'a Evidence, scales: &Scales, now: Timestamp, lineage_alone: bool) -> Vec<Vec<Piece<'a>>> {
    let mut best: [[Option<f64>; SETS]; WORDS] = [[None; SETS]; WORDS];
    best[0][0] = Some(0.0);
    let mut steps = Vec::with_capacity(evidence.deeds.len());
    for deed in evidence.deeds.values() {
        let choices = choices(&deed.peaks, !deed.hostile.is_empty(), lineage_alone, scales, now);
        steps.push(step(&mut best, &choices));
    }
    let end = |words: usize| {
        let ways = best.get(words)?.iter().enumerate().filter_map(|(set, sum)| Some((set, (*sum)?)));
        ways.max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(set, _)| (set, words))
    };
    let ends: Vec<(usize, usize)> = (0..WORDS).rev().filter_map(end).collect();
    ends.into_iter().map(|end| walked_back(evidence, scales, now, &steps, end)).collect()
}

/// How a set of families and a number of words were reached: what the act stands for, and how many words there were before.
type Steps = [[(usize, usize); SETS]; WORDS];

/// Lets one more act stand for one of its choices, or for nothing.
fn step(best: &mut [[Option<f64>; SETS]; WORDS], choices: &[Choice]) -> Steps {
    let before = *best;
    let mut steps: Steps = [[(0, 0); SETS]; WORDS];
    for (words, steps) in steps.iter_mut().enumerate() {
        steps.fill((0, words));
    }
    for (words, sums) in before.iter().enumerate() {
        for (taken, so_far) in sums.iter().enumerate().filter_map(|(taken, so_far)| Some((taken, (*so_far)?))) {
            for choice in choices.iter().filter(|choice| choice.set & taken == 0) {
                let (to, set) = ((words + choice.words).min(WORDS - 1), taken | choice.set);
                let there = best.get_mut(to).and_then(|sums| sums.get_mut(set));
                let by = steps.get_mut(to).and_then(|steps| steps.get_mut(set));
                let (Some(there), Some(by)) = (there, by) else { continue };
                if there.is_none_or(|known| so_far + choice.weight > known) {
                    (*there, *by) = (Some(so_far + choice.weight), (choice.set, words));
                }
            }
        }
    }
    steps
}

fn walked_back<'a>(evidence: &'a Evidence, scales: &Scales, now: Timestamp, steps: &[Steps], end: (usize, usize)) -> Vec<Piece<'a>> {
    let (mut taken, mut words) = end;
    let mut pieces = Vec::new();
    for ((act, deed), step) in evidence.deeds.iter().zip(steps).rev() {
        let (set, before) = step.get(words).and_then(|step| step.get(taken)).copied().unwrap_or((0, words));
        (taken, words) = (taken & !set, before);
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
    let one = |(family, peak): (&Family, &Peak)| {
        let proof = scales.proof(*family, peak, now);
        Choice { set: bit(*family), weight: -(1.0 - proof).ln(), words: usize::from(proof >= SECOND_DETECTION) }
    };
    let each: Vec<Choice> = usable.map(one).collect();
    if !far_end {
        return each;
    }
    let mut sets = vec![Choice::default()];
    for one in each {
        let with = |other: &Choice| Choice { set: other.set | one.set, weight: other.weight + one.weight, words: other.words + one.words };
        let with: Vec<Choice> = sets.iter().map(with).collect();
        sets.extend(with);
    }
    sets.retain(|choice| choice.set != 0);
    sets
}

fn bit(family: Family) -> usize {
    1 << Family::ALL.iter().position(|known| *known == family).unwrap_or_default()
}
