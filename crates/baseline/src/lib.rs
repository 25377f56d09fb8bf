//! What is normal on this host: habits learned from events, guarded against who would teach us otherwise, and what deviates from
//! them. No file, no clock, no thread: time is that of the events.

#![forbid(unsafe_code)]

mod activity;
mod adopt;
mod amounts;
mod baseline;
mod circumstances;
mod deviation;
mod gone;
mod guard;
mod histogram;
mod intervals;
mod keeping;
mod known;
mod logins;
mod meeting;
mod observation;
mod parts;
mod review;
mod room;
mod settings;
mod who;

pub use activity::KeptActivity;
pub use adopt::Adopted;
pub use baseline::Baseline;
pub use circumstances::Circumstances;
pub use deviation::{Deviation, DeviationKind};
pub use keeping::{Changes, KeptHabit, KeptProfile};
pub use parts::{Asked, Wanted, list, review, status, take_changes};
pub use settings::Settings;
