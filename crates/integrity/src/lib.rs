//! File integrity: what a file is, how two states of it differ, and that in plain sentences. Bytes come in, judgement goes out.

#![forbid(unsafe_code)]

mod attributes;
mod change;
mod compare;
mod entry;
mod fold;
mod sentences;

pub use change::{Change, What, pair_moves};
pub use compare::{Difference, differences};
pub use entry::{Attribute, Content, Entry, Kind, NotEntries, decode, encode};
pub use fold::{Line, fold};
