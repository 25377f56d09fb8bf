//! Alerts on their way to a person: what is folded, what waits, who is sent what, and in which form. Time arrives as an argument.

#![forbid(unsafe_code)]

mod escape;
mod format;
mod hours;
mod lane;
mod message;
mod parcel;
mod queue;
mod route;

pub use format::{Body, Format, render};
pub use hours::Hours;
pub use message::{Kind, Message};
pub use parcel::{Item, Parcel};
pub use queue::{Counts, Failure, MAX_WAITING, Queue, State};
pub use route::Route;
