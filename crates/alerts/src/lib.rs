//! Alerts on their way to a person: what is folded, what waits, who is sent what, and in which form. Time arrives as an argument.

#![forbid(unsafe_code)]

mod bucket;
mod escape;
mod format;
mod lane;
mod message;
mod notice;
mod parcel;
mod queue;
mod route;

pub use format::{Body, Format, render};
pub use message::Message;
pub use parcel::{Item, Parcel};
pub use queue::{Failure, Queue, State};
pub use route::Route;
