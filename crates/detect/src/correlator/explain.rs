//! Why an incident scores what it scores, in plain sentences, without a model.

use std::collections::BTreeSet;

use super::aside;
use super::campaign;
use super::pieces::{self, Piece};
use super::record::Record;
use super::score::{STAGE_GAIN, Scales};
use bartizan_model::{Action, ActionState, Explanation, Family, Signal, Stage, Timestamp};

/// Signals told one by one; the rest are counted.
const MAX_SEEN: usize = 40;

/// Everything a person needs to believe or doubt the score.
pub(super) fn explain(record: &Record, scales: &Scales, now: Timestamp, actions: &[Action]) -> Explanation {
    let taken: Vec<&Action> = actions.iter().filter(|action| action.incident == Some(record.incident.id)).collect();
    Explanation {
        incident: record.incident.id,
        seen: seen(record),
        why: why(record, scales, now),
        lower: lower(record, scales, now),
        done: done(&taken),
        undo: undo(&taken),
        evidence: evidence(record),
    }
}

fn seen(record: &Record) -> Vec<String> {
    // A summary stands for all that belongs to an attack of many sources.
    let stands = |signal: &&Signal| record.summary.is_none() || campaign::of(&signal.entities).is_none();
    let told = record.signals.iter().filter(stands).take(MAX_SEEN);
    let mut out: Vec<String> = told
        .map(|s| {
            format!(
                "{} {}: {} [{}, {}, confidence {}]",
                s.at.format("%H:%M:%S"),
                s.detector,
                s.sentence,
                s.severity,
                s.stage.noun(),
                s.confidence
            )
        })
        .collect();
    let all = if record.summary.is_some() { record.signals.iter().filter(stands).count() as u64 } else { record.incident.signal_count };
    let more = all.saturating_sub(out.len() as u64);
    if more > 0 {
        out.push(format!("and {more} more signals"));
    }
    out.extend(aside::told(record));
    out
}

fn why(record: &Record, scales: &Scales, now: Timestamp) -> Vec<String> {
    let pieces = pieces::of(&record.evidence, scales, now);
    let mut out = Vec::new();
    for (family, peak, proof) in pieces.iter().flat_map(|piece| &piece.counts) {
        let faded = scales.faded(peak.confidence, peak.at, now);
        out.push(format!(
            "{}: weight {:.2} x confidence {:.2} = {:.2} ({}{})",
            family.name(),
            scales.weight(*family),
            faded,
            proof,
            peak.detector,
            if peak.confidence - faded > 0.005 { format!(", faded from {:.2}", peak.confidence) } else { String::new() },
        ));
    }
    out.extend(counted_as_one(record, &pieces, scales));
    let doubts: Vec<String> = pieces.iter().flat_map(|piece| &piece.counts).map(|(_, _, proof)| format!("{:.2}", 1.0 - proof)).collect();
    let stages: Vec<&str> = record.evidence.stages.iter().map(|stage: &Stage| stage.noun()).collect();
    let exponent = 1.0 + STAGE_GAIN * stages.len().saturating_sub(1) as f64;
    out.push(format!("together: 1 - ({})^{exponent:.2} over {} stage(s): {}", doubts.join(" x "), stages.len(), stages.join(", ")));
    if Scales::detection(&pieces) < 2 {
        out.push("a single piece of evidence: the score is capped at the weight of its family".to_owned());
    }
    out.push(independent(&pieces, !record.evidence.shows_a_hand()));
    out.push(format!("score {}, posture {}", record.incident.confidence, record.incident.posture));
    out
}

/// Signals of another family that did not count by themselves, with the reason, act by act.
fn counted_as_one(record: &Record, pieces: &[Piece<'_>], scales: &Scales) -> Vec<String> {
    let counted: BTreeSet<Family> = pieces.iter().flat_map(|piece| &piece.counts).map(|(family, _, _)| *family).collect();
    let mut out = Vec::new();
    for (family, peak) in record.evidence.peaks(scales).into_iter().filter(|(family, _)| !counted.contains(family)) {
        let theirs = |piece: &&Piece<'_>| record.evidence.deeds.get(&piece.act).is_some_and(|deed| deed.peaks.contains_key(&family));
        let who = format!("{} ({})", family.name(), peak.detector);
        out.push(match pieces.iter().find(theirs) {
            Some(piece) => format!("{who} counts as one with {}: both are {}", names(piece), told(piece)),
            None if family == Family::Lineage => format!("{who} does not count on its own: it only says whose work the rest is"),
            None => format!("{who} does not count: its kind proves less than what counts instead"),
        });
    }
    out
}

/// How many pieces there are, and what each is.
fn independent(pieces: &[Piece<'_>], apart: bool) -> String {
    let each: Vec<String> =
        pieces.iter().filter(|piece| piece.is_one()).map(|piece| format!("{} ({})", names(piece), told(piece))).collect();
    match each.len() {
        0 => "no piece of evidence proves enough to count".to_owned(),
        1 => format!("one piece of evidence: {}", each.join("")),
        count if apart => {
            let weighing = count - 1;
            format!(
                "{count} pieces of evidence: {}; nothing shows that they belong together, so for acting alone they count as {weighing}",
                each.join("; ")
            )
        }
        count => format!("{count} independent pieces of evidence: {}", each.join("; ")),
    }
}

fn names(piece: &Piece<'_>) -> String {
    piece.counts.iter().map(|(family, _, _)| family.name()).collect::<Vec<_>>().join(" and ")
}

fn told(piece: &Piece<'_>) -> String {
    let of_lists = piece.counts.iter().all(|(family, _, _)| *family == Family::Tools);
    let nobody = if of_lists { "what others know of the far end" } else { "the work of somebody unknown" };
    piece.act.map_or_else(|| nobody.to_owned(), |act| act.to_string())
}

fn lower(record: &Record, scales: &Scales, now: Timestamp) -> Vec<String> {
    let mut out = Vec::new();
    for (family, peak) in record.evidence.peaks(scales) {
        let without = record.evidence.without(family);
        out.push(format!("were {} ({}) explained away: {}", family.name(), peak.detector, scales.score(&without, now)));
    }
    let later = now + chrono::TimeDelta::minutes(30);
    out.push(format!("30 minutes without a new signal: {}", scales.score(&record.evidence, later)));
    out
}

fn done(taken: &[&Action]) -> Vec<String> {
    let line = |action: &&Action| {
        format!("{} {} {} ({}), allowed by {}", action.id, action.kind.verb(), action.target, action.standing(), action.by)
    };
    if taken.is_empty() { vec!["nothing".to_owned()] } else { taken.iter().map(line).collect() }
}

fn undo(taken: &[&Action]) -> Vec<String> {
    let standing = taken.iter().filter(|action| action.state.is_active());
    let line = |action: &&Action| {
        if let Some(why) = action.pending_words() {
            return format!("{}: {why}", action.id);
        }
        if !action.kind.is_reversible() {
            return format!("{} cannot be undone", action.id);
        }
        let by_itself = if action.state == ActionState::Unknown { "should end" } else { "ends" };
        format!(
            "{}: key u on it, or `bartizan rollback {}`; it {by_itself} by itself at {} UTC",
            action.id,
            action.id,
            action.expires_at.format("%H:%M:%S")
        )
    };
    let out: Vec<String> = standing.map(line).collect();
    if out.is_empty() { vec!["nothing to undo".to_owned()] } else { out }
}

fn evidence(record: &Record) -> String {
    if record.incident.complete {
        return "complete: nothing that it rests on was lost or cut".to_owned();
    }
    let lost: Vec<String> = record
        .lost
        .iter()
        .map(|(hop, count)| if *count > 0 { format!("{count} events at {hop}") } else { format!("an unknown number ({hop})") })
        .collect();
    let cut = record.signals.iter().filter(|signal| !signal.complete).count();
    match (lost.is_empty(), cut) {
        (false, 0) => format!("incomplete: lost around that time: {}", lost.join(", ")),
        (false, cut) => format!("incomplete: lost around that time: {}; and {cut} signal(s) rest on events that were cut", lost.join(", ")),
        (true, 0) => "incomplete: something it rests on was lost or cut before this start of the agent".to_owned(),
        (true, cut) => format!("incomplete: {cut} signal(s) rest on events that were cut or not fully read"),
    }
}
