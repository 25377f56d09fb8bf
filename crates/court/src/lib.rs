//! The court: may this be done? It alone makes warrants, and without a warrant nothing is done.

#![forbid(unsafe_code)]

mod alone;
mod court;
mod guard;
mod ladder;
mod proposals;
mod sentinel;
mod sources;
mod tree;
mod warrant;

pub use court::{ApprovalRequest, Case, Court, Ruling};
pub use guard::Refusal;
pub use sentinel::Pause;
pub use sources::{History, JailTerms, NothingKnown, Sources};
pub use warrant::{Warrant, WarrantError};

#[cfg(test)]
mod granted_tests;
