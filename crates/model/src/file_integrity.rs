//! How a file is another than its baseline knows it, as the running agent tells it.

use serde::{Deserialize, Serialize};

use super::HostText;

/// Changes of one act as one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileIntegrity {
    /// What happened, without the path.
    pub sentence: String,
    /// How many files changed: more than one when the changes of one act are one line.
    pub changes: u64,
    /// The version of the baseline that it was compared with.
    pub version: u64,
    /// What is dangerous about the content.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<FileFinding>,
    /// The packages to which the changed files belong, a few of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<HostText>,
    /// It was found by looking again, after nobody had watched: when it changed and who did it is not known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
}

/// What is dangerous about a content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFinding {
    /// Name of the rule.
    pub rule: String,
    /// ATT&CK technique.
    pub technique: String,
    /// What it does, for a person.
    pub sentence: String,
}

/// How the agent keeps watch over the files of the baseline.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FilesWatched {
    /// The version of the baseline that files are compared with; 0: there is none.
    pub version: u64,
    /// Directories that are watched.
    pub directories: u64,
    /// Directories that the kernel refused to watch.
    pub refused: u64,
    /// Lines reported since the start of the agent.
    pub reported: u64,
    /// Directories that wait to be looked at again, because something may have changed there unseen.
    pub to_look_at: u64,
    /// Long files that wait until all of them is compared; their ends were judged already.
    #[serde(default)]
    pub long_waiting: u64,
    /// Changed files that could not be judged, by all rules or at all, and have not been since: at most 256 are remembered.
    #[serde(default)]
    pub unjudged: u64,
    /// How often that happened since the start of the agent.
    #[serde(default)]
    pub unjudged_total: u64,
    /// The latest of them, at most eight.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unjudged_latest: Vec<UnjudgedFile>,
    /// Changed files longer than a MiB since the start of the agent: their first and last 512 KiB were judged.
    #[serde(default)]
    pub by_ends: u64,
    /// The latest of them, at most eight.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_ends_latest: Vec<HostText>,
}

/// A changed file that was not judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnjudgedFile {
    /// Which.
    pub path: HostText,
    /// Why, for a person.
    pub why: String,
}
