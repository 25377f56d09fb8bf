//! What could not be taken over: where it stands, the setting or expression, and why.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Bytes of a setting that are shown; what is longer is cut.
const SHOWN: usize = 160;

/// Something that is not understood, or is done otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The file, below the folder that was read, or the jail.
    pub file: String,
    /// The section or the name of the setting.
    pub section: String,
    /// The expression or setting as it stands there, at most 160 bytes.
    pub what: String,
    /// Why it is not taken over.
    pub why: String,
}

impl Problem {
    /// One of this file and section.
    pub fn new(file: impl Into<String>, section: impl Into<String>, what: &str, why: impl Into<String>) -> Self {
        let mut end = SHOWN.min(what.len());
        while !what.is_char_boundary(end) {
            end -= 1;
        }
        let shown = what.get(..end).unwrap_or_default();
        let what = if end < what.len() { format!("{shown}...") } else { shown.to_owned() };
        Self { file: file.into(), section: section.into(), what, why: why.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.file)?;
        if !self.section.is_empty() {
            write!(out, " [{}]", self.section)?;
        }
        if !self.what.is_empty() {
            write!(out, " `{}`", self.what)?;
        }
        write!(out, ": {}", self.why)
    }
}
