//! What the sparring partner can do, in the order in which an intruder does it.

use super::stage::{Stage, StageError};

mod exec_from_tmp;
mod reverse_shell;
mod unexpected_listener;
mod web_shell;

/// One thing that an intruder does.
pub struct Technique {
    /// Its name on the command line and in reports.
    pub name: &'static str,
    /// What it is in ATT&CK.
    pub ids: &'static [bartizan_model::Technique],
    /// What is done, in one sentence.
    pub what: &'static str,
    /// The detectors that ought to speak; one of them is enough.
    pub expects: &'static [&'static str],
    /// Does it. Gives what it did, with its particulars.
    pub attempt: fn(&mut Stage) -> Result<String, StageError>,
}

/// All of them.
pub const TECHNIQUES: &[Technique] =
    &[web_shell::TECHNIQUE, reverse_shell::TECHNIQUE, exec_from_tmp::TECHNIQUE, unexpected_listener::TECHNIQUE];
