//! One drill from beginning to end: each technique in turn, a watcher beside it, and the comparison at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};

use super::hold;
use super::{Cast, IncidentReport, Observer, Outcome, Report, Stage, StageError, StepReport, TECHNIQUES, Technique};
use bartizan_model::{Entity, Incident, Signal, SignalId, Timestamp, Unpoisoned as _};

/// How to run a drill.
#[derive(Debug, Clone)]
pub struct Options {
    /// Who plays the stand-ins.
    pub cast: Cast,
    /// Where the drill's directory is made; `/tmp` to be realistic.
    pub under: PathBuf,
    /// How long a detector may take, and the court afterwards.
    pub patience: Duration,
    /// How long the intruder's shell stays afterwards, so that a person can contain it and let it go again.
    pub hold: Duration,
}

/// How often the watcher is asked.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Signals that the watcher remembers; a drill makes about ten.
const MAX_SIGNALS: usize = 4096;
/// The kernel's clock and ours may differ by this much: events are stamped in time since boot and converted.
const CLOCK_SLACK: TimeDelta = TimeDelta::milliseconds(10);

/// What the watcher has seen, and when it could first be read.
#[derive(Default)]
struct Notes {
    signals: BTreeMap<SignalId, (Signal, Timestamp)>,
    blind: Option<String>,
}

/// Runs every technique. `stop` ends the drill early, cleanly; `tell` hears of progress.
///
/// # Errors
/// When the ground cannot be built: no root, no network namespaces, no space.
pub fn run(observer: &mut (dyn Observer + Send), options: &Options, stop: &AtomicBool, tell: &dyn Fn(&str)) -> Result<Report, StageError> {
    let at = Utc::now();
    let mut stage = Stage::build(options.cast.clone(), &options.under, options.hold)?;
    let (notes, over) = (Mutex::new(Notes::default()), AtomicBool::new(false));
    let steps = std::thread::scope(|scope| {
        scope.spawn(|| watch(observer, at, &notes, &over));
        // The stage stays on this thread: its web server ends with the thread that started it.
        let steps = TECHNIQUES.iter().take_while(|_| !stop.load(Ordering::Relaxed));
        let steps: Vec<StepReport> = steps.map(|technique| told_step(technique, &mut stage, &notes, options.patience, tell)).collect();
        over.store(true, Ordering::Relaxed);
        steps
    });
    let mut notes = notes.into_inner().unpoisoned();
    let ours = of_drill(&notes, stage.pids(), at);
    let incident = match story(observer, &ours, options.patience) {
        Ok(incident) => incident,
        Err(why) => {
            notes.blind.get_or_insert(why);
            None
        }
    };
    let steps = judge_failures(steps, incident.as_ref());
    let held = if options.hold.is_zero() { Vec::new() } else { hold::hold(&mut stage, options.hold, stop, tell) };
    Ok(Report { at, steps, incident, held, blind: notes.blind, ground: stage.clear() })
}

fn told_step(technique: &Technique, stage: &mut Stage, notes: &Mutex<Notes>, patience: Duration, tell: &dyn Fn(&str)) -> StepReport {
    tell(&format!("{}: {}", technique.name, technique.what));
    step(technique, stage, notes, patience)
}

fn watch(observer: &mut (dyn Observer + Send), since: Timestamp, notes: &Mutex<Notes>, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        let found = observer.signals_since(since - CLOCK_SLACK);
        let now = Utc::now();
        let mut notes = notes.lock().unpoisoned();
        match found {
            Ok(signals) => {
                let room = MAX_SIGNALS.saturating_sub(notes.signals.len());
                for signal in signals.into_iter().take(room) {
                    notes.signals.entry(signal.id).or_insert((signal, now));
                }
            }
            Err(why) => notes.blind = Some(why),
        }
        drop(notes);
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Does one thing and waits for a detector that ought to speak.
fn step(technique: &Technique, stage: &mut Stage, notes: &Mutex<Notes>, patience: Duration) -> StepReport {
    let at = Utc::now();
    let done = (technique.attempt)(stage);
    let deadline = Instant::now() + patience;
    let (outcome, also) = loop {
        let pids = stage.pids();
        let spoken = of_drill(&notes.lock().unpoisoned(), pids, at);
        let (wanted, others): (Vec<_>, Vec<_>) = spoken.into_iter().partition(|(signal, _)| is_expected(technique, signal));
        let also: BTreeSet<String> = others.into_iter().map(|(signal, _)| signal.detector).collect();
        let first = wanted.into_iter().min_by_key(|(_, read_at)| *read_at);
        match (&done, first) {
            (Err(why), _) => break (Outcome::Failed { why: why.to_string() }, also),
            (Ok(_), Some((signal, read_at))) => {
                let after_ms = u64::try_from((read_at - signal.at).num_milliseconds()).unwrap_or(0);
                break (Outcome::Seen { detector: signal.detector, after_ms, sentence: signal.sentence }, also);
            }
            (Ok(_), None) if Instant::now() >= deadline => break (Outcome::Missed, also),
            (Ok(_), None) => std::thread::sleep(LOOK_EVERY),
        }
    };
    StepReport {
        name: technique.name.to_owned(),
        technique: technique.ids.to_vec(),
        at,
        what: done.unwrap_or_else(|_| technique.what.to_owned()),
        outcome,
        also: also.into_iter().collect(),
    }
}

fn is_expected(technique: &Technique, signal: &Signal) -> bool {
    technique.expects.contains(&signal.detector.replace('-', "_").as_str())
}

/// Signals of the drill since `at`: those that name one of its processes, so that another intrusion at the same
/// moment is not taken for ours.
fn of_drill(notes: &Notes, pids: &BTreeSet<u32>, at: Timestamp) -> Vec<(Signal, Timestamp)> {
    notes.signals.values().filter(|(signal, _)| signal.at >= at - CLOCK_SLACK && names_one_of(signal, pids)).cloned().collect()
}

fn names_one_of(signal: &Signal, pids: &BTreeSet<u32>) -> bool {
    let entities = signal.entities.iter().filter_map(|entity| match entity {
        Entity::Lineage(key) | Entity::Process(key) => Some(key.pid),
        _ => None,
    });
    entities.chain(signal.subject.map(|key| key.pid)).any(|pid| pids.contains(&pid))
}

/// The incident that joined most of the drill's signals, once the court has had time to speak.
fn story(observer: &mut dyn Observer, ours: &[(Signal, Timestamp)], patience: Duration) -> Result<Option<IncidentReport>, String> {
    let deadline = Instant::now() + patience;
    let joins = |incident: &Incident| ours.iter().filter(|(signal, _)| incident.signals.contains(&signal.id)).count();
    loop {
        let best = observer.incidents()?.into_iter().max_by_key(joins).filter(|incident| joins(incident) > 0);
        let verdicts = match &best {
            Some(incident) => observer.verdicts(incident.id)?,
            None => super::Verdicts::default(),
        };
        let spoken = !verdicts.approvals.is_empty() || !verdicts.actions.is_empty();
        match best {
            Some(incident) if spoken || Instant::now() >= deadline => {
                let explanation = observer.explain(incident.id)?;
                return Ok(Some(IncidentReport {
                    id: incident.id,
                    confidence: incident.confidence,
                    joined: (joins(&incident), ours.len()),
                    stages: incident.stages.iter().map(|stage| stage.noun().to_owned()).collect(),
                    sentence: incident.sentence,
                    why: explanation.why,
                    verdicts: told(&verdicts),
                }));
            }
            None if ours.is_empty() || Instant::now() >= deadline => return Ok(None),
            _ => std::thread::sleep(LOOK_EVERY),
        }
    }
}

fn told(verdicts: &super::Verdicts) -> Vec<String> {
    let asked = verdicts.approvals.iter().map(|approval| format!("would {}: {}", approval.action, approval.held_because));
    let done = verdicts
        .actions
        .iter()
        .map(|action| format!("did {} {} ({}, {})", action.kind.verb(), action.target, action.id, action.standing()));
    let mut lines: Vec<String> = done.chain(asked).collect();
    if lines.is_empty() {
        lines.push("nothing was asked or done about it".to_owned());
    }
    lines
}

/// A step that ran into an action of the guard did not fail: it was prevented.
fn judge_failures(steps: Vec<StepReport>, incident: Option<&IncidentReport>) -> Vec<StepReport> {
    let acted = incident.is_some_and(|incident| incident.verdicts.iter().any(|line| line.starts_with("did ")));
    let judge = |mut step: StepReport| {
        if let (Outcome::Failed { why }, true) = (&step.outcome, acted) {
            step.outcome = Outcome::Prevented { why: why.clone() };
        }
        step
    };
    steps.into_iter().map(judge).collect()
}

#[cfg(test)]
mod tests;
