//! Who may act on what: how many independent pieces of evidence each mode asks for, for the least that can be done and for more.

use std::time::Duration;

use bartizan_config::Policy;
use bartizan_model::{ActionPlan, Direction, Incident, Mode, Proof, Target};

/// Longest life of anything that is done without a person.
pub(super) const SHORT: Duration = Duration::from_secs(10 * 60);
/// Stages that two pieces must cover to weigh as much as three.
const CHAIN: usize = 4;

/// Why the evidence does not carry this without a person; `None` when it does.
pub(super) fn held(plan: &ActionPlan, mode: Mode, incident: &Incident, proof: &Proof, policy: &Policy) -> Option<String> {
    let (name, needed) = match mode {
        Mode::Paranoid => return Some("the mode is PARANOID: a person approves everything".to_owned()),
        Mode::Balanced => ("BALANCED", policy.mode.balanced_at),
        // With a gap in the evidence even AGGRESSIVE must be as sure as BALANCED.
        Mode::Aggressive if !incident.complete => {
            ("AGGRESSIVE with incomplete evidence", policy.mode.balanced_at.max(policy.mode.aggressive_at))
        }
        Mode::Aggressive => ("AGGRESSIVE", policy.mode.aggressive_at),
    };
    if let Some(addr) = plan.target().address().filter(|addr| !proof.hostile.contains(addr)) {
        return Some(format!("nothing shows that {addr} did anything here itself: it was only called"));
    }
    let verb = plan.kind().verb();
    let Some(needs) = pieces_needed(plan, mode) else {
        return Some(format!("without a person, {name} only freezes one tree, or limits or blocks one address inbound"));
    };
    if weight(proof) < needs {
        return Some(format!("the incident has {}; to {verb} without a person, {name} needs {needs}", rests_on(proof)));
    }
    if proof.confidence.get() < needed {
        return Some(format!("stable detectors reach confidence {}; {name} acts without a person from {needed:.2}", proof.confidence));
    }
    let least = is_least(plan);
    (!incident.complete && (mode == Mode::Balanced || !least)).then(|| {
        let what = if least { "acts alone" } else { "does more than the reversible minimum alone" };
        format!("evidence was lost or cut, and {} {what} only on complete evidence", mode)
    })
}

/// How many pieces it takes; `None` where no number is enough in this mode.
fn pieces_needed(plan: &ActionPlan, mode: Mode) -> Option<usize> {
    match (mode, is_least(plan)) {
        (Mode::Aggressive, true) if plan.target().address().is_some() => Some(1),
        (_, true) => Some(2),
        (Mode::Aggressive, false) => Some(3),
        (Mode::Balanced | Mode::Paranoid, false) => None,
    }
}

/// The least that helps, and can be taken back without a trace: one address inbound, or one tree.
fn is_least(plan: &ActionPlan) -> bool {
    plan.kind().spec().least && !matches!(plan.target(), Target::Address { direction: Direction::Out, .. })
}

/// Pieces, where two that cover a chain of stages weigh as much as three. A service that does many different jobs covers
/// many stages in an hour too: unless something shows that they belong together they count as one less, whatever the stages.
fn weight(proof: &Proof) -> usize {
    match proof.pieces {
        0 | 1 => proof.pieces,
        pieces if proof.apart => pieces - 1,
        pieces if proof.stages >= CHAIN => pieces.max(3),
        pieces => pieces,
    }
}

/// What there is, in words.
fn rests_on(proof: &Proof) -> String {
    match proof.pieces {
        1 => "one piece of evidence (what one act produces is one)".to_owned(),
        pieces if proof.apart && pieces > 1 => {
            format!("{pieces} pieces of evidence, counted as {}: nothing shows that they belong together", pieces - 1)
        }
        pieces => format!("{pieces} independent pieces of evidence (what one act produces is one)"),
    }
}
