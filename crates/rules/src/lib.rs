//! Sigma rules: loads them from text, says of each whether it can be evaluated here, and evaluates them on events.
//!
//! No I/O, no clock, no threads: text and events arrive as arguments. `sigma-specification` 2.0 is the language; the engine is
//! rsigma, with two of its errors repaired in `repair`.
#![forbid(unsafe_code)]

mod anchors;
mod attack;
mod bounds;
mod built_in;
mod correlation;
mod correlations;
mod example;
mod field;
mod growth;
mod kinship;
mod literals;
mod memory;
mod reach;
mod record;
mod repair;
mod route;
mod rule;
mod rule_set;
mod shape;
mod trace;

pub use attack::same_techniques;
pub use bounds::{MAX_FILES, MAX_RULE_BYTES, MAX_RULES};
pub use built_in::{EXAMPLES, PACK};
pub use correlations::{Correlations, Met};
pub use example::{Example, ExampleError};
pub use field::{Field, fields};
pub use memory::Memory;
pub use route::Route;
pub use rule::{BadRule, Pack, Rule, parse};
pub use rule_set::{RuleSet, Switches};
pub use trace::{Trace, seen};
