//! File integrity: what a file is, how two states of it differ, and that in plain sentences. Bytes come in, judgement goes out.

#![forbid(unsafe_code)]

mod attributes;
mod change;
mod compare;
mod diff;
mod elf;
mod entry;
mod fold;
mod judge;
mod sentences;
mod yara;

pub use change::{Change, What, pair_moves};
pub use compare::{Difference, differences};
pub use diff::diff;
pub use entry::{Attribute, Content, Entry, Kind, NotEntries, decode, encode};
pub use fold::{Line, fold, stands_out};
pub use judge::{Finding, LONGEST_JUDGED, is_judged, judge};
pub use yara::{MAX_RULE_FILE, RefusedRules, YaraFindings, YaraRules};
