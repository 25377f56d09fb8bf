//! File integrity: makes and compares baselines of files, without a running agent and in it.
//!
//! Directories are read by a few threads that give way to everybody (nice 10, idle class of the disk), each below a descriptor. What has the
//! metadata that the baseline knows is not read again; a row of the baseline is read when its directory is, so memory does not grow with
//! the number of files.

mod absent;
mod compared;
mod counter;
mod excluded;
pub(crate) mod live;
mod look;
mod places;
mod queue;
mod report;
mod restore;
mod roots;
mod rows;
mod scan;
mod visit;
mod yara;

pub use absent::absent;
pub use compared::{Compared, compared};
pub use counter::Progress;
pub use excluded::Excluded;
pub use places::{PlaceSet, watched_places};
pub use report::{Danger, Report, Skipped};
pub use restore::{NotRestored, release, restorable};
pub use scan::{Adds, Ask, FimError, Writing, scan};
pub use yara::yara_rules;
