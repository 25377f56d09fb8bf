//! One act: everything that one cause brought about. Evidence is counted by acts.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ProcessKey;

/// One act. A process carries out what it was started for, with all that it starts: a shell, the program that it runs, the
/// files and the connections of both are one act. Only a shell that reads its commands from a socket is told what to do
/// as it goes: each thing that it then does is an act of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Act {
    /// The process that it began with.
    pub of: ProcessKey,
    /// Told over a socket, by whoever sits at its other end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub told: bool,
}

impl fmt::Display for Act {
    /// In a few words, safe to show.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.told {
            true => write!(f, "what was typed over a socket and done by process {}", self.of.pid),
            false => write!(f, "what process {} was started for", self.of.pid),
        }
    }
}
