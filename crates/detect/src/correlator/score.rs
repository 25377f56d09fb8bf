//! The score: noisy-or over independent pieces of evidence, more when several stages are seen, less as time passes.
//!
//! ```text
//! proof(f)  = weight(f) x max over the act's signals of the family of confidence x 2^(-age / half_life)
//! doubt     = product over the pieces that count of (1 - proof(f))
//! score     = 1 - doubt ^ (1 + 0.15 x (stages - 1))
//! ```
//! Which pieces count stands in `pieces`. While fewer than two prove at least 0.10, the score stops at the strongest
//! family's weight, and that weight stops just below the score at which the agent may act alone.

use std::collections::BTreeMap;

use super::evidence::{Evidence, Peak};
use super::pieces::{self, Piece};
use bartizan_config::Policy;
use bartizan_model::{Confidence, Family, Posture, Timestamp};

/// How much each further stage adds to the weight of the evidence, as an exponent on the doubt.
pub(super) const STAGE_GAIN: f64 = 0.15;
/// What a family must prove to count as a second detection.
pub(super) const SECOND_DETECTION: f64 = 0.10;
/// How far below the lowest acting threshold a lone family stays.
const MARGIN: f64 = 0.01;

/// The scales: weights and thresholds from the policy.
#[derive(Debug, Clone)]
pub(super) struct Scales {
    weights: BTreeMap<Family, f64>,
    half_life: f64,
    posture: bartizan_config::policy::PostureThresholds,
}

impl Scales {
    pub(super) fn new(policy: &Policy) -> Self {
        let ceiling = (policy.mode.aggressive_at.min(policy.mode.balanced_at) - MARGIN).max(0.0);
        let w = &policy.weights;
        let given = |family| match family {
            Family::Lineage => w.lineage,
            Family::Outbound => w.outbound,
            Family::Files => w.files,
            Family::Auth => w.auth,
            Family::Web => w.web,
            Family::Rule => w.rule,
            Family::Anomaly => w.anomaly,
            Family::Tools => w.tools,
        };
        let weights = Family::ALL.into_iter().map(|family| (family, given(family).clamp(0.0, 1.0).min(ceiling))).collect();
        Self { weights, half_life: policy.score.half_life.as_secs_f64().max(1.0), posture: policy.posture.clone() }
    }

    pub(super) fn weight(&self, family: Family) -> f64 {
        self.weights.get(&family).copied().unwrap_or_default()
    }

    /// How much a confidence from `at` still counts at `now`.
    pub(super) fn faded(&self, confidence: f64, at: Timestamp, now: Timestamp) -> f64 {
        let age = now.signed_duration_since(at).as_seconds_f64().max(0.0);
        confidence * (-age / self.half_life).exp2()
    }

    /// What a family proves now.
    pub(super) fn proof(&self, family: Family, peak: &Peak, now: Timestamp) -> f64 {
        self.weight(family) * self.faded(peak.confidence, peak.at, now)
    }

    pub(super) fn score(&self, evidence: &Evidence, now: Timestamp) -> Confidence {
        self.scored(evidence, &pieces::of(evidence, self, now))
    }

    /// The same with the pieces that were chosen already.
    pub(super) fn scored(&self, evidence: &Evidence, pieces: &[Piece<'_>]) -> Confidence {
        let doubt: f64 = pieces.iter().map(Piece::doubt).product();
        let further = evidence.stages.len().saturating_sub(1) as f64;
        let score = 1.0 - doubt.clamp(0.0, 1.0).powf(1.0 + STAGE_GAIN * further);
        let peaks = evidence.peaks(self);
        let most = peaks.keys().map(|family| self.weight(*family)).fold(0.0, f64::max);
        Confidence::new(if Self::detection(pieces) < 2 { score.min(most) } else { score })
    }

    /// How many words there are: a piece is one, a piece with a proven far end as many as count of it.
    pub(super) fn detection(pieces: &[Piece<'_>]) -> usize {
        let counting = pieces.iter().flat_map(|piece| &piece.counts).filter(|(_, _, proof)| *proof >= SECOND_DETECTION);
        counting.count()
    }

    pub(super) fn posture(&self, score: Confidence) -> Posture {
        let score = score.get();
        match () {
            () if score >= self.posture.lockdown => Posture::Lockdown,
            () if score >= self.posture.aggressive_contain => Posture::AggressiveContain,
            () if score >= self.posture.contain => Posture::Contain,
            () => Posture::Observe,
        }
    }

    /// Whether `new` counts for more than `old`, at any later moment. Equal ones: the earlier stays, so that the
    /// order of arrival changes nothing.
    pub(super) fn outweighs(&self, new: &Peak, old: &Peak) -> bool {
        let later = new.at.max(old.at);
        let (a, b) = (self.faded(new.confidence, new.at, later), self.faded(old.confidence, old.at, later));
        a > b || (a == b && (new.at, &new.detector) < (old.at, &old.detector))
    }
}
