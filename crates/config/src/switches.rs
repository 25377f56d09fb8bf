//! What a person switched off: detectors by name, in policy.toml or on the command line, never those that watch over Bartizan itself.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Settings;
use super::policy_check::Objection;
use bartizan_model::ALWAYS_REPORTED;

/// Most names of one list.
const MAX_OFF: usize = 1_000;
/// Longest list on disk that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;
/// The list of detectors, in the data folder.
const DETECTORS: &str = "detectors.off";

/// `[detectors]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetectorPolicy {
    /// Names of detectors that are switched off.
    pub off: Vec<String>,
}

/// The first value that makes no sense.
pub(super) fn check(detectors: &DetectorPolicy) -> Result<(), Objection> {
    let objection = |problem: String| Err(Objection { section: "detectors", key: "off", problem });
    if detectors.off.len() > MAX_OFF {
        return objection(format!("more than {MAX_OFF} names"));
    }
    match detectors.off.iter().find(|name| ALWAYS_REPORTED.contains(&name.as_str())) {
        Some(name) => objection(format!("{name} reports attacks on Bartizan itself and cannot be switched off")),
        None => Ok(()),
    }
}

/// Names one a line, in a file in the data folder that the command line writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameList(PathBuf);

impl NameList {
    /// The list at this place.
    pub(super) fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Detectors that are switched off on the command line.
    pub fn of_detectors(settings: &Settings) -> Self {
        Self(settings.data.join(DETECTORS))
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The names; none where there is no such file. Lines that begin with `#` are remarks.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let file = match File::open(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            opened => opened?,
        };
        let mut text = String::new();
        file.take(MAX_BYTES).read_to_string(&mut text)?;
        Ok(text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect())
    }
}

#[cfg(test)]
mod tests {
    use crate::Policy;

    #[test]
    fn what_watches_over_bartizan_itself_cannot_be_switched_off() {
        let of = |text: &str| Policy::parse(text, "p.toml");
        assert_eq!(of("[detectors]\noff = [\"ptrace_other\"]\n").unwrap().detectors.off, ["ptrace_other"]);
        for name in ["guard_attacked", "guard_alarm"] {
            let problem = of(&format!("[detectors]\noff = [\"{name}\"]\n")).unwrap_err().to_string();
            let expected = format!("p.toml: line 2: detectors.off: {name} reports attacks on Bartizan itself and cannot be switched off");
            assert_eq!(problem, expected);
        }
    }

    #[test]
    fn a_kind_of_action_that_does_not_exist_is_named() {
        let problem = Policy::parse("[actions]\noff = [\"freze\"]\n", "p.toml").unwrap_err().to_string();
        assert!(problem.starts_with("p.toml: line 2: ") && problem.contains("freze"), "{problem}");
    }
}
