//! Why an incident scores what it scores, in plain sentences, without a model.

use super::record::Record;
use super::score::{SECOND_OPINION, STAGE_GAIN, Scales};
use crate::model::{Action, ActionState, Explanation, Stage, Timestamp};

/// Signals told one by one; the rest are counted.
const MOST_SEEN: usize = 40;

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
    let told = record.signals.iter().take(MOST_SEEN);
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
    let more = record.incident.signal_count.saturating_sub(out.len() as u64);
    if more > 0 {
        out.push(format!("and {more} more signals"));
    }
    out
}

fn why(record: &Record, scales: &Scales, now: Timestamp) -> Vec<String> {
    let mut out = Vec::new();
    for (family, peak) in &record.evidence.peaks {
        let faded = scales.faded(peak.confidence, peak.at, now);
        out.push(format!(
            "{}: weight {:.2} x confidence {:.2} = {:.2} ({}{})",
            family.name(),
            scales.weight(*family),
            faded,
            scales.proof(*family, peak, now),
            peak.detector,
            if peak.confidence - faded > 0.005 { format!(", faded from {:.2}", peak.confidence) } else { String::new() },
        ));
    }
    let doubts: Vec<String> =
        record.evidence.peaks.iter().map(|(family, peak)| format!("{:.2}", 1.0 - scales.proof(*family, peak, now))).collect();
    let stages: Vec<&str> = record.evidence.stages.iter().map(|stage: &Stage| stage.noun()).collect();
    let exponent = 1.0 + STAGE_GAIN * stages.len().saturating_sub(1) as f64;
    out.push(format!("together: 1 - ({})^{exponent:.2} over {} stage(s): {}", doubts.join(" x "), stages.len(), stages.join(", ")));
    if counting(record, scales, now) < 2 {
        out.push("one family alone: the score stops at that family's weight".to_owned());
    }
    out.push(format!("score {}, posture {}", record.incident.confidence, record.incident.posture));
    out
}

fn counting(record: &Record, scales: &Scales, now: Timestamp) -> usize {
    record.evidence.peaks.iter().filter(|(family, peak)| scales.proof(**family, peak, now) >= SECOND_OPINION).count()
}

fn lower(record: &Record, scales: &Scales, now: Timestamp) -> Vec<String> {
    let mut out = Vec::new();
    for (family, peak) in &record.evidence.peaks {
        let mut without = record.evidence.clone();
        without.peaks.remove(family);
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
