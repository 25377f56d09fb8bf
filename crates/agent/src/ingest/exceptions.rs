//! Where a signal meets the exceptions of people: it is marked, recorded, and counts for nothing.

use std::collections::HashSet;

use super::pipeline::Pipeline;
use crate::record::Record;
use bartizan_config::Policy;
use bartizan_model::{Exception, Process, Signal, Timestamp};

/// The exceptions that the pipeline goes by, and the programs that run anything.
#[derive(Debug, Default)]
pub(crate) struct Exceptions {
    rows: Vec<Exception>,
    anything: HashSet<String>,
}

impl Exceptions {
    pub(crate) fn new(rows: Vec<Exception>, policy: &Policy) -> Self {
        Self { rows, anything: programs_that_run_anything(policy) }
    }

    /// Goes by the words of another policy.
    pub(super) fn set_policy(&mut self, policy: &Policy) {
        self.anything = programs_that_run_anything(policy);
    }

    /// Marks the signal that an exception covers now.
    pub(crate) fn mark(&self, signal: &mut Signal, process: Option<&Process>, now: Timestamp) {
        let covering = self.rows.iter().find(|one| one.holds_at(now) && self.covers(one, signal, process));
        signal.excepted = covering.map(|one| one.id);
    }

    /// Whether an exception covers a signal, whenever it holds.
    pub(crate) fn covers(&self, exception: &Exception, signal: &Signal, process: Option<&Process>) -> bool {
        let anything = process.is_some_and(|process| self.runs_anything(&process.name()));
        exception.scope.covers(signal, process) && !(anything && exception.scope.is_by_program_alone())
    }

    /// Whether a program does what its arguments or its input say: a shell or an interpreter, in any version or variant. Wider than what
    /// detectors take for one: here a name too many only asks for one more binding.
    pub(crate) fn runs_anything(&self, name: &str) -> bool {
        // nc.openbsd, bash-static: what stands behind is a variant of it.
        let first = name.split(['.', '-']).next().unwrap_or_default();
        name == "busybox" || [name, first].into_iter().any(|name| self.anything.contains(&stem(name)))
    }
}

fn programs_that_run_anything(policy: &Policy) -> HashSet<String> {
    policy.roles.shells.iter().chain(&policy.roles.interpreters).map(|name| stem(name)).collect()
}

/// `python` of `python3.11`.
fn stem(name: &str) -> String {
    name.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-')).to_owned()
}

impl Pipeline {
    /// Takes other exceptions into use.
    pub(super) fn set_exceptions(&mut self, exceptions: Exceptions) {
        self.exceptions = exceptions;
    }

    /// Puts an excepted signal on record and beside the incident that it would have joined: no alert, no case.
    pub(super) fn set_aside(&mut self, signal: Signal) {
        self.ties.ingest.recorder.keep(Record::Signal(Box::new(signal.clone())));
        self.ties.console.signal(&signal);
        if let Some(incident) = self.correlator.set_aside(signal) {
            self.ties.console.incident(&incident, &[]);
        }
    }
}
