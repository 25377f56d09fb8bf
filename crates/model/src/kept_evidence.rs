//! What was kept of the processes of a tree before it was frozen for good or killed.

use serde::{Deserialize, Serialize};

/// Where it lies and how much it is. All texts are safe to show.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KeptEvidence {
    /// The directory on this host, for root alone.
    pub directory: String,
    /// How many files, the manifest left out.
    pub files: usize,
    /// Their sizes together, in bytes.
    pub bytes: u64,
    /// What could not be kept, and why; empty when nothing is missing. At most 17 lines, the last one counts the rest.
    pub missing: Vec<String>,
}
