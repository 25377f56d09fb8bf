//! What came of a drill: step by step what was done and whether it was seen, and that nothing of it is left.

use std::fmt::Write;

use serde::Serialize;

use bartizan_model::{Confidence, IncidentId, Technique, Timestamp, sentence};

/// What became of one step.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "outcome")]
pub enum Outcome {
    /// A detector spoke.
    Seen {
        /// Which, the first of them.
        detector: String,
        /// From the event in the kernel until we could read the signal, in milliseconds (we look every 10 ms).
        after_ms: u64,
        /// What it said.
        sentence: String,
    },
    /// It was done and no detector that ought to spoke.
    Missed,
    /// It could not be done because the guard had already acted.
    Prevented {
        /// What the step ran into.
        why: String,
    },
    /// It could not be done, and the guard did not cause that.
    Failed {
        /// Why.
        why: String,
    },
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepReport {
    /// Name of the technique.
    pub name: String,
    /// What it is in ATT&CK.
    pub technique: Vec<Technique>,
    /// When it began.
    pub at: Timestamp,
    /// What was done, or was to be done. Safe to show.
    pub what: String,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Other detectors that spoke about the drill during the step.
    pub also: Vec<String>,
}

/// The story that the guard made of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IncidentReport {
    /// Its name.
    pub id: IncidentId,
    /// Its score, 0 to 1.
    pub confidence: Confidence,
    /// How many signals of the drill it joined, of how many.
    pub joined: (usize, usize),
    /// Stages seen.
    pub stages: Vec<String>,
    /// One sentence.
    pub sentence: String,
    /// Why the score.
    pub why: Vec<String>,
    /// What was asked, done or refused, one line each.
    pub verdicts: Vec<String>,
}

/// The host before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroundReport {
    /// Processes that were seen on the stage, at least.
    pub processes_started: usize,
    /// Those that could not be ended.
    pub processes_left: Vec<u32>,
    /// The drill's own directory.
    pub directory: String,
    /// Why it could not be removed; absent when it is gone.
    pub directory_left: Option<String>,
    /// The host's network interfaces are not those of before.
    pub interfaces_changed: bool,
}

impl GroundReport {
    /// Nothing is left.
    pub fn is_clean(&self) -> bool {
        self.processes_left.is_empty() && self.directory_left.is_none() && !self.interfaces_changed
    }
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// When it began.
    pub at: Timestamp,
    /// Step by step.
    pub steps: Vec<StepReport>,
    /// The story that the guard made of it; absent when it made none.
    pub incident: Option<IncidentReport>,
    /// What became of the intruder's shell while the drill was held.
    pub held: Vec<super::hold::Turn>,
    /// Why the watcher could not be asked, when it could not.
    pub blind: Option<String>,
    /// The host before and after.
    pub ground: GroundReport,
}

impl Report {
    /// 0 when every step was seen or prevented, 5 when one was missed, 1 when the drill itself went wrong.
    pub fn exit_code(&self) -> u8 {
        let any = |test: fn(&Outcome) -> bool| self.steps.iter().any(|step| test(&step.outcome));
        if self.blind.is_some() || !self.ground.is_clean() || any(|outcome| matches!(outcome, Outcome::Failed { .. })) {
            1
        } else if any(|outcome| *outcome == Outcome::Missed) {
            5
        } else {
            0
        }
    }

    /// For people.
    pub fn table(&self) -> String {
        let mut out = String::new();
        for (number, step) in self.steps.iter().enumerate() {
            let ids: Vec<String> = step.technique.iter().map(ToString::to_string).collect();
            let _ = writeln!(out, "{}. {}  {}  {}", number + 1, step.name, ids.join(" "), step.at.format("%H:%M:%S%.3f"));
            let _ = writeln!(out, "   did      {}", shown(&step.what));
            let _ = match &step.outcome {
                Outcome::Seen { detector, after_ms, sentence } => {
                    writeln!(out, "   SEEN     by {detector} after {after_ms} ms: {sentence}")
                }
                Outcome::Missed => writeln!(out, "   MISSED   no detector spoke"),
                Outcome::Prevented { why } => writeln!(out, "   STOPPED  the guard had acted: {}", shown(why)),
                Outcome::Failed { why } => writeln!(out, "   FAILED   {}", shown(why)),
            };
            if !step.also.is_empty() {
                let _ = writeln!(out, "   also     {}", step.also.join(", "));
            }
        }
        self.tell_incident(&mut out);
        for turn in &self.held {
            let _ = writeln!(out, "   {}  {}", turn.at.format("%H:%M:%S"), shown(&turn.what));
        }
        self.tell_ground(&mut out);
        out
    }

    fn tell_incident(&self, out: &mut String) {
        if let Some(why) = &self.blind {
            let _ = writeln!(out, "\nThe watcher could not be asked: {why}");
        }
        let Some(incident) = &self.incident else {
            let _ = writeln!(out, "\nNo incident was made of it.");
            return;
        };
        let (joined, all) = incident.joined;
        let _ = writeln!(out, "\nIncident {}  score {}  {}", incident.id, incident.confidence, incident.stages.join(" > "));
        let _ = writeln!(out, "   {}\n   joins {joined} of the drill's {all} signals", incident.sentence);
        for line in incident.why.iter().chain(&incident.verdicts) {
            let _ = writeln!(out, "   {line}");
        }
    }

    fn tell_ground(&self, out: &mut String) {
        let ground = &self.ground;
        if ground.is_clean() {
            let _ = writeln!(
                out,
                "\nNothing is left: all {} processes ended, {} removed, private network gone.",
                ground.processes_started,
                shown(&ground.directory)
            );
            return;
        }
        if !ground.processes_left.is_empty() {
            let _ = writeln!(out, "\nLEFT BEHIND: processes {:?}; end them by pid", ground.processes_left);
        }
        if let Some(why) = &ground.directory_left {
            let _ = writeln!(out, "\nLEFT BEHIND: {} ({}); remove it", shown(&ground.directory), shown(why));
        }
        if ground.interfaces_changed {
            let _ = writeln!(out, "\nThe host's network interfaces changed meanwhile; the drill touches none, so look who did");
        }
    }
}

/// Texts of ours may hold a path or an error of the host.
fn shown(text: &str) -> String {
    sentence(text)
}
