//! The sparring partner: a harmless but real attack on this host, to see what the guard makes of it.
//!
//! Everything happens in a private network and a private directory, lasts at most [`Stage::LONGEST`] (and what it is held for), and is
//! gone afterwards; [`GroundReport`] proves it. A technique is one file in `techniques/` and one line there.

#![forbid(unsafe_code)]

mod asking;
mod hold;
mod observer;
mod play;
mod report;
mod scenario;
mod stage;
mod techniques;

pub use asking::Asking;
pub use hold::Turn;
pub use observer::{Observer, Verdicts};
pub use play::{PART, play};
pub use report::{GroundReport, IncidentReport, Outcome, Report, StepReport};
pub use scenario::{Options, run};
pub use stage::{Cast, Stage, StageError};
pub use techniques::{TECHNIQUES, Technique};
