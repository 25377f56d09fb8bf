//! The incident's one sentence, told from its strongest signals in the order in which they happened.

use std::collections::HashSet;

use super::campaign;
use bartizan_model::Signal;

/// Longest sentence, in characters.
const LONGEST: usize = 360;
/// Signals told at most; the rest are counted.
const MAX_TOLD: usize = 3;

/// `nginx (pid 812) ran "sh -i" as sh (pid 900), which connected to 203.0.113.9:4444`. A `summary` stands for all signals of an attack of
/// many sources.
pub(super) fn tell(signals: &[Signal], count: u64, summary: Option<&str>) -> String {
    let stands_for = |signal: &&Signal| summary.is_none() || campaign::of(&signal.entities).is_none();
    let mut by_weight: Vec<&Signal> = signals.iter().filter(stands_for).collect();
    let count = if summary.is_some() { by_weight.len() as u64 } else { count };
    by_weight.sort_by(|a, b| {
        b.severity.cmp(&a.severity).then(b.confidence.get().total_cmp(&a.confidence.get())).then((a.at, a.id).cmp(&(b.at, b.id)))
    });
    let mut detectors = HashSet::new();
    let mut told: Vec<&Signal> = by_weight.into_iter().filter(|signal| detectors.insert(signal.detector.as_str())).take(MAX_TOLD).collect();
    told.sort_by_key(|signal| (signal.at, signal.id));
    let mut out = summary.unwrap_or_default().to_owned();
    let sentences: Vec<&str> = told.iter().map(|signal| signal.sentence.as_str()).collect();
    for sentence in fitted(&sentences, LONGEST) {
        append(&mut out, &sentence);
    }
    let more = count.saturating_sub(told.len() as u64);
    let tail = if more > 0 { format!(" (and {more} more)") } else { String::new() };
    match out.char_indices().nth(LONGEST.saturating_sub(tail.len())) {
        Some((at, _)) => format!("{}…{tail}", out.get(..at).unwrap_or_default()),
        None => out + &tail,
    }
}

/// What a sentence that [`tell`] told of an attack of many sources says of the attack itself: all but what these signals added to it.
pub(super) fn summary_in(sentence: &str, signals: &[Signal]) -> String {
    let added = tell(signals, 0, Some(""));
    let told = sentence.strip_suffix(added.as_str()).and_then(|rest| rest.strip_suffix("; "));
    told.filter(|_| !added.is_empty()).unwrap_or(sentence).to_owned()
}

/// The sentences cut so that all of them fit: the room that short ones leave goes to the long ones, and none is cut off by those before it.
fn fitted(sentences: &[&str], room: usize) -> Vec<String> {
    let lengths: Vec<usize> = sentences.iter().map(|sentence| sentence.chars().count()).collect();
    let mut by_length = lengths.clone();
    by_length.sort_unstable();
    let (mut left, mut others, mut longest) = (room, by_length.len(), room);
    for length in by_length {
        longest = left / others.max(1);
        if length > longest {
            break;
        }
        (left, others) = (left - length, others - 1);
    }
    let cut = |(sentence, length): (&&str, usize)| match length > longest {
        true => sentence.chars().take(longest.saturating_sub(1)).chain(['…']).collect(),
        false => (*sentence).to_owned(),
    };
    sentences.iter().zip(lengths).map(cut).collect()
}

/// Whoever the story just named goes on as "which".
fn append(story: &mut String, sentence: &str) {
    if story.is_empty() {
        story.push_str(sentence);
        return;
    }
    let actor = sentence.find(" (pid ").and_then(|at| sentence.get(at..)?.find(')').map(|end| at + end + 1));
    let (actor, rest) = actor.and_then(|at| Some((sentence.get(..at)?, sentence.get(at..)?))).unwrap_or(("", sentence));
    if !actor.is_empty() && story.ends_with(actor) {
        story.push_str(", which");
        story.push_str(rest);
    } else {
        story.push_str("; ");
        story.push_str(sentence);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_sentence_pushes_out_no_other() {
        assert_eq!(fitted(&["ab", "cd"], 360), ["ab", "cd"]);
        let (long, last) = ("x".repeat(500), "a shell talks to the network");
        let told = fitted(&[&long, "short", last], 360);
        assert_eq!((told[1].as_str(), told[2].as_str()), ("short", last));
        assert_eq!(told.iter().map(|sentence| sentence.chars().count()).sum::<usize>(), 360);
        let told = fitted(&[&long, &long, &long], 360);
        assert!(told.iter().all(|sentence| sentence.chars().count() == 120 && sentence.ends_with('…')));
    }
}
